package book_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
	"github.com/exposuregraph/exposuregraph/internal/ledger/book"
	"github.com/exposuregraph/exposuregraph/internal/page"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// look runs fn on a snapshot.
func look[T any](t testing.TB, d *desk, fn func(*db.Snapshot) (T, error)) T {
	t.Helper()
	snapshot := d.Snapshot()
	defer snapshot.Close(d.ctx)
	got, err := fn(snapshot)
	require.NoError(t, err)
	return got
}

func seqsOf(entries []*book.Entry) (seqs []int64) {
	for _, entry := range entries {
		seqs = append(seqs, entry.Seq)
	}
	return seqs
}

func TestEntries(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	batch := named("batch")
	d.post(t, noted(1, "one"))
	_, err := d.append(as("bob", access.Scopes...), "acme",
		book.Draft{Kind: ledger.Acknowledged, Subject: exposed("p", rule.OrphanedPath, 1), OccurredAt: at(2), Batch: &batch},
		book.Draft{Kind: ledger.Acknowledged, Subject: exposed("p", rule.OrphanedPath, 2), OccurredAt: at(2), Batch: &batch},
		book.Draft{Kind: ledger.Acknowledged, Subject: exposed("p", rule.DormantPath, 1), OccurredAt: at(2)})
	require.NoError(t, err)
	d.post(t, noted(3, "five"), noted(4, "six"))

	list := func(filter book.Filter, newest bool, request page.Request) book.EntryPage {
		return look(t, d, func(s *db.Snapshot) (book.EntryPage, error) {
			return d.book.Entries(d.ctx, s, acme, filter, newest, request)
		})
	}
	for name, test := range map[string]struct {
		filter book.Filter
		want   []int64
	}{
		"all":      {book.Filter{}, []int64{1, 2, 3, 4, 5, 6}},
		"kind":     {book.Filter{Kinds: []ledger.Kind{ledger.BaselineAttested}}, []int64{1, 5, 6}},
		"kinds":    {book.Filter{Kinds: []ledger.Kind{ledger.BaselineAttested, ledger.Acknowledged}}, []int64{1, 2, 3, 4, 5, 6}},
		"actor":    {book.Filter{Actors: []string{"bob"}}, []int64{2, 3, 4}},
		"identity": {book.Filter{About: &book.About{ID: named("identity")}}, []int64{1, 5, 6}},
		"path":     {book.Filter{About: &book.About{ID: named("p")}}, []int64{2, 3, 4}},
		"type":     {book.Filter{About: &book.About{ID: named("p"), Type: int16(rule.OrphanedPath)}}, []int64{2, 3}},
		"exposure": {book.Filter{About: &book.About{ID: named("p"), Type: int16(rule.OrphanedPath), Ordinal: 2}}, []int64{3}},
		"batch":    {book.Filter{BatchID: &batch}, []int64{2, 3}},
		"from":     {book.Filter{From: ptr(at(3))}, []int64{5, 6}},
		"to":       {book.Filter{To: ptr(at(3))}, []int64{1, 2, 3, 4}},
		"both":     {book.Filter{From: ptr(at(2)), To: ptr(at(4)), Kinds: []ledger.Kind{ledger.BaselineAttested}}, []int64{5}},
		"nothing":  {book.Filter{Actors: []string{"eve"}}, nil},
	} {
		require.Equal(t, test.want, seqsOf(list(test.filter, false, page.Request{}).Rows), name)
		count := look(t, d, func(s *db.Snapshot) (int, error) { return d.book.CountEntries(d.ctx, s, acme, test.filter) })
		require.Len(t, test.want, count, name)
	}
	entry := list(book.Filter{}, false, page.Request{}).Rows[1]
	require.Equal(t, "bob", entry.Actors[0].Subject)
	require.Equal(t, column[[]byte](t, d, `SELECT hash FROM ledger_entry WHERE seq = 2`)[0], entry.Hash[:])
	parsed, err := ledger.Parse(entry.Body)
	require.NoError(t, err)
	require.Equal(t, entry.Entry, parsed)

	for _, newest := range []bool{false, true} {
		var seqs []int64
		request := page.Request{First: ptr(4)}
		for {
			p := list(book.Filter{}, newest, request)
			seqs = append(seqs, seqsOf(p.Rows)...)
			if !p.HasNext {
				break
			}
			request.After = ptr(p.Cursor(p.Rows[len(p.Rows)-1]))
		}
		want := []int64{1, 2, 3, 4, 5, 6}
		if newest {
			slices.Reverse(want)
		}
		require.Equal(t, want, seqs)
	}

	got := look(t, d, func(s *db.Snapshot) ([]*book.Entry, error) {
		return d.book.EntriesBySeqs(d.ctx, s, acme, []int64{5, 2, 5, 99, -1})
	})
	require.Equal(t, []int64{2, 5}, seqsOf(got))
	head := look(t, d, func(s *db.Snapshot) (book.Head, error) { return d.book.Head(d.ctx, s, acme) })
	require.Equal(t, int64(6), head.Size)
	require.Equal(t, at(4), head.At)
	require.Equal(t, column[[]byte](t, d, `SELECT hash FROM ledger_entry WHERE seq = 6`)[0], head.Hash[:])

	snapshot := d.Snapshot()
	defer snapshot.Close(d.ctx)
	for _, bad := range []struct {
		filter            book.Filter
		code, field, says string
	}{
		{book.Filter{From: ptr(at(2)), To: ptr(at(1))}, "INTERVAL_EMPTY", "filter", "swap occurredAfter and occurredBefore"},
		{book.Filter{Actors: make([]string, 101)}, "FILTER_TOO_LARGE", "actor", "101 values for actor;"},
		{book.Filter{Kinds: make([]ledger.Kind, 101)}, "FILTER_TOO_LARGE", "kind", "101 values for kind;"},
		{book.Filter{Actors: []string{"a\x00"}}, "INVALID_TEXT", "actor", "an actor of the filter"},
		{book.Filter{Kinds: []ledger.Kind{"\xff"}}, "INVALID_TEXT", "kind", "a kind of the filter"},
	} {
		_, listed := d.book.Entries(d.ctx, snapshot, acme, bad.filter, false, page.Request{})
		_, counted := d.book.CountEntries(d.ctx, snapshot, acme, bad.filter)
		for _, err := range []error{listed, counted} {
			var typed *problem.Error
			require.ErrorAs(t, err, &typed)
			require.Equal(t, []string{bad.code, bad.field}, []string{typed.Code, typed.Field}, "as the caller wrote it")
			require.Contains(t, typed.Message, bad.says)
		}
	}
	cursor := list(book.Filter{}, false, page.Request{}).Cursor(entry)
	_, err = d.book.Entries(d.ctx, snapshot, acme, book.Filter{}, true, page.Request{After: &cursor})
	require.Equal(t, "CURSOR_OF_ANOTHER_LIST", codeOf(t, err))

	d.exec(t, `UPDATE ledger_entry SET body = 'no entry' WHERE seq = 3`)
	fresh := d.Snapshot()
	defer fresh.Close(d.ctx)
	_, err = d.book.Entries(d.ctx, fresh, acme, book.Filter{}, false, page.Request{})
	require.Equal(t, "LEDGER_DAMAGED", codeOf(t, err))
}

