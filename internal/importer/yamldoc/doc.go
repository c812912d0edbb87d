// Package yamldoc reads YAML that strangers wrote: one document at a time, in
// bounded memory, with the line of everything.
//
// The YAML library below it builds a tree of nodes and knows their lines, but
// it reads a whole stream, follows aliases wherever they lead and forgives
// duplicate keys. This package puts a limit in front of each: a [Reader] cuts a
// stream into documents before anything is parsed, weighs what aliases expand
// to, and a [Value] reads the tree by shape and remembers the first field that
// had another one. JSON is YAML and reads the same.
package yamldoc
