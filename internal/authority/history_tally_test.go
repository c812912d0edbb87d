package authority_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// expected is what as many histories have to show. Of sixty, what every seventh of
// them shows: that none does comes about once in ten thousand times. What is rarer
// needs more of them, or has an example. Manual is a reason that only people give.
func expected(number int) []string {
	list := []string{"applied", "unchanged", "repeated", "late", "incomplete", "complete", "added", "changed", "removed",
		"deep", "ineffective", "counted none", "many voices", "valid", "orphaned", "egress none", "dead between",
		"basis detected", "severity 2", "severity 3", "severity 4", "level 1",
		"exposure changed", "member gone", "member of a class", "counter changed", "counted executions", "exposure path_removed",
		"type 1 opened", "type 4 opened", "type 6 opened", "type 11 opened", "type 12 opened", "type 13 opened",
		"cluster 1", "cluster 4", "cluster 9", "cluster 12",
		"type 16 opened", "cluster 13"}
	for _, table := range former {
		list = append(list, "former "+table)
	}
	list = append(list, "member of another rank")
	list = append(list, expectedOfPosture(number)...)
	if number < 1000 {
		return list
	}
	list = append(list, "revived", "rotated", "unbound", "by path", "degraded", "basis path_first_seen", "severity 1",
		"cluster 2", "cluster 5", "cluster 7", "cluster 8", "cluster 11")
	list = append(list, "by workload", "renewed", "level 2", "level 3", "lineage continued", "succeeded", "basis entity_event",
		"cluster 3", "cluster 6", "cluster 10", "cluster 20", "rule 1 doubted", "rule 11 doubted", "rule 12 doubted", "rule 13 doubted",
		"rule 5 doubted", "rule 7 doubted", "rule 8 doubted", "type 6 doubted")
	for _, d := range rule.Definitions {
		list = append(list, fmt.Sprintf("type %d opened", d.Type), fmt.Sprintf("type %d resolved", d.Type))
	}
	for _, r := range []rule.Type{rule.OrphanedPath, rule.UnknownOwnership, rule.SensitiveReach, rule.SharedIdentity} {
		list = append(list, fmt.Sprintf("type %d again", r))
	}
	for _, reason := range []rule.Reason{
		rule.OwnerAssigned, rule.OwnerReactivated, rule.IndividualOwnerAssigned, rule.OwnershipReceived, rule.OwnershipChanged, rule.ActivityResumed,
		rule.IdentityBound, rule.EvidenceAppeared, rule.ScopeReduced, rule.BaselineAttested, rule.EgressRemoved, rule.HostReclassified,
		rule.IdentityDedicated, rule.AssetGone, rule.LinkRemoved, rule.IdentityRemoved, rule.WorkloadRemoved, rule.RuleRetired, rule.RuleChanged, rule.SettingChanged} {
		list = append(list, "condition "+string(reason))
	}
	for _, reason := range []rule.Reason{rule.PathIneffective, rule.WorkloadRemoved, rule.RotatedToSuccessor, rule.AssetGone, rule.LinkRemoved} {
		list = append(list, "exposure "+string(reason))
	}
	if number < 4000 {
		return list
	}
	list = append(list, "type 10 doubted", "false positive inherited", "rule 2 doubted", "rule 3 doubted", "rule 9 doubted")
	for _, d := range rule.Definitions {
		list = append(list, fmt.Sprintf("type %d again", d.Type))
	}
	for _, reason := range []rule.Reason{rule.OwnerRecordCleaned, rule.IdentityDisabled} {
		list = append(list, "condition "+string(reason))
	}
	for _, reason := range []rule.Reason{rule.JustificationRecorded, rule.SensitivityReclassified, rule.PrivilegeReduced, rule.PrivilegeExercised, rule.ExecutionCeased} {
		list = append(list, "exposure "+string(reason))
	}
	return list
}

// tally counts what the histories show: how often, and how many of them do.
type tally struct {
	mu            sync.Mutex
	counts, shown map[string]int
}

func newTally() *tally { return &tally{counts: map[string]int{}, shown: map[string]int{}} }

// addHistory adds what one history shows.
func (c *tally) addHistory(history *tally) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for what, n := range history.counts {
		c.counts[what] += n
		if n > 0 {
			c.shown[what]++
		}
	}
}

