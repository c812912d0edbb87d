package stream

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/change"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// TestRingAndReplayAreTheTable: whatever the ring holds or has lost, whoever numbered,
// and wherever a subscriber stands, it sees what is in the table behind its place and
// passes its filter, in order and once.
func TestRingAndReplayAreTheTable(t *testing.T) {
	t.Parallel()
	s := newStudio(t)
	super := s.Super(t)
	_, err := super.Exec(s.ctx, `SET session_replication_role = replica`) // no organization is made for each history
	require.NoError(t, err)
	tailing := access.With(s.ctx, access.Actor{Subject: subject, Scopes: []access.Scope{access.View}, AllOrganizations: true})
	histories, rings, replays := 0, 0, int64(0)
	rapid.Check(t, func(rt *rapid.T) {
		histories++
		organization := id.Organization(fmt.Sprintf("history-%d", histories))
		x := s.open(func(c *Config) {
			c.Ring, c.RingBytes, c.Heartbeat = rapid.IntRange(1, 12).Draw(rt, "ring"), rapid.SampledFrom([]int64{1, 2000, 5000, 1 << 20, 1 << 20}).Draw(rt, "bytes"), time.Millisecond
		})
		defer x.config.DB.Close()
		var table []*change.Event
		type follower struct {
			*Subscription

			want, got []int64
			from      int64
		}
		var followers []*follower
		defer func() {
			for _, f := range followers {
				f.Close()
			}
		}()
		next := func(f *follower) {
			ctx, cancel := context.WithTimeout(s.ctx, patience)
			defer cancel()
			before := f.position
			b, err := f.Next(ctx)
			require.NoError(rt, err)
			require.GreaterOrEqual(rt, f.position, before)
			require.True(rt, slices.IsSorted(append(slices.Clone(f.got), numbers(b.Events)...)), "it goes on and not back")
			f.got = append(f.got, numbers(b.Events)...)
			require.Equal(rt, change.EncodeCursor(organization, f.position), b.Cursor)
		}
		for range rapid.IntRange(1, 25).Draw(rt, "moves") {
			switch rapid.IntRange(0, 4).Draw(rt, "move") {
			case 0, 1: // this replica numbers, or another one does
				events := s.append(super, rt, organization, int64(len(table)))
				table = append(table, events...)
				if rapid.Bool().Draw(rt, "here") {
					x.hub.publish(organization, events)
				}
			case 2:
				if known := x.hub.known(); len(known) > 0 {
					require.NoError(rt, x.catchUp(tailing, known))
				}
			case 3:
				f := &follower{from: int64(rapid.IntRange(0, len(table)).Draw(rt, "from"))}
				cursor := change.EncodeCursor(organization, f.from)
				filter := change.Filter{}
				if rapid.Bool().Draw(rt, "filtered") {
					filter.Types = []change.Kind{change.PathRemoved}
				}
				f.Subscription, err = x.Subscribe(s.ctx, organization, &cursor, filter)
				require.NoError(rt, err)
				followers = append(followers, f)
			case 4:
				if len(followers) > 0 {
					next(rapid.SampledFrom(followers).Draw(rt, "follower"))
				}
			}
			require.LessOrEqual(rt, x.hub.bytes, x.hub.limit)
			rings = max(rings, x.Stats().RingEvents)
		}
		if len(followers) == 0 {
			return
		}
		require.NoError(rt, x.catchUp(tailing, x.hub.known()))
		for _, f := range followers {
			for _, e := range table {
				if e.Seq > f.from && f.filter.Matches(e) {
					f.want = append(f.want, e.Seq)
				}
			}
			for f.position < int64(len(table)) {
				next(f)
			}
			require.Equal(rt, f.want, f.got)
		}
		replays += x.Stats().Replayed
	})
	require.Positive(t, rings, "no ring held anything")
	require.Positive(t, replays, "nothing was read from the database")
}

func numbers(events []*change.Event) (list []int64) {
	for _, e := range events {
		list = append(list, e.Seq)
	}
	return list
}

// append publishes some events, as the sequencer of any replica does.
func (s *studio) append(super *pgx.Conn, rt *rapid.T, organization id.ID, head int64) []*change.Event {
	var events []*change.Event
	var rows [][]any
	for _, kind := range rapid.SliceOfN(rapid.SampledFrom([]change.Kind{change.PathDiscovered, change.PathRemoved}), 1, 7).Draw(rt, "events") {
		head++
		e := &change.Event{OrganizationID: organization, Seq: head, ID: id.New("test").Text(fmt.Sprint(head)).Short(), ChangeType: kind, EntityType: change.OfAuthorityPath, Title: "title", At: time.Unix(head, 0)}
		events = append(events, e)
		rows = append(rows, []any{organization, e.Seq, e.ID, string(kind), string(e.EntityType), organization, organization, 0, e.Title, "{}", e.At, e.At})
	}
	_, err := super.CopyFrom(s.ctx, pgx.Identifier{"exposure_changes"}, []string{"organization_id", "seq", "id", "change_type", "entity_type", "entity_id", "subject_id",
		"class", "title", "metadata", "at", "created_at"}, pgx.CopyFromRows(rows))
	require.NoError(rt, err)
	_, err = super.Exec(s.ctx, `INSERT INTO change_head (id, seq) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET seq = excluded.seq`, organization, head)
	require.NoError(rt, err)
	return events
}
