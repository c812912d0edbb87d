package triage_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
	"github.com/exposuregraph/exposuregraph/internal/ledger/book"
	"github.com/exposuregraph/exposuregraph/internal/org"
	"github.com/exposuregraph/exposuregraph/internal/posture"
	"github.com/exposuregraph/exposuregraph/internal/triage"
)

// line is an exposure, or a former version of one, as it is compared.
type line struct {
	Spot     string
	Ordinal  int
	Version  int
	State    triage.State
	Seq      int64
	From, To time.Time
	Reason   string
	Before   int64
}

// loud says what failed to the test itself, too: rapid repeats a history that failed,
// and shows nothing of one that did not fail again.
type loud struct {
	*rapid.T
	say func(format string, args ...any)
}

func (l loud) Errorf(format string, args ...any) {
	l.say(format, args...)
	l.T.Errorf(format, args...)
}

func (h *history) loud(rt *rapid.T) loud { return loud{rt, h.seen.say} }

func (h *history) compare(rt *rapid.T) {
	h.compareRows(rt)
	h.compareClusters(rt)
	h.compareLedger(rt)
}

// recount has everything counted anew by the checks of an operator.
func (h *history) recount(rt *rapid.T) {
	found, err := h.broken(h.slug)
	require.NoError(h.loud(rt), err)
	require.Empty(h.loud(rt), found)
}

func (h *history) compareRows(rt *rapid.T) {
	var want []line
	for s, list := range h.intervals {
		name := fmt.Sprint(s)
		for _, x := range list {
			want = append(want, line{name, x.ordinal, x.version, x.state, x.seq, x.since, x.to, x.reason, x.before})
			for i, p := range x.history {
				want = append(want, line{name, x.ordinal, i + 1, p.state, p.seq, p.from, p.to, "", 0})
			}
		}
	}
	type row struct {
		PathID      id.ID
		Type        rule.Type
		Ordinal     int
		Version     int
		Disposition exposure.Disposition
		DecidedSeq  *int64
		FromAt      time.Time
		ToAt        *time.Time
		Reason      string
		Before      int64
	}
	rows, err := h.conn.Query(context.Background(), `SELECT path_id, type, ordinal, version, disposition, decided_seq, version_from AS from_at, to_at, coalesce(resolution_reason, '') AS reason,
		  coalesce(decided_before, 0) AS before FROM exposure WHERE organization_id = $1
		UNION ALL SELECT path_id, type, ordinal, version, disposition, decided_seq, from_at, to_at, '', 0 FROM exposure_version WHERE organization_id = $1`, h.org)
	require.NoError(h.loud(rt), err)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[row])
	require.NoError(h.loud(rt), err)
	var have []line
	for _, r := range list {
		names := h.paths[r.PathID]
		l := line{Spot: fmt.Sprint(spot{names[0], names[1], r.Type}), Ordinal: r.Ordinal, Version: r.Version, State: triage.StateOf(r.Disposition, false), From: r.FromAt.UTC(), Reason: r.Reason, Before: r.Before}
		if r.DecidedSeq != nil {
			l.Seq = *r.DecidedSeq
		}
		if r.ToAt != nil {
			l.To = r.ToAt.UTC()
		}
		have = append(have, l)
	}
	order := func(a, b line) int {
		return cmp.Or(cmp.Compare(a.Spot, b.Spot), cmp.Compare(a.Ordinal, b.Ordinal), cmp.Compare(a.Version, b.Version))
	}
	slices.SortFunc(want, order)
	slices.SortFunc(have, order)
	require.Equal(h.loud(rt), want, have)
}

// compareClusters counts the paths of each cluster at each level by the states of
// the model's exposures.
func (h *history) compareClusters(rt *rapid.T) {
	masks, unions := map[posture.Level]map[[2]string]int32{}, map[posture.Level]map[string]int32{}
	for _, level := range []posture.Level{posture.Open, posture.Acknowledged, posture.Accepted} {
		masks[level], unions[level] = map[[2]string]int32{}, map[string]int32{}
		counts := map[triage.State]bool{triage.Open: true, triage.Acknowledged: level >= posture.Acknowledged, triage.RiskAccepted: level >= posture.Accepted}
		for s := range h.intervals {
			if x := h.last(s); counts[x.shown()] {
				masks[level][[2]string{s.workload, s.resource}] |= s.typ.Bit()
				unions[level][s.workload] |= s.typ.Bit()
			}
		}
	}
	want, have := map[string]int64{}, map[string]int64{}
	for _, d := range posture.Definitions {
		holds := func(mask int32) bool {
			return mask&d.AllMask() == d.AllMask() && (d.AnyMask() == 0 || mask&d.AnyMask() != 0)
		}
		for level, paths := range masks {
			for path, mask := range paths {
				member := holds(mask)
				if d.Grain == posture.OfWorkload {
					member = holds(unions[level][path[0]]) && mask&(d.AllMask()|d.AnyMask()) != 0
				}
				if member {
					want[fmt.Sprintf("%s at %d", d.Key, level)]++
				}
			}
		}
	}
	snapshot := h.Snapshot()
	defer snapshot.Close(machine)
	var reader posture.Reader
	overview, err := reader.Overview(machine, snapshot, h.org, posture.Open)
	require.NoError(h.loud(rt), err)
	for _, c := range overview {
		for level, totals := range c.Levels {
			if totals.Paths > 0 {
				have[fmt.Sprintf("%s at %d", c.Key, level)] = totals.Paths
			}
		}
	}
	require.Equal(h.loud(rt), want, have)
}

// compareLedger holds the ledger against the decisions of the model, against
// itself, and against the rows.
func (h *history) compareLedger(rt *rapid.T) {
	rows, err := h.conn.Query(context.Background(), `SELECT body FROM ledger_entry WHERE organization_id = $1 AND type IS NOT NULL ORDER BY seq`, h.org)
	require.NoError(h.loud(rt), err)
	bodies, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	require.NoError(h.loud(rt), err)
	require.Len(h.loud(rt), bodies, len(h.decisions))
	for i, body := range bodies {
		entry, err := ledger.Parse(body)
		require.NoError(h.loud(rt), err)
		d := h.decisions[i]
		require.Equal(h.loud(rt), d.Seq, entry.Seq)
		require.Equal(h.loud(rt), d.Actor, entry.Actors[0].Subject)
		require.Equal(h.loud(rt), d.Batch, entry.Batch)
		require.Contains(h.loud(rt), string(entry.Payload), fmt.Sprintf(`"from":"%s"`, d.From))
		require.Contains(h.loud(rt), string(entry.Payload), fmt.Sprintf(`"to":"%s"`, d.To))
	}
	snapshot := h.Snapshot()
	defer snapshot.Close(machine)
	report, err := book.New(h.desk.now).Verify(machine, snapshot, &org.Organization{ID: h.org, Slug: h.slug}, book.Trust{})
	require.NoError(h.loud(rt), err)
	require.True(h.loud(rt), report.Holds(), "%+v", report.Faults)
	require.Equal(h.loud(rt), report.Projection, report.Tables)
}
