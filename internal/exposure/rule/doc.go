// Package rule is the pure core of the evaluator: facts in, verdicts out. It
// knows no database and no clock.
//
// A rule judges a subject: a workload, an identity or a path. Its logic is
// Kleene's: what is present decides alone, and only a claim of absence needs
// somebody who looked completely (Coverage). Without one the verdict is
// Unknown, which neither opens nor resolves anything. The exception is
// OwnershipUnknown, which is about not having looked.
//
// The same facts give the same verdict, to the letter of its explanation and
// the bytes of its digest.
package rule
