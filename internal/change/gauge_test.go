package change_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/change"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// TestTotals: over all organizations, each behind its own policy, and not more often
// than is asked for.
func TestTotals(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	gauge := change.NewGauge(r.DB, r.now, 5*time.Second)
	is := func(want change.Totals) {
		t.Helper()
		got, err := gauge.Totals(r.ctx)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	is(change.Totals{})
	r.say(world(runs("w1", "i1"), grants("ledger", "restricted", "get"))...)
	is(change.Totals{Backlog: 1})
	published := int64(len(r.drain()))
	is(change.Totals{Backlog: 1})
	r.advance(5 * time.Second)
	is(change.Totals{Published: published})

	// Others, with more notes than one and with gaps, some of them filled.
	for _, slug := range []string{"idle", "rival", "third"} {
		r.exec(`INSERT INTO organization VALUES ($1, $2, $2, now())`, id.Organization(slug), slug)
	}
	for _, slug := range []string{"rival", "third"} {
		r.exec(`INSERT INTO change_outbox (organization_id, at, cause, urgent, size, recorded_at)
			SELECT $1, now() + n * interval '1 s', 'sync', false, 1, now() FROM generate_series(1, 3) n`, id.Organization(slug))
		r.exec(`INSERT INTO change_gap (organization_id, at, cause, reason, recorded_at, filled_at)
			SELECT $1, now() + n * interval '1 s', 'sync', 'no', now(), CASE WHEN n = 1 THEN now() END FROM generate_series(1, 3) n`, id.Organization(slug))
	}
	r.exec(`INSERT INTO change_head VALUES ($1, 40)`, id.Organization("third"))
	r.advance(5 * time.Second)
	is(change.Totals{Published: published + 40, Backlog: 6, Gaps: 4})
}
