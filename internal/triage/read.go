package triage

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// Decisions gives the newest decisions about each of the exposures, at most so
// many of each, the newest first.
func (*Reader) Decisions(ctx context.Context, snapshot *db.Snapshot, organization id.ID, keys []exposure.Key, most int) (map[exposure.Key][]*Decision, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.Audit)
	if err != nil {
		return nil, err
	}
	args := columns(keys)
	args["limit"], args["kinds"] = most, slices.Sorted(maps.Values(kinds))
	rows, err := bodies(ctx, q, readQueries.Get("decisions"), args)
	byKey := make(map[exposure.Key][]*Decision, len(keys))
	for _, r := range rows {
		byKey[r.key] = append(byKey[r.key], r.Decision)
	}
	return byKey, err
}

// CurrentDecisions gives, of each of the exposures about which somebody decided,
// the decision that its disposition follows from. A false positive that was
// inherited follows from the decision about a former interval.
func (*Reader) CurrentDecisions(ctx context.Context, snapshot *db.Snapshot, organization id.ID, keys []exposure.Key) (map[exposure.Key]*Decision, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return nil, err
	}
	rows, err := bodies(ctx, q, readQueries.Get("current_decisions"), columns(keys))
	byKey := make(map[exposure.Key]*Decision, len(rows))
	for _, r := range rows {
		byKey[r.key] = r.Decision
	}
	return byKey, err
}

// BatchByID gives a batch with what came of each of its exposures; null without it.
// Who sees a part of the organization is shown what was decided of that part and, of
// what was left alone, what they asked for themselves.
func (*Reader) BatchByID(ctx context.Context, snapshot *db.Snapshot, organization, batch id.ID) (*Batch, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.Investigate)
	if err != nil {
		return nil, err
	}
	type row struct {
		Actor      string
		Refused    []byte
		RecordedAt time.Time
	}
	args := pgx.StrictNamedArgs{"batch": batch}
	r, err := db.First[row](ctx, q, readQueries.Get("request_of_batch"), args)
	if err != nil || r == nil {
		return nil, err
	}
	done, err := decisions(ctx, q, readQueries.Get("entries_of_batch"), args)
	if err != nil {
		return nil, err
	}
	b, err := assemble(batch, r.Actor, r.RecordedAt, r.Refused, done)
	if caller, _ := access.From(ctx); err != nil || !caller.Attributes.Limited() || caller.Subject == r.Actor {
		return b, err
	}
	if b.Items = slices.DeleteFunc(b.Items, func(item ItemOutcome) bool { return item.Decision == nil }); len(b.Items) == 0 {
		return nil, nil
	}
	return b, nil
}

// Keys gives the keys with which people sign in the organization: all of them, or
// those of one person.
func (*Reader) Keys(ctx context.Context, snapshot *db.Snapshot, organization id.ID, subject string) ([]*Key, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return nil, err
	}
	var where db.Where
	if subject != "" {
		where.And("k.subject = @subject", "subject", subject)
	}
	rows, err := db.Select[keyRow](ctx, q, readQueries.Get("signing_keys").Where(where), where.Args())
	keys := make([]*Key, len(rows))
	for i, r := range rows {
		keys[i] = r.key()
	}
	return keys, err
}
