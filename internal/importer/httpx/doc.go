// Package httpx turns the output of httpx, which asks hosts for their web pages,
// into records: hosts and domains, services, URLs and paths, what runs there and
// the certificates that were presented.
//
// The output is JSON, a record to a line (-json), of any version; a list of
// records and a single one are read as well.
//
//   - A record is an answer of one page. One that failed shows nothing and covers
//     nothing: nobody can tell a page that is gone from a scanner that was cut off.
//   - The service is that of the address that answered. What runs there is said of
//     the service, and of the URL where no address is known. Where technologies are
//     named the service was asked for them, so that one that is missing is gone.
//   - A name resolves to the addresses that the record gives.
//   - Lengths, hashes, times and word counts are left out: they vary between two
//     looks at the same page.
package httpx