func (c *tally) add(what string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[what] += n
}

func (c *tally) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(c.counts)) {
		parts = append(parts, fmt.Sprintf("%s %d in %d", what, c.counts[what], c.shown[what]))
	}
	return strings.Join(parts, ", ")
}

// expectedOfPosture is what histories have to show of the posture.
func expectedOfPosture(number int) []string {
	list := []string{"workload without a row in the list", "row of a removed workload", "findings without a path",
		"findings of a workload without an effective path", "several egress categories", "no known executions", "no executions", "executions",
		"executions of others", "several identities", "evidence of an identity alone", "autonomous identity", "identity of several classes",
		"autonomous gained", "orphaned event", "invalidated event",
		"snapshot with other values", "snapshot with clusters", "mode autonomous", "mode operator_assisted", "mode human_triggered", "mode "}
	if number < 1000 {
		return list
	}
	list = append(list, "workload came back", "executions without a path", "last execution by an identity", "dormant identity", "mode triggered",
		"autonomous gained twice", "autonomous gained again", "autonomous lost", "invalid paths executed")
	for severity := range 5 {
		list = append(list, fmt.Sprint("severity of a workload ", severity))
	}
	return list
}

func (c *tally) note(w *world, o outcome) {
	c.add(string(o.Outcome), 1)
	if o.Silent || o.Outcome == authority.Late {
		return
	}
	c.add(map[bool]string{true: "complete", false: "incomplete"}[o.Complete], 1)
	if o.Renewed {
		c.add("renewed", 1)
	}
	c.judged(w, o.At)
	c.add("added", o.Paths.Added)
	c.add("changed", o.Paths.Changed)
	c.add("removed", o.Paths.Removed)
	c.add("revived", o.Revived)
	c.add("rotated", o.Rotations)
	for _, s := range w.successions {
		if s.At.Equal(o.At) {
			c.add("succeeded", 1)
		}
	}
	for key, history := range w.paths {
		if !history.begun(o.At) || history.now().Removed {
			continue
		}
		p := history.now()
		c.add(p.Ownership, 1)
		c.add("egress "+p.Egress, 1)
		switch {
		case p.Basis != "":
			c.add("by "+p.Basis, 1)
		case p.Execution == 0:
			c.add("counted none", 1)
		}
		if key.Identity == unnamed {
			c.add("unbound", 1)
		}
		if p.Depth > 0 {
			c.add("deep", 1)
		}
		if !p.Effective {
			c.add("ineffective", 1)
		}
		if key.Workload.System != key.Resource.System {
			c.add("across systems", 1)
		}
	}
	for r := range w.entities {
		voices := 0
		for _, v := range w.voices {
			for key := range v.said {
				if k, is := key.(entityKey); is && k.Ref == r {
					voices++
				}
			}
		}
		if voices > 1 {
			c.add("many voices", 1)
		}
		if r.Kind == record.Identity && !w.alive(r) && len(w.targets(record.Authenticates, r)) > 0 {
			c.add("dead between", 1)
		}
	}
}

