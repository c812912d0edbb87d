package book

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
)

// unnamed acted where a row does not say who did.
const unnamed = "unknown"

// onRecord is something that was recorded before there was a ledger.
type onRecord struct {
	At      time.Time
	Turn    int   // orders what happened at once
	About   id.ID // nil: the organization
	Kind    ledger.Kind
	Actor   *string
	Class   int
	Payload json.RawMessage
}

// bringIn writes what was on record before an instant, oldest first. Each entry
// keeps the time at which it occurred and says that it came later.
func bringIn(ctx context.Context, tx *db.Tx, end *head, before, recorded time.Time) error {
	last := &onRecord{}
	for {
		rows, err := db.Select[onRecord](ctx, tx, queries.Get("on_record"), pgx.StrictNamedArgs{
			"before": before, "nil": id.Nil, "at": last.At, "turn": last.Turn, "about": last.About, "rows": chunk})
		if err != nil || len(rows) == 0 {
			return err
		}
		entries := make([]*ledger.Entry, len(rows))
		for i, row := range rows {
			if entries[i], err = row.entry(recorded); err != nil {
				return err
			}
		}
		p := tx.Pipeline()
		if _, err := write(ctx, tx, p, end, entries); err != nil {
			return err
		}
		if err := p.Send(ctx); err != nil {
			return err
		}
		last = rows[len(rows)-1]
	}
}

func (r *onRecord) entry(recorded time.Time) (*ledger.Entry, error) {
	draft := Draft{Kind: r.Kind, Class: r.Class, OccurredAt: r.At, Payload: r.Payload}
	switch r.Kind {
	case ledger.BaselineAttested:
		draft.Subject = ledger.Subject{Kind: ledger.SubjectIdentity, ID: &r.About}
	case ledger.PostureSnapshotted:
		draft.Subject = ledger.Subject{Kind: ledger.SubjectOrganization}
	default:
		draft.Subject = ledger.Subject{Kind: ledger.SubjectPath, ID: &r.About}
	}
	entry, err := draft.entry([]string{actorOf(r.Actor)}, recorded)
	if err == nil {
		entry.Imported = true
	}
	return entry, err
}

// actorOf is who acted, as far as a row says.
func actorOf(column *string) string {
	if column == nil || *column == "" {
		return unnamed
	}
	return *column
}
