// Package asset keeps the outer surface: what scanners see from outside (domains,
// hosts, services, pages, certificates, technologies, files), where they looked,
// and which workloads stand behind it.
//
// A scan is a delivery of a source like any other: Surface has its lane in the
// transaction of authority's sync. What a source saw is an interval, the asset is
// derived from what all sources say of it, and only a delivery that looked takes
// away. Package change reads its events off the history that is left here.
package asset
