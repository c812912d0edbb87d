// Package stream carries the feeds of all organizations to those who follow them,
// on every replica.
//
// Workers number what happened, woken by the commits of this replica and by a sweep
// for what others left behind. What they publish, or what another replica published
// and the tailer found by polling, goes into a ring for each organization that has
// subscribers here. A subscription is pulled: it takes what is behind its place from
// the ring, or from the database where the ring begins later. So one that does not
// read holds nothing but its place, and one that comes back with a cursor, to
// whichever replica, goes on where it was. docs/adr/0016 says why nothing listens
// and nobody leads.
package stream
