// Package nmap turns the XML of nmap (-oX) into records: hosts that are up, the
// names they go by, their open ports, what runs there, and the certificates
// that it presents.
//
//   - Each host that the file lists is one record. Of one that is down it is
//     empty: it says only that somebody looked.
//   - What was looked at stands in the record of the last host: the addresses
//     that were probed, and the ports that were probed on those that were up. A
//     scan that did not end well covers nothing of this.
//   - What a host was asked about one service (what runs there, its certificate)
//     stands with the service, for it was over when the host was written.
//   - A product is told from the answers of a service only. The name that nmap
//     gives a port from its number is marked as a guess.
//   - Of scripts ssl-cert alone is read.
package nmap
