package posture

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
)

// Priority says in which order to look at clusters.
type Priority string

// The priorities.
const (
	P0 Priority = "P0"
	P1 Priority = "P1"
	P2 Priority = "P2"
)

// Priority of a cluster with so many paths; nil where it is empty.
func (d Definition) Priority(paths int64) *Priority {
	priority := P2
	switch {
	case paths == 0:
		return nil
	case d.Severity == rule.Critical:
		priority = P0
	case d.Severity == rule.High:
		priority = P1
	}
	return &priority
}

// Urgency says how much of a cluster is known to happen, and not only possible.
type Urgency string

// The urgencies.
const (
	UrgencyCritical Urgency = "critical" // sensitive data was reached in the window, and governance failed
	UrgencyHigh     Urgency = "high"     // sensitive data was reached in the window
	UrgencyModerate Urgency = "moderate" // governance failed, with nothing sensitive executed
	UrgencyLow      Urgency = "low"      // it stands, and is not used
	UrgencyUnknown  Urgency = "unknown"  // nothing executed is known, and nobody watched all of it
)

// ungoverned are the types that say that nobody answers for the authority, or
// that it outgrew what somebody approved.
const ungoverned = 1<<(rule.OrphanedPath-1) | 1<<(rule.DegradedOwnership-1) | 1<<(rule.AmbiguousOwnership-1) | 1<<(rule.UnknownOwnership-1) |
	1<<(rule.UnboundPath-1) | 1<<(rule.ScopeExpansion-1) | 1<<(rule.ExcessPrivilege-1)

// Urgency of a cluster that comes to these totals; nil where it is empty.
func (d Definition) Urgency(t Totals) *Urgency {
	governance := (d.AllMask()|d.AnyMask())&ungoverned != 0
	urgency := UrgencyLow
	switch {
	case t.Paths == 0:
		return nil
	case t.ExecutedSensitive > 0 && governance:
		urgency = UrgencyCritical
	case t.ExecutedSensitive > 0:
		urgency = UrgencyHigh
	case t.Executions == 0 && t.Unwatched > 0:
		urgency = UrgencyUnknown
	case governance:
		urgency = UrgencyModerate
	}
	return &urgency
}

// Sentence is the verdict on a cluster that comes to these totals.
func (d Definition) Sentence(t Totals, dormantAfter time.Duration) string {
	if t.Paths == 0 {
		return "No authority path matches."
	}
	return strings.NewReplacer(
		"{identities}", counted(t.Identities, "identity", "identities"),
		"{workloads}", counted(t.Workloads, "workload", "workloads"),
		"{paths}", counted(t.Paths, "path", "paths"),
		"{executions}", t.runs(),
		"{dormancy}", counted(int64(dormantAfter/(24*time.Hour)), "day", "days"),
	).Replace(d.Verdict)
}

// runs says how often, as far as anybody knows.
func (t Totals) runs() string {
	times := counted(t.Executions, "time", "times")
	switch {
	case t.Unwatched > 0 && t.Executions == 0:
		return "an unknown number of times"
	case t.Unwatched > 0:
		return "at least " + times
	}
	return times
}

func counted(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// Terms counts what the expression asks for; alternatives are one term.
func (d Definition) Terms() int {
	if len(d.Any) > 0 {
		return len(d.All) + 1
	}
	return len(d.All)
}

// Types are the exposure types of the expression, by number.
func (d Definition) Types() []rule.Type {
	types := slices.Concat(d.All, d.Any)
	slices.Sort(types)
	return types
}

// Primary is the one of several clusters that a path is shown under: the
// gravest, then the one with most terms, then the first by key. Nil of none.
func Primary(clusters []*Cluster) *Cluster {
	if len(clusters) == 0 {
		return nil
	}
	return slices.MinFunc(clusters, before)
}

// before sorts the clusters of a path, the primary one first.
func before(a, b *Cluster) int {
	switch {
	case a.Severity != b.Severity:
		return int(b.Severity - a.Severity)
	case a.Terms() != b.Terms():
		return b.Terms() - a.Terms()
	}
	return strings.Compare(a.Key, b.Key)
}
