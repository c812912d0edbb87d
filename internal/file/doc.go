// Package file collects files: the bytes go to a store of objects, what they are to
// the database. Neither can take part in a transaction of the other, so a file is
// first an intent, then an object, then a row:
//
//	0 spooled  the bytes are a draft in the spool, counted and hashed
//	1 intended a row of file_upload has all that will be said of it, committed
//	2 stored   the object is in the store
//	3 kept     one decision makes it a file and an asset, and takes the intent away
//
// Whatever dies in between leaves a draft, which [Service.Sweep] removes, and an intent,
// of which [Service.Settle] makes a file if its object is there and nothing if it is
// not. So no object is without a row that knows it, and none is ever deleted here.
// [Service.Examine] tells what is between two steps, and which object is lost.
package file
