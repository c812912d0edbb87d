package invariant

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// pictured is what a snapshot says of a cluster.
type pictured struct {
	Paths      int64 `json:"paths"`
	Executions int64 `json:"executions"`
}

// picture is what a snapshot says of all clusters.
type picture struct {
	at       int64
	clusters map[string]pictured
}

// moment is what can leave a snapshot behind.
type moment struct {
	sync    id.ID // nil for an evaluation
	outcome string
}

// moments are all syncs that were taken, and all evaluations.
func (w *world) moments(ctx context.Context) (map[int64]moment, error) {
	type sync struct {
		ID      id.ID
		At      time.Time
		Outcome string
	}
	type evaluation struct{ At time.Time }
	all := map[int64]moment{}
	err := walk(ctx, w.reader, "syncs", nil,
		func(r *sync) pgx.StrictNamedArgs { return pgx.StrictNamedArgs{"id": r.ID} },
		func(r *sync) {
			if r.Outcome != "late" {
				all[r.At.UnixMicro()] = moment{r.ID, r.Outcome}
			}
		})
	if err != nil {
		return nil, err
	}
	return all, walk(ctx, w.reader, "evaluations", nil,
		func(r *evaluation) pgx.StrictNamedArgs { return pgx.StrictNamedArgs{"at": r.At} },
		func(r *evaluation) { all[r.At.UnixMicro()] = moment{} })
}

// snapshot is a row. Null is what was not measured.
type snapshot struct {
	At                   time.Time
	SyncID               *id.ID
	Paths                int64
	DormantPaths         int64
	Executions           int64
	InvalidPaths         int64
	ExecutedInvalidPaths int64
	SensitivePaths       *int64
	Workloads            *int64
	Autonomous           *int64
	OperatorAssisted     *int64
	HumanTriggered       *int64
	Unclassified         *int64
	Identities           *int64
	ActiveIdentities     *int64
	ActiveAutonomous     *int64
	DormantIdentities    *int64
	PathsAdded           *int64
	PathsRemoved         *int64
	PathsOrphaned        *int64
	PathsInvalidated     *int64
	AutonomousGained     *int64
	Clusters             json.RawMessage
}

// measured are the columns that have a value.
func (s *snapshot) measured() map[string]int64 {
	found := map[string]int64{"paths": s.Paths, "dormant_paths": s.DormantPaths, "executions": s.Executions, "invalid_paths": s.InvalidPaths,
		"executed_invalid_paths": s.ExecutedInvalidPaths}
	for name, number := range map[string]*int64{
		"sensitive_paths": s.SensitivePaths, "workloads": s.Workloads, "autonomous": s.Autonomous, "operator_assisted": s.OperatorAssisted,
		"human_triggered": s.HumanTriggered, "unclassified": s.Unclassified, "identities": s.Identities, "active_identities": s.ActiveIdentities,
		"active_autonomous": s.ActiveAutonomous, "dormant_identities": s.DormantIdentities, "paths_added": s.PathsAdded, "paths_removed": s.PathsRemoved,
		"paths_orphaned": s.PathsOrphaned, "paths_invalidated": s.PathsInvalidated, "autonomous_gained": s.AutonomousGained,
	} {
		if number != nil {
			found[name] = *number
		}
	}
	return found
}

