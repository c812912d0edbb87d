// Package progress shows how far deliveries have come that are under way, on every
// replica.
//
// A [Delivery] is told by its sync and writes a row of sync_progress now and then, in
// transactions of its own on connections of its own: the sync's transaction shows
// nothing before it commits, and must not wait for, or fail with, what only looks at
// it. [Board.Follow] gives what becomes of the row to whoever looks, by polling, as
// feeds are followed (docs/adr/0016); one look finds the rows of all who look.
//
// A process that is killed leaves a row that does not move any more. A delivery that
// is alive writes its row every few seconds even where nothing is new, so that such a
// row is known as lost.
package progress
