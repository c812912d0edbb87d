package change

import (
	"context"
	_ "embed"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

//go:embed replay.sql
var replaySQL string

var replayQueries = db.Parse("change.replay", replaySQL)

// Reader reads feeds.
type Reader struct{}

// Head is the last number of a feed; 0 where nothing is published.
func (*Reader) Head(ctx context.Context, q db.Querier, organization id.ID) (int64, error) {
	if _, err := access.Admit(ctx, organization, access.View); err != nil {
		return 0, err
	}
	head, err := db.Column[int64](ctx, q, replayQueries.Get("head"), nil)
	if err != nil || len(head) == 0 {
		return 0, err
	}
	return head[0], nil
}

// Heads are the last numbers of feeds, for who follows many of them: it is asked of
// the shared tables, on nobody's behalf. A feed in which nothing is published may
// be left out.
func Heads(ctx context.Context, shared db.Querier, organizations []id.ID) (map[id.ID]int64, error) {
	type row struct {
		ID  id.ID
		Seq int64
	}
	rows, err := db.Select[row](ctx, shared, replayQueries.Get("heads"), pgx.StrictNamedArgs{"organizations": organizations})
	heads := make(map[id.ID]int64, len(rows))
	for _, r := range rows {
		heads[r.ID] = r.Seq
	}
	return heads, err
}

// Replay gives the events behind a number that pass, in their order and at most so
// many, and the number up to which the feed was gone through for them. It ends with
// upTo, which the feed must have reached; 0 stands for its head. The querier is of
// this organization, as the caller sees it.
func (r *Reader) Replay(ctx context.Context, q db.Querier, organization id.ID, after, upTo int64, filter Filter, limit int) ([]*Event, int64, error) {
	if _, err := access.Admit(ctx, organization, access.View); err != nil {
		return nil, after, err
	}
	where, err := filter.Where()
	if err != nil {
		return nil, after, err
	}
	if upTo == 0 {
		if upTo, err = r.Head(ctx, q, organization); err != nil {
			return nil, after, err
		}
	}
	if upTo <= after {
		return nil, after, nil
	}
	where.Arg("after", after)
	where.Arg("up_to", upTo)
	where.Arg("limit", limit)
	events, err := db.Select[Event](ctx, q, replayQueries.Get("replay").Where(where), where.Args())
	switch {
	case err != nil:
		return nil, after, err
	case len(events) == limit:
		return events, events[limit-1].Seq, nil
	}
	return events, upTo, nil
}
