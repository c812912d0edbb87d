// Package demo tells the story of the organization that the server shows to
// somebody who meets it for the first time: who works there, what runs there,
// and what happened in the 120 days up to a base date. It is pure: the same base
// date gives the same bytes. docs/demo.md tells the story to people.
//
// The story is told by what its sources deliver, in the snapshot format or as a
// scanner writes it, by what people decide, and by the instants at which everything
// is judged anew. Nothing
// else of what the demo shows is written down here: the server finds it as it would
// find it anywhere. internal/demo/teller does what people decide.
package demo