// checkSnapshots holds the snapshots against the counter of all classes that was
// true then. While that is wrong it proves nothing.
func (w *world) checkSnapshots(ctx context.Context) error {
	result := w.report.of(Snapshots)
	moments, err := w.moments(ctx)
	if err != nil {
		return err
	}
	timeline := w.timeline(allClasses)
	var begin int64
	var last *snapshot
	err = walk(ctx, w.reader, "snapshots", nil,
		func(r *snapshot) pgx.StrictNamedArgs { return pgx.StrictNamedArgs{"at": r.At} },
		func(r *snapshot) {
			result.Compared++
			at := r.At.UnixMicro()
			if last == nil {
				begin = at
			}
			last = r
			w.checkMoment(r, moments)
			taken := picture{at: at}
			if json.Unmarshal(r.Clusters, &taken.clusters) == nil { // else the last one says so
				w.pictures = append(w.pictures, taken)
			}
			delete(moments, at)
			want := map[string]int64{}
			if w.report.of(Posture).Findings == 0 {
				want = w.expected(at)
			}
			if timeline.advance(at); w.dated() {
				want["paths"] = timeline.stand
			}
			w.compareSnapshot(r, want)
		})
	if err != nil || last == nil {
		return err
	}
	var unpictured []int64
	for at := range moments {
		if at > begin {
			unpictured = append(unpictured, at)
		}
	}
	slices.Sort(unpictured)
	for _, at := range unpictured {
		result.found(instant(at), "a sync or an evaluation left no snapshot behind", "", "")
	}
	return w.checkPicture(ctx, last)
}

// checkMoment holds a snapshot against the sync or the evaluation that it is of.
func (w *world) checkMoment(r *snapshot, moments map[int64]moment) {
	result, subject := w.report.of(Snapshots), instant(r.At.UnixMicro())
	of, ok := moments[r.At.UnixMicro()]
	if !ok {
		result.found(subject, "no sync and no evaluation ended then", "", "")
		return
	}
	var sync id.ID
	if r.SyncID != nil {
		sync = *r.SyncID
	}
	differ(result, subject, "its sync", of.sync, sync)
}

// expected is what a snapshot should say: what the counter of all classes did, and
// nothing before there was one.
func (w *world) expected(at int64) map[string]int64 {
	want := map[string]int64{}
	for _, v := range w.course {
		if v.from > at {
			break
		}
		for _, f := range v.fields() {
			want[f.name] = f.value.(int64)
		}
	}
	return want
}

func (w *world) compareSnapshot(r *snapshot, want map[string]int64) {
	have := r.measured()
	var should, is []string
	for _, f := range (totals{}).fields() {
		number, measured := have[f.name]
		if wanted, known := want[f.name]; measured && known && wanted != number {
			should = append(should, fmt.Sprintf("%s=%d", f.name, wanted))
			is = append(is, fmt.Sprintf("%s=%d", f.name, number))
		}
	}
	if len(should) > 0 {
		w.report.of(Snapshots).found(instant(r.At.UnixMicro()), "it says something else", strings.Join(should, " "), strings.Join(is, " "))
	}
}

// checkPicture holds the last snapshot against the clusters. Of those that a
// person's decision has moved since, only what is kept of them can be compared.
func (w *world) checkPicture(ctx context.Context, last *snapshot) error {
	result, subject := w.report.of(Snapshots), instant(last.At.UnixMicro())
	have := map[string]pictured{}
	if err := json.Unmarshal(last.Clusters, &have); err != nil {
		result.found(subject, "its clusters cannot be read", "", string(last.Clusters))
		return nil //nolint:nilerr // told as a finding
	}
	type moved struct {
		Key               string
		Paths, Executions int64
	}
	since, err := db.Select[moved](ctx, w.reader.querier, queries.Get("moved_counters"),
		pgx.StrictNamedArgs{"at": last.At, "class": allClasses, "level": acknowledged})
	if err != nil {
		return err
	}
	for _, m := range since {
		if delete(w.acknowledged, m.Key); m.Paths > 0 {
			w.acknowledged[m.Key] = pictured{m.Paths, m.Executions}
		}
	}
	keys := map[string]bool{}
	for key := range have {
		keys[key] = true
	}
	for key := range w.acknowledged {
		keys[key] = true
	}
	for _, key := range strings.Fields(sortedWords(keys)) {
		differ(result, subject+", "+key, "what it says of the cluster", w.acknowledged[key], have[key])
	}
	return nil
}