// TestProofs asks for proofs of a ledger of several tiles and checks each as a
// client does.
func TestProofs(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	var drafts []book.Draft
	for range 700 {
		drafts = append(drafts, noted(1, "x"))
	}
	posted := d.post(t, drafts...)

	snapshot := d.Snapshot()
	defer snapshot.Close(d.ctx)
	head, err := d.book.Head(d.ctx, snapshot, acme)
	require.NoError(t, err)
	roots := map[int64]ledger.Hash{}
	sizes := []int64{1, 2, 3, 255, 256, 257, 300, 511, 512, 513, 699, 700}
	for _, size := range sizes {
		for _, seq := range []int64{1, 2, 200, 256, 257, 400, 512, 513, 600, 700} {
			if seq > size {
				_, err := d.book.InclusionProof(d.ctx, snapshot, acme, seq, size)
				require.Equal(t, "LEDGER_SEQ_OUT_OF_RANGE", codeOf(t, err))
				continue
			}
			d.Statements.Reset()
			proof, err := d.book.InclusionProof(d.ctx, snapshot, acme, seq, size)
			require.NoError(t, err)
			require.LessOrEqual(t, len(d.Statements.Sent()), 4, "the head, the tiles, and two tiles from within")
			require.Equal(t, posted[seq-1].Hash, proof.Entry)
			require.NoError(t, ledger.VerifyInclusion(proof.Entry, seq, size, proof.Hashes, proof.Root), "%d of %d", seq, size)
			if known, seen := roots[size]; seen {
				require.Equal(t, known, proof.Root)
			}
			roots[size] = proof.Root
		}
	}
	for _, size := range sizes {
		d.Statements.Reset()
		root, err := d.book.Root(d.ctx, snapshot, acme, size)
		require.NoError(t, err)
		require.Equal(t, roots[size], root, size)
		require.LessOrEqual(t, len(d.Statements.Sent()), 3, "the head, the tiles, and what is behind the last of them")
	}
	for _, from := range sizes {
		for _, to := range sizes {
			d.Statements.Reset()
			proof, err := d.book.ConsistencyProof(d.ctx, snapshot, acme, from, to)
			if from > to {
				require.Equal(t, "LEDGER_SIZES_REVERSED", codeOf(t, err))
				continue
			}
			require.NoError(t, err)
			require.LessOrEqual(t, len(d.Statements.Sent()), 4)
			require.Equal(t, []ledger.Hash{roots[from], roots[to]}, []ledger.Hash{proof.FromRoot, proof.ToRoot})
			require.NoError(t, ledger.VerifyConsistency(from, to, proof.Hashes, proof.FromRoot, proof.ToRoot), "%d to %d", from, to)
		}
	}
	whole, err := d.book.InclusionProof(d.ctx, snapshot, acme, 700, 0)
	require.NoError(t, err)
	require.Equal(t, head.Size, whole.Size)
	require.Equal(t, roots[700], whole.Root)
	root, err := d.book.Root(d.ctx, snapshot, acme, 0)
	require.NoError(t, err)
	require.Equal(t, roots[700], root)
	now, err := d.book.ConsistencyProof(d.ctx, snapshot, acme, 3, 0)
	require.NoError(t, err)
	require.Equal(t, int64(700), now.To)

	for want, ask := range map[string]func() error{
		"LEDGER_SIZE_OUT_OF_RANGE": func() error { _, err := d.book.InclusionProof(d.ctx, snapshot, acme, 1, 701); return err },
		"LEDGER_SEQ_OUT_OF_RANGE":  func() error { _, err := d.book.InclusionProof(d.ctx, snapshot, acme, 0, 5); return err },
	} {
		require.Equal(t, want, codeOf(t, ask()))
	}
	for _, size := range []int64{701, -1} {
		_, err := d.book.Root(d.ctx, snapshot, acme, size)
		require.Equal(t, "LEDGER_SIZE_OUT_OF_RANGE", codeOf(t, err), size)
	}
	for _, sizes := range [][2]int64{{1, 701}, {0, 5}, {-1, 5}, {5, -1}} {
		_, err := d.book.ConsistencyProof(d.ctx, snapshot, acme, sizes[0], sizes[1])
		require.Equal(t, "LEDGER_SIZE_OUT_OF_RANGE", codeOf(t, err), sizes)
	}
	_, err = d.book.InclusionProof(d.ctx, snapshot, acme, -1, 0)
	require.Equal(t, "LEDGER_SEQ_OUT_OF_RANGE", codeOf(t, err))
	_, err = d.book.ConsistencyProof(d.ctx, snapshot, id.Organization("rival"), 1, 1)
	require.Equal(t, "LEDGER_EMPTY", codeOf(t, err))
	_, err = d.book.Root(d.ctx, snapshot, id.Organization("rival"), 0)
	require.Equal(t, "LEDGER_EMPTY", codeOf(t, err))

	d.exec(t, `DELETE FROM ledger_tile WHERE index = 1`)
	fresh := d.Snapshot()
	defer fresh.Close(d.ctx)
	_, err = d.book.InclusionProof(d.ctx, fresh, acme, 1, 0)
	require.Equal(t, "LEDGER_DAMAGED", codeOf(t, err))
	_, err = d.book.Root(d.ctx, fresh, acme, 0)
	require.Equal(t, "LEDGER_DAMAGED", codeOf(t, err))
}

