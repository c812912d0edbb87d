// Package audit keeps the audit log: which member of an organization did or tried
// what, through which door, and what came of it. docs/audit.md is its contract, ADR
// 25 says why it is made as it is.
//
// It is no second ledger. The ledger holds what people judge, in the transaction
// that does it, and proves that nothing was taken out. The log holds who knocked,
// also of whoever was refused, of imports, of files and of what was handed out; it
// is written when the outcome is known, in a transaction of its own.
//
// A door gives [Log.Record] an [Event]; the issuer of tokens gives [Log.Token] one.
// Neither fails: what cannot be written goes to the server's log whole, and is
// counted. Nothing that a caller wrote belongs into an event: neither variables nor
// texts nor secrets, only what the program itself says of them.
//
// Whoever is no member of an organization writes nothing into its log: the server's
// log has a line, and the organization neither a row nor the time that one takes.
package audit
