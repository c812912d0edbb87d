// Package app puts the program together: which database, which services, which
// server, and in which order they start and stop. It is the only room besides
// cmd that knows all the others.
//
// [New] starts everything but the serving, [App.Run] serves until its context
// ends or the embedded database does, [App.Close] stops what New started. The
// commands that work on the database itself use [OpenDatabase].
package app
