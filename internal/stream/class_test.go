package stream

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/change"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// Who sees a part follows what they share with others: a class that is newer than those
// that were looked up may stand for several.
func TestClassesOfAPart(t *testing.T) {
	t.Parallel()
	s := newStudio(t)
	organization, super := s.prepare("acme"), s.Super(t)
	exec := func(sql string, args ...any) {
		_, err := super.Exec(context.Background(), sql, append([]any{organization}, args...)...)
		require.NoError(t, err, sql)
	}
	exec(`INSERT INTO access_class VALUES ($1, 1, 'prod', '', ''), ($1, 2, 'stage', '', '')`)
	x := s.open(nil)
	s.run(x)
	limited := access.With(s.ctx, access.Actor{
		Subject: "part", Role: access.Client, AllOrganizations: true, Scopes: access.Scopes, Attributes: access.Attributes{Environment: []string{"prod"}}})
	subscription, err := x.Subscribe(limited, organization, nil, change.Filter{})
	require.NoError(t, err)
	t.Cleanup(subscription.Close)
	b, err := subscription.Next(limited)
	require.NoError(t, err)
	require.True(t, b.Heartbeat, "there is nothing yet")

	discovered := func(name string, class int) { // by a delivery, which is nobody's who sees a part
		s.day = s.day.Add(24 * time.Hour)
		exec(`INSERT INTO sync (organization_id, id, source_id, version, at, observed_at, recorded_at, actor, outcome, complete, content_digest, records_read, records_rejected,
				paths_added, paths_kept, paths_changed, paths_removed, assets_added, rejections, warnings)
			SELECT $1, md5($2)::uuid, s.id, extract(epoch FROM $3::timestamptz)::bigint, $3, $3, $3, 'test', 'applied', true, $1, 0, 0, 0, 0, 0, 0, 1, '[]', '[]' FROM source s WHERE s.organization_id = $1`, name, s.day)
		exec(`INSERT INTO asset (organization_id, id, kind, value, first_seen_at, status, attributes, class, from_at) VALUES ($1, md5($2)::uuid, 'host', $2, $4, 'active', '{}', $3, $4)`, name, class, s.day)
		exec(`INSERT INTO change_outbox (organization_id, at, cause, urgent, size, recorded_at) VALUES ($1, $2, 'sync', true, 2, now())`, s.day)
		x.Wake(organization)
	}
	next := func(name string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(limited, patience)
		defer cancel()
		b := Batch{Heartbeat: true}
		for b.Heartbeat {
			b, err = subscription.Next(ctx)
			require.NoError(t, err)
		}
		require.Len(t, b.Events, 1)
		var want id.ID
		require.NoError(t, super.QueryRow(ctx, `SELECT md5($1)::uuid`, name).Scan(&want))
		require.Equal(t, want, b.Events[0].EntityID, name)
	}
	discovered("theirs", 2)
	discovered("ours", 1)
	next("ours")
	exec(`INSERT INTO access_class_set VALUES ($1, 3, '{1, 2}', sha256('1,2'))`)
	discovered("shared", 3)
	next("shared")
	exec(`INSERT INTO access_class VALUES ($1, 4, 'test', '', '')`)
	exec(`INSERT INTO access_class_set VALUES ($1, 5, '{2, 4}', sha256('2,4')), ($1, 6, '{1, 2, 4}', sha256('1,2,4'))`)
	discovered("shared by others", 5)
	discovered("shared by all", 6)
	next("shared by all")
	discovered("shared again", 3)
	next("shared again")
	require.Zero(t, x.Stats().Replayed, "all of it came while it happened")
}
