// Package live carries GraphQL operations over connections that stay open:
// WebSocket, by the protocol graphql-transport-ws, and server-sent events.
//
// gqlgen has transports for both. These are written anew on the same engine and
// the same executor, because what has to hold of a connection that may last for
// days is in the middle of theirs:
//
//   - A WebSocket follows the protocol to the letter: its order of messages, one
//     operation under one id at a time, an error that ends its operation, and the
//     close codes by which clients decide whether to come again (see socket.go).
//   - Nobody holds more than a share: connections of the process and of a subject,
//     operations and messages of a connection are bounded, and what exceeds the
//     first two is refused before anything is upgraded.
//   - Who does not read is cut: each message has a time in which the client takes
//     it, and a client that says nothing to a ping is gone. Nothing is queued for
//     anybody: a stream is pulled by the pace of its reader.
//   - A stream lasts no longer than the right to it: it ends when the token
//     expires, and the token is verified again each minute, so that a key that was
//     withdrawn ends what it opened.
//   - A stream ends when the server stops, so that its clients come to another.
//
// A resolver of a subscription ends it with an error by [Fail], over either
// transport. [Whole] goes around the transports that answer once, and refuses
// subscriptions there.
package live
