// Package persisted runs documents that are named by their SHA-256.
//
// A request names one by extensions.persistedQuery.sha256Hash, as clients of Apollo do,
// or by documentId, as the appendix of GraphQL over HTTP has it. What a name stands for
// depends on the server:
//
//   - By default it is a document that was sent with its name before. It is kept once
//     it was found valid, by a cache that is bounded in bytes, and for callers with the
//     same rights only: that a name is known tells nobody what others ask.
//   - A server that was given [Documents] runs those and nothing else, whether they are
//     named or sent as they are. [Load] reads them.
//
// The names are looked up where every transport passes, so all of this holds of HTTP,
// server-sent events and WebSockets alike.
package persisted
