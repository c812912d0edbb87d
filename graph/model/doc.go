// Package model shows the domain's values as the schema has them: global ids,
// scalars, connections, and thin wrappers whose methods are fields.
package model
