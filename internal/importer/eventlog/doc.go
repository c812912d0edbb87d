// Package eventlog reads logs of JSON events, one event at a time, and counts
// what they prove by the day.
//
// A log is one event to a line, a list of events, or an object that holds such a
// list under a key; a file may mix them. What is not JSON in a log of lines is
// rejected by its line and the next line is read. In a list that stands over many
// lines nothing can be told after a fault, so the file is refused.
//
// Memory is bounded by one event and by the distinct things that are counted,
// whatever the size of the log.
package eventlog
