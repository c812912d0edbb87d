// Package masscan turns the output of masscan, which looks for open ports, into
// records: hosts and services.
//
// The output is JSON (-oJ), of any version: what older versions write that is no
// JSON (commas after the last record, an end of {finished: 1}) is mended on the
// way. Records to a line (-oD) are read as well.
//
//   - A record is one address with one port or more; the same address stands there
//     again and again. A port that is said to be closed was seen to be.
//   - What a service said of itself comes in records of its own. Its name is that
//     of a protocol; other kinds of findings (titles, certificates in full,
//     weaknesses) say nothing about what the service is and are left out. A banner
//     of several lines is left out with a warning.
//   - The file does not say which ports of which addresses were probed. So it
//     covers nothing: what is not in it is neither closed nor gone.
package masscan
