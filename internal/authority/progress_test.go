package authority_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// watcher notes what a sync tells of itself, and what it had sent by then.
type watcher struct {
	statements *dbtest.Counter
	phases     []authority.Phase
	sent       []int // statements, when the phase of the place began
	records    []int
}

func (w *watcher) Phase(phase authority.Phase) {
	w.phases, w.sent = append(w.phases, phase), append(w.sent, len(w.statements.Sent()))
}

func (w *watcher) Records(read int) { w.records = append(w.records, read) }

// during is the phase in which a statement was sent first.
func (w *watcher) during(t testing.TB, name string) authority.Phase {
	t.Helper()
	place := slices.Index(w.statements.Sent(), name)
	require.NotEqual(t, -1, place, "%s was not sent", name)
	for i, begun := range slices.Backward(w.sent) {
		if begun <= place {
			return w.phases[i]
		}
	}
	return ""
}

func TestSyncTellsHowFarItIs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const (
		receiving, merging, deriving = authority.PhaseReceiving, authority.PhaseMerging, authority.PhaseDeriving
		judging, writing             = authority.PhaseJudging, authority.PhaseWriting
		counting, committing         = authority.PhaseCounting, authority.PhaseCommitting
	)
	whole := []authority.Phase{receiving, merging, deriving, judging, writing, counting, committing}
	watch := func(request authority.SyncRequest, code string, facts ...record.Fact) *watcher {
		t.Helper()
		b.Statements.Reset()
		w := &watcher{statements: b.Statements}
		request.Progress = w
		_, err := b.trySync(request, facts...)
		if code == "" {
			require.NoError(t, err)
		} else {
			var typed *problem.Error
			require.ErrorAs(t, err, &typed)
			require.Equal(t, code, typed.Code)
		}
		// Each phase once, in their order; each record as it is read.
		last := -1
		for _, phase := range w.phases {
			place := slices.Index(authority.Phases, phase)
			require.Greater(t, place, last, "%v", w.phases)
			last = place
		}
		for i, read := range w.records {
			require.Equal(t, i+1, read)
		}
		return w
	}

	first := watch(authority.SyncRequest{ObservedAt: epoch}, "", shop()...)
	require.Equal(t, whole, first.phases)
	require.Len(t, first.records, len(shop()))
	for name, phase := range map[string]authority.Phase{
		"authority.create_stage": receiving, "authority.lock_organization": merging, "authority.assert_edges": merging, "authority.update_source": merging,
		"authority.window_at": deriving, "authority.derive_entities": deriving, "authority.diff_paths": deriving, "exposure.open_all_exposures": judging,
		"authority.add_paths": writing, "posture.sum_workloads": counting, "posture.write_posture": counting, "authority.add_sync": committing, "outbox.note": committing,
	} {
		require.Equal(t, phase, first.during(t, name), name)
	}

	repeated := watch(authority.SyncRequest{ObservedAt: epoch}, "", shop()...)
	require.Equal(t, []authority.Phase{receiving, merging}, repeated.phases)
	b.advance(time.Hour)
	unchanged := watch(authority.SyncRequest{}, "", shop()...)
	require.Equal(t, []authority.Phase{receiving, merging, committing}, unchanged.phases)
	late := watch(authority.SyncRequest{ObservedAt: epoch.Add(-time.Hour)}, "", shop()[1:]...)
	require.Equal(t, []authority.Phase{receiving, merging, committing}, late.phases)

	// What was refused has got so far and no further.
	strict := watch(authority.SyncRequest{Strict: true}, "DUPLICATE_RECORD", append(shop(), workload("checkout"))...)
	require.Equal(t, []authority.Phase{receiving, merging}, strict.phases)
	require.Len(t, strict.records, len(shop())+1)
	unread := watch(authority.SyncRequest{Strict: true}, "INVALID_REFERENCE", workload(""))
	require.Equal(t, []authority.Phase{receiving}, unread.phases)

	// One that adds nothing but a name writes no path.
	b.advance(time.Hour)
	named := workload("checkout")
	named.Name = "Checkout"
	renamed := watch(authority.SyncRequest{}, "", append([]record.Fact{named}, shop()[1:]...)...)
	require.NotContains(t, renamed.phases, writing)
	require.Equal(t, committing, renamed.phases[len(renamed.phases)-1])
}
