package book_test

import (
	"bytes"
	"context"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
	"github.com/exposuregraph/exposuregraph/internal/ledger/book"
	"github.com/exposuregraph/exposuregraph/internal/page"
)

// asks are all ways to read the ledger of an organization, each with the scope
// that it takes.
func asks(d *desk, c *book.Checkpointer, library *book.Library) map[string]struct {
	scope access.Scope
	ask   func(ctx context.Context, s *db.Snapshot, slug string) error
} {
	type ask = struct {
		scope access.Scope
		ask   func(ctx context.Context, s *db.Snapshot, slug string) error
	}
	of := id.Organization
	return map[string]ask{
		"Entries": {access.Audit, func(ctx context.Context, s *db.Snapshot, slug string) error {
			_, err := d.book.Entries(ctx, s, of(slug), book.Filter{}, true, page.Request{})
			return err
		}},
		"CountEntries": {access.Audit, func(ctx context.Context, s *db.Snapshot, slug string) error {
			_, err := d.book.CountEntries(ctx, s, of(slug), book.Filter{})
			return err
		}},
		"EntriesBySeqs": {access.View, func(ctx context.Context, s *db.Snapshot, slug string) error {
			_, err := d.book.EntriesBySeqs(ctx, s, of(slug), []int64{1})
			return err
		}},
		"Head": {access.Audit, func(ctx context.Context, s *db.Snapshot, slug string) error {
			_, err := d.book.Head(ctx, s, of(slug))
			return err
		}},
		"Checkpoints": {access.Audit, func(ctx context.Context, s *db.Snapshot, slug string) error {
			_, err := d.book.Checkpoints(ctx, s, of(slug), page.Request{})
			return err
		}},
		"CountCheckpoints": {access.Audit, func(ctx context.Context, s *db.Snapshot, slug string) error {
			_, err := d.book.CountCheckpoints(ctx, s, of(slug))
			return err
		}},
		"LastCheckpoint": {access.Audit, func(ctx context.Context, s *db.Snapshot, slug string) error {
			_, err := d.book.LastCheckpoint(ctx, s, of(slug))
			return err
		}},
		"InclusionProof": {access.Audit, func(ctx context.Context, s *db.Snapshot, slug string) error {
			_, err := d.book.InclusionProof(ctx, s, of(slug), 1, 1)
			return err
		}},
		"Root": {access.Audit, func(ctx context.Context, s *db.Snapshot, slug string) error {
			_, err := d.book.Root(ctx, s, of(slug), 1)
			return err
		}},
		"ConsistencyProof": {access.Audit, func(ctx context.Context, s *db.Snapshot, slug string) error {
			_, err := d.book.ConsistencyProof(ctx, s, of(slug), 1, 1)
			return err
		}},
		"Export": {access.Audit, func(ctx context.Context, s *db.Snapshot, slug string) error {
			return nothingOnRefusal(func(w *bytes.Buffer) error { return d.book.Export(ctx, s, organization(slug), w) })
		}},
		"Library.Export": {access.Audit, func(ctx context.Context, _ *db.Snapshot, slug string) error {
			return nothingOnRefusal(func(w *bytes.Buffer) error { return library.Export(ctx, slug, w) })
		}},
		"Library.Checkpoint": {access.Audit, func(ctx context.Context, _ *db.Snapshot, slug string) error {
			_, err := library.Checkpoint(ctx, slug)
			return err
		}},
		"Checkpointer.Look": {access.Audit, func(ctx context.Context, _ *db.Snapshot, slug string) error {
			_, err := c.Look(ctx, organization(slug))
			return err
		}},
	}
}

func nothingOnRefusal(write func(*bytes.Buffer) error) error {
	var out bytes.Buffer
	err := write(&out)
	if err != nil && out.Len() > 0 {
		panic("a refusal comes before the first byte")
	}
	return err
}

func TestScopes(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	c, key := d.checkpointer(t, t.TempDir())
	library := &book.Library{DB: d.DB, Book: d.book, Key: key}
	d.post(t, noted(1, "one"))
	for name, test := range asks(d, c, library) {
		snapshot := d.Snapshot()
		require.NoError(t, test.ask(as("ann", test.scope), snapshot, "acme"), name)
		without := slices.DeleteFunc(slices.Clone(access.Scopes), func(s access.Scope) bool { return s == test.scope })
		require.Equal(t, "SCOPE_MISSING", codeOf(t, test.ask(as("ann", without...), snapshot, "acme")), name)
		require.Equal(t, "TOKEN_MISSING", codeOf(t, test.ask(context.Background(), snapshot, "acme")), name)
		stranger := access.With(context.Background(), access.Actor{Subject: "eve", Role: access.Admin, Scopes: access.Scopes, Organizations: []string{"rival"}})
		require.Equal(t, "ORGANIZATION_NOT_FOUND", codeOf(t, test.ask(stranger, snapshot, "acme")), name)
		snapshot.Close(d.ctx)
	}
	_, err := library.PublicKey(as("ann", access.View))
	require.Equal(t, "SCOPE_MISSING", codeOf(t, err))
	_, err = library.PublicKey(context.Background())
	require.Equal(t, "TOKEN_MISSING", codeOf(t, err))
}

// TestChainOfActors: an entry says who acted on behalf of whom, in the order of the
// token, and is found by who answers for it.
func TestChainOfActors(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	actor, _ := access.From(d.ctx)
	actor.Delegates = []string{"bot", "pipeline"}
	d.ctx = access.With(d.ctx, actor)
	d.post(t, noted(1, "one"))
	entry, err := ledger.Parse(column[[]byte](t, d, `SELECT body FROM ledger_entry`)[0])
	require.NoError(t, err)
	require.Equal(t, []ledger.Actor{{Subject: "ann"}, {Subject: "bot"}, {Subject: "pipeline"}}, entry.Actors)
	require.Equal(t, []string{"ann"}, column[string](t, d, `SELECT actor FROM ledger_entry`))
}
