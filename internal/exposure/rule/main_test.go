package rule_test

import "github.com/exposuregraph/exposuregraph/internal/id"

// someID is one of a row of identifiers.
func someID(n byte) id.ID { return id.ID{15: n} }
