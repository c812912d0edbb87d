// Package server is the HTTP side: routes, authentication, uploads, health.
//
//	/graphql            the API, behind package guard
//	/graphiql           the page to try it
//	/                   redirects to /graphiql, until there is a console
//	/imports/{format}   POST files, streamed to a parser as they arrive
//	/ledgers/{slug}     the ledger of an organization; /checkpoint under it, what was signed of it
//	/ledger-key         the key that checks what is signed
//	/organizations/{slug}/audit.jsonl
//	                    who did or tried what
//	/api/v1/organizations/{slug}/changes
//	                    what changed; /summary under it, how much
//	/healthz            the process lives
//	/readyz             it can serve; names each check
//	/metrics            what on-call looks at, as Prometheus reads it
//
// A request passes, from the outside in: its id, the access log, recovery from
// panics, the time it has for its body, and on the routes that show or take data the
// token, which becomes the actor of the context. A request without a token goes
// on without an actor and is refused by the first service that it reaches; a
// token that is wrong is refused here.
//
// Every refusal is JSON: {"error": {"kind", "code", "message", …}}; those of
// /graphql have GraphQL's own form. A fault of ours says nothing but the request
// id under which the log has it.
//
// # Slow clients
//
// Headers have five seconds and a body of GraphQL fifteen. An upload may take
// as long as it likes while it brings 32 KiB in each 30 seconds of waiting; the
// time that the import itself needs does not count. An answer may be streamed for
// hours, and each part of it has to be taken within a minute.
package server
