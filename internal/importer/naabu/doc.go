// Package naabu turns the output of naabu, which looks for open ports, into
// records: hosts, domains and services.
//
// The output is JSON, a record to a line (-json), of any version; a list of
// records and a single one are read as well.
//
//   - A record is one open port. Where only the name of a host is known there is a
//     domain and no service: a port is one of an address.
//   - Newer versions also tell what they recognized behind the port.
//   - The file does not say which ports of which addresses were probed. So it
//     covers nothing: what is not in it is neither closed nor gone.
package naabu
