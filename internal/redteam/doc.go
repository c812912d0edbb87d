// Package redteam attacks a server as hostile and careless clients do, and holds that
// it answers as it must while everybody else is served.
//
// One table of rows serves both the test of this package and `make redteam`; they
// differ in counts alone. The server under attack is the program itself, by its own
// command line, in a process of its own on a database that is thrown away: so it shows
// whether the process lives, and what it holds.
//
//	row ─ the table, and what a check is
//	documents, values, requests, secrets, tenants, persisted, sockets, streams, floods ─ the checks
//	client, socket ─ clients that do not keep to the rules
//	stage ─ the organizations and tokens that checks use
//	victim ─ the process under attack
//	meter ─ the healthy client beside it
//	run ─ runs rows and gives the verdict; report ─ the table that is printed
//
// docs/hostile.md says how to read what is printed, and the bounds.
package redteam
