package book

import (
	"context"
	"io"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
	"github.com/exposuregraph/exposuregraph/internal/org"
)

// Export writes the ledger of an organization as a file that can be verified
// without the database: one snapshot of it, a few entries at a time, as they are
// stored. Nothing is written before the caller's rights are known.
func (*Book) Export(ctx context.Context, snapshot *db.Snapshot, organization *org.Organization, w io.Writer) error {
	q, err := view(ctx, snapshot, organization.ID, access.Audit)
	if err != nil {
		return err
	}
	var notes []string
	if err := walk(ctx, q, "checkpoints_from", pageRows, func(last *checkpointRow) pgx.StrictNamedArgs {
		return pgx.StrictNamedArgs{"size": last.Size}
	}, func(row *checkpointRow) error {
		notes = append(notes, row.Note)
		return nil
	}); err != nil {
		return err
	}
	out, err := ledger.NewExporter(w, organization.ID, organization.Slug, notes)
	if err != nil {
		return err
	}
	type row struct {
		Seq          int64
		PreviousHash []byte
		Hash         []byte
		Body         []byte
	}
	if err := walk(ctx, q, "entries_from", bodyRows, func(last *row) pgx.StrictNamedArgs {
		return pgx.StrictNamedArgs{"seq": last.Seq}
	}, func(r *row) error {
		return out.Entry(ledger.Stored{Seq: r.Seq, Previous: hashOf(r.PreviousHash), Hash: hashOf(r.Hash), Body: r.Body})
	}); err != nil {
		return err
	}
	return out.End()
}

// pageRows is how many rows are fetched at a time, bodyRows how many of what can
// be large: a body may have a megabyte.
var (
	pageRows = 2_000
	bodyRows = 200
)

// walk visits every row of a statement, a page at a time. The key of a zero row
// lies before all others.
func walk[T any](ctx context.Context, q db.Querier, name string, size int, key func(last *T) pgx.StrictNamedArgs, visit func(*T) error) error {
	query, last := queries.Get(name), new(T)
	for {
		args := key(last)
		args["rows"] = size
		rows, err := db.Select[T](ctx, q, query, args)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if err := visit(row); err != nil {
				return err
			}
		}
		if len(rows) < size {
			return nil
		}
		last = rows[len(rows)-1]
	}
}

// Library hands out ledgers by the names of their organizations.
type Library struct {
	DB   *db.DB
	Book *Book
	Key  *Key // that signs checkpoints; nil for none
}

// Export writes the ledger of the organization with this slug.
func (l *Library) Export(ctx context.Context, slug string, w io.Writer) error {
	return l.of(ctx, slug, func(snapshot *db.Snapshot, organization *org.Organization) error {
		return l.Book.Export(ctx, snapshot, organization, w)
	})
}

// Checkpoint is the newest checkpoint of the organization with this slug, as a
// signed note; empty without one.
func (l *Library) Checkpoint(ctx context.Context, slug string) (text string, err error) {
	err = l.of(ctx, slug, func(snapshot *db.Snapshot, organization *org.Organization) error {
		last, err := l.Book.LastCheckpoint(ctx, snapshot, organization.ID)
		if err == nil && last != nil {
			text = last.Note
		}
		return err
	})
	return text, err
}

// PublicKey is the key that checks new checkpoints, for any caller who may read
// a ledger; empty where none are signed.
func (l *Library) PublicKey(ctx context.Context) (string, error) {
	if _, err := access.RequireScope(ctx, access.Audit); err != nil {
		return "", err
	}
	if l.Key == nil {
		return "", nil
	}
	return l.Key.PublicKey(), nil
}

// of reads from the organization. One that does not exist looks like one of which
// the caller is no member.
func (l *Library) of(ctx context.Context, slug string, read func(*db.Snapshot, *org.Organization) error) error {
	organization := id.Organization(slug)
	if err := access.Require(ctx, organization, access.Audit); err != nil {
		return err
	}
	snapshot := l.DB.Snapshot()
	defer snapshot.Close(ctx)
	found, err := db.First[org.Organization](ctx, snapshot.Of(organization), queries.Get("organization"), nil)
	if err != nil {
		return err
	}
	if found == nil {
		return access.OrganizationNotFound()
	}
	return read(snapshot, found)
}