// TestExport reads the ledger as a file, which verifies, and says what is wrong
// once it is.
func TestExport(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	story(t, d)
	checkpointer, key := d.checkpointer(t, t.TempDir())
	_, err := checkpointer.Look(d.ctx, organization("acme"))
	require.NoError(t, err)
	library := &book.Library{DB: d.DB, Book: d.book, Key: key}

	export := func() *ledger.Report {
		var file bytes.Buffer
		require.NoError(t, library.Export(d.ctx, "acme", &file))
		report, err := ledger.VerifyExport(&file, ledger.Expect{Organization: acme, Keys: keysOf(t, key)})
		require.NoError(t, err)
		return report
	}
	report := export()
	require.True(t, report.OK(), "%v", report.Faults)
	require.Equal(t, int64(272), report.Size)
	require.Equal(t, 1, report.Checkpoints)
	stored := d.verify(t, "acme", book.Trust{})
	require.Equal(t, stored.Head, report.Head)
	require.Equal(t, stored.Root, report.Root)

	d.exec(t, `UPDATE ledger_entry SET body = replace(convert_from(body, 'UTF8'), 'because 4', 'because 5')::bytea WHERE seq = 7`)
	report = export()
	require.Len(t, report.Faults, 1)
	require.Equal(t, ledger.HashMismatch, report.Faults[0].Code)
	require.Equal(t, int64(7), report.Faults[0].Seq)

	text, err := library.Checkpoint(d.ctx, "acme")
	require.NoError(t, err)
	checkpoint, err := ledger.OpenCheckpoint(text, keysOf(t, key))
	require.NoError(t, err)
	require.Equal(t, int64(272), checkpoint.Size)
	public, err := library.PublicKey(d.ctx)
	require.NoError(t, err)
	require.Equal(t, key.PublicKey(), public)
	text, err = library.Checkpoint(d.ctx, "rival")
	require.Equal(t, "ORGANIZATION_NOT_FOUND", codeOf(t, err), "there is none, though the caller would be a member")
	require.Empty(t, text)
	var none bytes.Buffer
	require.Equal(t, "ORGANIZATION_NOT_FOUND", codeOf(t, library.Export(d.ctx, "rival", &none)))
	require.Zero(t, none.Len())
	empty, err := (&book.Library{DB: d.DB, Book: d.book}).PublicKey(d.ctx)
	require.NoError(t, err)
	require.Empty(t, empty)
}
