// Package zap turns a report of ZAP, as XML or as JSON, into records: the sites
// that it looked at and the pages that it reports something about.
//
//   - Each instance of an alert is one record: the url and its path, on the place
//     that the url itself names, which need not be the site that it stands under.
//   - A site is told with its first instance, or in a record of its own where it
//     has none, and covers the pages of its origin.
//   - A service is told where a place is known by its address. Behind a name may
//     stand any number of hosts.
//   - What the alerts say is not read here.
package zap
