// Package evidencepack writes down what an exposure rests on: one JSON document
// that explains itself to a reader who has nothing but the file, and digests to
// compare it by later. docs/formats/evidence-pack.md describes it.
//
// Reader collects rows, compose makes the document of them without asking
// anybody, and its canonical form is what the digests are of. Time is the
// organization's clock, so that the same state gives the same bytes.
package evidencepack
