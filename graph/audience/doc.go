// Package audience has what happened executed once for all subscriptions that are
// shown the same of it. A thousand timelines of one organization that send the same
// document are one audience: the first of them whose turn an event is executes, and
// the others send what it made.
package audience
