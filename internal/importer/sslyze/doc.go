// Package sslyze turns the output of sslyze, which asks servers how they speak
// TLS, into records: hosts, domains, services and certificates.
//
// The output is JSON (--json_out) of the versions 3 to 6.
//
//   - A record is one server. One that could not be reached shows nothing.
//   - A certificate is the one that the server presents, the first of its chain.
//     Those above it belong to nobody here; the one that is presented without a
//     name (6.x) is that of another host by design. Both are left out.
//   - The service was asked for its certificates only if both the scan and that
//     part of it were completed.
//   - Without an address (through a proxy) the service is that of the name.
//   - What is weak about a server is no matter of this parser.
package sslyze
