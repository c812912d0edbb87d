// Package object keeps the bytes of files by their content: an object is found by
// its organization and by the SHA-256 of what is in it. It knows no names, no types
// and no database; who collects files says what they are and commits to them.
//
// What comes in is first a Draft in a Spool, where it is counted and its digest is
// computed, and then Put, whole or not at all. What goes out is verified before its
// first byte is given: a damaged object is an error and never wrong bytes.
//
// There are two stores. Folder keeps objects in a folder, Bucket in a bucket of S3 or
// of what is compatible with it. What a process leaves that is killed:
//
//	while it receives, or before Put   a draft, which Spool.Left shows and Sweep removes
//	in Put of a Folder, before rename  the same, and perhaps empty folders
//	in Put of a Folder, after it       the object, whole; another Put makes it durable
//	in Put of a Bucket                 the draft, and the object either whole or not there
//	in Open of a Bucket                the draft that it is read into
//	in Delete                          the object, whole, or nothing
//
// Nobody but the caller knows whether an object is wanted. Before it is deleted as an
// orphan, the caller must see to it that nobody puts the same content meanwhile: the
// stores cannot, for two puts of one content cannot be told apart.
package object
