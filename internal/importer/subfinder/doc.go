// Package subfinder turns the output of subfinder, which looks for names below a
// domain, into records: domains, and the hosts that they resolve to.
//
// The output is JSON, a record to a line (-oJ); a list of records and a single one
// are read as well, and so is plain output of a name to a line (with -oI of a name
// and its address), which nobody can tell from other lists of names.
//
//   - A record is a name, found by one source or several. It need not resolve.
//   - The domain that was asked about is covered: a name below it that is missing
//     was not found. It is no asset by itself unless it was found too. Plain output
//     does not say it, and so covers nothing.
//   - A name with a star stands for many and is left out with a warning.
package subfinder
