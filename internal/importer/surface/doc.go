// Package surface is what the parsers of scans share: the one normal form of
// what an asset is called, and the guarded reading of XML.
//
// Two scanners that saw one host, page or certificate must name it alike, or it
// would stand there twice. So only this package makes a [record.AssetRef], and a
// name is refused rather than mended where mending would be a guess.
//
// Everything here is pure: nothing is opened, looked up or kept.
package surface
