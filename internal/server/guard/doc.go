// Package guard stands before the GraphQL handler and lets through only requests
// that the handler reads safely.
//
// The handler reads bodies of any size, answers malformed ones with the body in the
// message, takes the last of duplicate keys, ignores what follows the JSON value and
// turns broken text into U+FFFD without a word. So [Wrap] reads the body within a
// limit, passes over it once without building values, and hands the same bytes on.
// What it refuses, it answers with a JSON error that has a code and repeats nothing
// of the request.
//
// It also keeps out cross-site requests: a page of another origin can send a form,
// plain text or a GET without asking first, but neither application/json nor a
// header of ours.
//
// [Status] is the other direction: it corrects the status codes and the null data
// of the handler's refusals to those of the GraphQL-over-HTTP specification.
package guard
