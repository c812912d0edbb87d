// Package limit refuses GraphQL documents that cost too much, before they do.
//
// Four stages stand one behind the other, because each protects the next:
//
//   - Tokens. The document is parsed with a token limit of its own, so neither
//     the parser nor anything after it sees more than that. Set the same figure
//     with [handler.Server.SetParserTokenLimit]: it is what stands if this
//     extension is ever left out.
//
//   - Shape, from the raw document, before validation: depth, nesting, aliases,
//     directives, fragments, root fields, repeated fields, operations, names.
//     The token limit alone does not bound validation: gqlparser compares every
//     pair of equally named fields, once more for each inline fragment around
//     them, and a document of 2.5 kB and under 1,000 tokens (657 times "id"
//     inside 111 inline fragments) keeps one core busy for 3 s and allocates
//     570 MB. With the shape limits the worst document found takes about 10 ms, which
//     BenchmarkHeaviest repeats.
//
//   - Cost, from the validated document, before execution: every field counts
//     its weight, and what lies below a page of n items counts n times.
//     Fragments are measured once and remembered, so the walk is linear in the
//     document, where the stock complexity extension doubles with every level of
//     fragments that spread the next one twice (3 s for 1,006 bytes).
//
//   - Budget, last: each caller has one, out of which its operations are paid and
//     which fills again with time. Once less than half of it is left, answers say so
//     in extensions.budget; what cannot be paid is refused with LIMIT_BUDGET and, over
//     HTTP, 429 with Retry-After.
//
// All stages run on each transport, WebSocket and server-sent events included,
// since gqlgen sends every operation through the same two hooks. A refusal is one
// error whose code starts with LIMIT_, and which says the measure, the limit and
// what to do. The cost of an accepted operation, and of one refused for its cost,
// is in extensions.cost of the response.
//
// [handler.Server.SetParserTokenLimit]: https://pkg.go.dev/github.com/99designs/gqlgen/graphql/handler#Server.SetParserTokenLimit
package limit
