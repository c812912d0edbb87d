// Package canonical writes JSON in the one form that digests and signatures are
// of: RFC 8785, with integers as its only numbers. Nothing is repaired on the
// way: what has more than one reading (a name that comes twice, half of a
// surrogate pair, bytes that are no UTF-8) is an error.
package canonical
