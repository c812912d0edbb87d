package authority_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/posture"
)

// twins are two workloads with an identity and a path each.
func twins() []record.Fact {
	return []record.Fact{
		workload("w1"), workload("w2"), identity("i1"), identity("i2"), role("reader"), resource("ledger", "restricted"),
		runsAs("w1", "i1"), runsAs("w2", "i2"), hasRole("i1", "reader", "*"), hasRole("i2", "reader", "*"), grants("reader", "*", "ledger", "get"),
	}
}

func touching(touches ...authority.Touch) func(*db.Tx, time.Time) ([]authority.Touch, error) {
	return func(*db.Tx, time.Time) ([]authority.Touch, error) { return touches, nil }
}

// Only what is touched is judged again, by the window that stands.
func TestRejudge(t *testing.T) {
	t.Parallel()
	b := setup(t)
	super := b.Super(t)
	acme := id.Organization("acme")
	first := b.sync(t, authority.SyncRequest{}, twins()...)
	named := func(kind, name string) (found id.ID) {
		require.NoError(t, super.QueryRow(b.ctx, `SELECT id FROM entity WHERE kind = $1 AND external_id = $2`, kind, name).Scan(&found))
		return found
	}
	// A text that no rule wrote shows which exposures were judged again.
	forge := func() {
		_, err := super.Exec(b.ctx, `UPDATE exposure SET explanation = 'forged' WHERE to_at IS NULL`)
		require.NoError(t, err)
	}
	forged := func() (workloads []string) {
		rows, err := super.Query(b.ctx, `SELECT DISTINCT w.name FROM exposure x JOIN entity w ON w.organization_id = x.organization_id AND w.id = x.workload_id
			WHERE x.to_at IS NULL AND x.explanation = 'forged' ORDER BY w.name`)
		require.NoError(t, err)
		for rows.Next() {
			var name string
			require.NoError(t, rows.Scan(&name))
			workloads = append(workloads, name)
		}
		require.NoError(t, rows.Err())
		return workloads
	}
	windowAt := func() (at time.Time) {
		require.NoError(t, super.QueryRow(b.ctx, `SELECT window_at FROM organization_window`).Scan(&at))
		return at
	}
	kept := func() (n int) {
		require.NoError(t, super.QueryRow(b.ctx, `SELECT count(*) FROM posture_snapshot`).Scan(&n))
		return n
	}

	snapshots := kept()
	last := first.At
	for name, c := range map[string]struct {
		touch  authority.Touch
		spared string
	}{
		"workload": {authority.TouchWorkload(named("workload", "w1")), "w2"},
		"identity": {authority.TouchIdentity(named("identity", "i2")), "w1"},
	} {
		forge()
		require.Equal(t, []string{"w1", "w2"}, forged())
		b.advance(time.Hour)
		evaluation, err := b.service.Rejudge(b.ctx, acme, authority.ByAttestation, touching(c.touch))
		require.NoError(t, err, name)
		require.Equal(t, []string{c.spared}, forged(), name)
		require.True(t, evaluation.At.After(last), name)
		require.Equal(t, authority.ExposureCounts{}, evaluation.Exposures, name)
		last = evaluation.At
		var cause, actor string
		require.NoError(t, super.QueryRow(b.ctx, `SELECT cause, actor FROM evaluation WHERE at = $1`, last).Scan(&cause, &actor), name)
		require.Equal(t, []string{"attestation", "test"}, []string{cause, actor}, name)
	}
	require.Equal(t, first.At.UTC(), windowAt().UTC())
	require.Equal(t, snapshots+2, kept())

	forge()
	evaluation, err := b.service.Rejudge(b.ctx, acme, authority.ByJustification, touching())
	require.NoError(t, err)
	require.Equal(t, []string{"w1", "w2"}, forged(), "nothing is named, nothing is judged")
	require.True(t, evaluation.At.After(last), "it has its place on the clock even so, and a stopped clock is no excuse")

	next := slices.Clone(rule.Definitions)
	next[0].Version++
	judges := authority.New(b.DB, exposure.NewAssessor(next, posture.New(posture.Definitions)), func() time.Time { return time.UnixMicro(b.clock.Load()).UTC() }, slog.New(slog.DiscardHandler))
	_, err = judges.Rejudge(b.ctx, acme, authority.ByJustification, touching())
	require.NoError(t, err)
	require.Empty(t, forged(), "another judge judges everything")
}

func TestRejudgeRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	acme := id.Organization("acme")
	b.sync(t, authority.SyncRequest{}, twins()...)
	state := func() (n int) {
		require.NoError(t, b.Super(t).QueryRow(b.ctx, `SELECT (SELECT count(*) FROM evaluation) + (SELECT count(*) FROM scope_baseline) + (SELECT count(*) FROM posture_snapshot)`).Scan(&n))
		return n
	}
	before := state()
	called := false
	rejudge := func(ctx context.Context, organization id.ID) error {
		_, err := b.service.Rejudge(ctx, organization, authority.ByAttestation, func(*db.Tx, time.Time) ([]authority.Touch, error) {
			called = true
			return nil, nil
		})
		return err
	}
	as := func(scopes []access.Scope, organizations ...string) context.Context {
		return access.With(context.Background(), access.Actor{Subject: "eve", Role: access.Client, Scopes: scopes, Organizations: organizations})
	}
	require.ErrorContains(t, rejudge(context.Background(), acme), "access token")
	require.Equal(t, access.OrganizationNotFound(), rejudge(as(access.Scopes, "rival"), acme))
	require.ErrorContains(t, rejudge(as([]access.Scope{access.View, access.Operate, access.Audit, access.Approve}, "acme"), acme), "vuln:investigate")
	require.Equal(t, access.OrganizationNotFound(), rejudge(b.ctx, id.Organization("nowhere")))
	require.False(t, called)

	broken := errors.New("broken")
	_, err := b.service.Rejudge(b.ctx, acme, authority.ByAttestation, func(tx *db.Tx, at time.Time) ([]authority.Touch, error) {
		if err := tx.Script(b.ctx, db.Query{Name: "test", SQL: `INSERT INTO scope_baseline (organization_id, identity_id, at, basis) SELECT id, id, now(), 'attested' FROM organization`}); err != nil {
			return nil, err
		}
		return nil, broken
	})
	require.ErrorIs(t, err, broken)
	require.Equal(t, before, state(), "what prepare wrote is undone with it")
	require.NoError(t, rejudge(as([]access.Scope{access.Investigate}, "acme"), acme))
	require.Equal(t, before+2, state())
}

// A sync and an analyst take turns.
func TestRejudgeWaitsItsTurn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	super := b.Super(t)
	b.sync(t, authority.SyncRequest{}, twins()...)
	synced := make(chan error, 1)
	var report *authority.SyncReport
	evaluation, err := b.service.Rejudge(b.ctx, id.Organization("acme"), authority.ByAttestation, func(*db.Tx, time.Time) ([]authority.Touch, error) {
		go func() {
			var err error
			report, err = b.trySync(authority.SyncRequest{ObservedAt: epoch.Add(time.Minute)}, twins()[1:]...)
			synced <- err
		}()
		require.Eventually(t, func() bool {
			var waiting bool
			require.NoError(t, super.QueryRow(b.ctx, `SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database
				WHERE d.datname = current_database() AND l.locktype = 'advisory' AND NOT l.granted)`).Scan(&waiting))
			return waiting
		}, 30*time.Second, 5*time.Millisecond, "the sync waits")
		return nil, nil
	})
	require.NoError(t, err)
	require.NoError(t, <-synced)
	require.True(t, report.At.After(evaluation.At), "it comes after what it waited for")
}
