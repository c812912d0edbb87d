// Package web serves the pages that are embedded in the binary: GraphiQL, with
// example queries in its tabs.
//
//	graphiql := web.GraphiQL([]web.Tab{{
//		Title:     "Risk clusters, the most urgent first",
//		Query:     "query RiskClusters($org: String!) { … }",
//		Variables: `{"org": "demo"}`,
//	}})
//	mux.Handle("/graphiql", graphiql)
//	mux.Handle("/graphiql/", graphiql)
//
// The page works on a network without internet: it loads nothing from another
// host, and its content security policy forbids that to whatever a schema
// description or a response may contain.
//
// # What a user sees
//
// Open /graphiql#token=TOKEN, or paste an access token into the field at the
// top. The token is sent as "Authorization: Bearer TOKEN" with each POST to
// /graphql, and as the connection parameter "authorization" of the WebSocket
// (graphql-transport-ws, also /graphql) that carries subscriptions. It is taken
// out of the address bar at once and kept for the life of the browser tab. A
// 401, or closing the socket with 4401 or 4403, makes the page ask for another
// token.
//
// A visitor with no saved tabs gets the examples as tabs. The Examples menu
// beside the query opens one in a new tab, or puts all of them back.
//
// # The bundle
//
// graphiql/ has the sources; `npm ci && npm run build` there writes dist/, which
// is committed so that building the binary needs Go only. The build repeats byte
// for byte: CI builds again and requires a clean tree.
//
// dist/assets holds gzip only. Practically every client accepts gzip, so the
// bytes are sent as they are embedded, nothing is compressed while serving, and
// the binary grows by 2 MB and not by 7. For the few that do not (curl without
// --compressed), the asset is inflated as it is sent.
//
// `npm run e2e -- URL TOKEN` drives Chromium against a running server and fails
// on any request to another host and any violation of the policy.
package web