// judged notes what a step did to conditions, exposures and clusters.
func (c *tally) judged(w *world, at time.Time) {
	c.add("judged", 1)
	for s, list := range w.conditions {
		for i, x := range list {
			if x.From.Equal(at) {
				c.add(fmt.Sprintf("rule %d fired", s.Rule), 1)
				c.add("basis "+string(x.Basis), 1)
				if i > 0 {
					c.add(fmt.Sprintf("rule %d again", s.Rule), 1)
				}
			}
			if x.To.Equal(at) {
				c.add(fmt.Sprintf("rule %d resolved", s.Rule), 1)
				c.add(fmt.Sprintf("condition %s", x.Reason), 1)
			}
			if v := latest(x.Versions); v.From.Equal(at) && !v.State.Since.IsZero() {
				c.add(fmt.Sprintf("rule %d doubted", s.Rule), 1)
			}
		}
	}
	for p, list := range w.exposures {
		for i, x := range list {
			if x.From.Equal(at) {
				c.add(fmt.Sprintf("type %d opened", p.Type), 1)
				c.add(fmt.Sprintf("severity %d", x.Versions[0].State.Severity), 1)
				if i > 0 {
					c.add(fmt.Sprintf("type %d again", p.Type), 1)
				}
				if x.Versions[0].State.Disposition == 4 {
					c.add("false positive inherited", 1)
				}
				if !x.Lineage.Equal(x.Effective) {
					c.add("lineage continued", 1)
				}
			}
			if x.To.Equal(at) {
				c.add(fmt.Sprintf("type %d resolved", p.Type), 1)
				c.add("exposure "+string(x.Reason), 1)
			}
			if v := latest(x.Versions); v.From.Equal(at) && !v.State.Since.IsZero() {
				c.add(fmt.Sprintf("type %d doubted", p.Type), 1)
			}
			if len(x.Versions) > 1 && latest(x.Versions).From.Equal(at) {
				c.add("exposure changed", 1)
			}
		}
	}
	for s, list := range w.members {
		m := latest(list)
		if m.From.Equal(at) {
			c.add(fmt.Sprintf("cluster %d", s.Cluster), 1)
			c.add(fmt.Sprintf("level %d", m.Level), 1)
			if m.Class != (class{}) {
				c.add("member of a class", 1)
			}
		}
		if m.To.Equal(at) {
			c.add("member gone", 1)
		}
	}
	for cell, history := range w.counters {
		if history.begun(at) {
			c.add("counter changed", 1)
			if n := history.now(); n.Executions > 0 && cell.All {
				c.add("counted executions", 1)
			}
		}
	}
	c.summed(w, at)
}

// summed notes what a step did to the posture.
func (c *tally) summed(w *world, at time.Time) {
	note := func(what string, holds bool) {
		if holds {
			c.add(what, 1)
		}
	}
	for r, row := range w.workers {
		history := w.entities[r].versions
		note("workload without a row in the list", row.Live && !row.Listed)
		note("row of a removed workload", !row.Live)
		note("workload came back", row.Live && len(history) > 1 && w.entities[r].begun(at) && !history[len(history)-2].State.alive())
		note("findings without a path", row.Listed && row.Paths == 0)
		note("findings of a workload without an effective path", row.Severity > 0 && row.Paths == 0)
		note("several egress categories", row.Categories&(row.Categories-1) != 0)
		note("no known executions", row.Listed && row.Executions == unknownExecutions)
		note("no executions", row.Executions == 0)
		note("executions", row.Executions > 0)
		note("executions of others", row.Executions > row.Own)
		note("executions without a path", row.Executions > 0 && row.Paths == 0)
		note("last execution by an identity", !row.LastExecution.IsZero() && row.Own == 0 && row.Executions > 0)
		note("severity of a workload "+fmt.Sprint(row.Severity), row.Listed)
		note("mode "+row.Mode, row.Live)
		note("several identities", strings.Contains(row.Identities, " "))
	}
	circles := map[record.Ref]int{}
	for a, u := range w.usages {
		circles[a.Identity]++
		note("evidence of an identity alone", u.Executions > 0)
		note("autonomous identity", u.Autonomous)
	}
	for _, n := range circles {
		note("identity of several classes", n > 2)
	}
	for ring, history := range w.totals {
		if !ring.All || !history.begun(at) {
			continue
		}
		n, last := history.now(), len(history.versions)-1
		var before totals
		if last > 0 {
			before = history.versions[last-1].State
		}
		note("dormant identity", n.DormantIdentities > 0)
		note("autonomous gained", n.ModesGained > before.ModesGained)
		note("autonomous gained twice", n.ModesGained > before.ModesGained && n.ModesGained > 1)
		note("autonomous gained again", n.ModesGained > before.ModesGained && before.ModesGained > 0)
		note("autonomous lost", n.ActiveAutonomous < before.ActiveAutonomous)
		note("orphaned event", n.PathsOrphaned > before.PathsOrphaned)
		note("invalidated event", n.PathsInvalidated-n.PathsOrphaned > before.PathsInvalidated-before.PathsOrphaned)
		note("invalid paths executed", n.ExecutedInvalid > 0)
	}
	if last := len(w.pictures) - 1; last > 0 {
		note("snapshot with other values", w.pictures[last].Totals != w.pictures[last-1].Totals)
		note("snapshot with clusters", w.pictures[last].Clusters != "")
	}
}
