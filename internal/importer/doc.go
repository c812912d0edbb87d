// Package importer takes files of any known format to a sync: it picks the
// parser, gives it the files one by one as they arrive, and hands what it emits
// to the authority service.
//
// A format is a pure parser in a folder of its own below this one and one entry
// in the table of formats here. Nothing is read before the caller was checked,
// and nothing is kept in memory but the files that steer a parser (owners and
// policy).
//
// The parsers of scans (nmap, ZAP, httpx, naabu, masscan, subfinder, sslyze,
// testssl) share the package surface, and what is done with them: see scan.
package importer
