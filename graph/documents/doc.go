// Package documents makes documents of the API from its schema, for tests that ask
// for everything there is. A Walk goes through the types; whoever walks says which
// fields are taken, with which arguments, and how deep.
package documents
