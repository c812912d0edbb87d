package app

import "github.com/exposuregraph/exposuregraph/internal/file"

// WithPassed has the server say how far an upload has come.
func (c Config) WithPassed(passed func(file.Step)) Config {
	c.passed = passed
	return c
}
