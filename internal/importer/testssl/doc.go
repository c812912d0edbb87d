// Package testssl turns the output of testssl.sh, which asks servers how they
// speak TLS, into records: hosts, domains, services and certificates.
//
// The output is a table (--csvfile) or a list of the same rows as JSON
// (--jsonfile).
//
//   - A record is one target, of as many rows as follow each other about it. One
//     that could not be reached shows nothing. Rows about no target are counted.
//   - A certificate is known by the digest of what is in the table in full, or else
//     by the digest that is stated. Several of one target stand apart by <cert#1>.
//   - A target with a certificate was asked for it, so that another one is gone.
//   - Without an address the service is that of the name.
//   - What is weak about a server is no matter of this parser.
package testssl
