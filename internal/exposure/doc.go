// Package exposure opens and resolves exposures on authority paths, and reads
// them: what is wrong with a path, how grave that is, since when, and what people
// said of it. The rules themselves are in package rule, which knows no database.
package exposure
