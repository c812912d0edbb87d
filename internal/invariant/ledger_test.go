package invariant_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/invariant"
	"github.com/exposuregraph/exposuregraph/internal/ledger/book"
)

// TestTamperedLedger has a superuser, whom no trigger stops, change what was written,
// and the check name the place. Entries 1 to 3 are the snapshots, 4 to 6 decisions.
func TestTamperedLedger(t *testing.T) {
	t.Parallel()
	s := setup(t)
	super := s.Super(t)
	_, err := super.Exec(context.Background(), `SET session_replication_role = replica`)
	require.NoError(t, err)
	key, _, err := book.MakeKey(filepath.Join(t.TempDir(), "ledger.key"))
	require.NoError(t, err)
	checkpointer := book.NewCheckpointer(book.CheckpointerConfig{DB: s.DB, Key: key, Folder: t.TempDir(), Logger: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return recorded }})
	ctx := access.With(context.Background(), access.Actor{Subject: "ann", AllOrganizations: true, Scopes: access.Scopes})
	path := func(name string) string {
		var path id.ID
		require.NoError(t, s.owner.QueryRow(ctx, `SELECT n($1)`, name).Scan(&path))
		return path.String()
	}
	for i, test := range []struct{ tampers, at, says string }{
		{`UPDATE ledger_entry SET body = set_byte(body, 0, 91) WHERE seq = 2`, "entry 2", "BODY_NOT_CANONICAL: "},
		{`UPDATE ledger_entry SET body = replace(convert_from(body, 'UTF8'), '"ann"', '"eve"')::bytea, actor = 'eve' WHERE seq = 5`, "entry 5", "HASH_MISMATCH: "},
		{`UPDATE ledger_entry SET actor = 'eve' WHERE seq = 4`, "entry 4", "COLUMN_MISMATCH: the column actor"},
		{`DELETE FROM ledger_entry WHERE seq = 3`, "entry 4", "SEQ_GAP: "},
		{`DELETE FROM ledger_entry WHERE seq = 6`, "entry 5", "HEAD_MISMATCH: the head says that there are 6 entries; the last is 5"},
		{`UPDATE ledger_checkpoint SET root = sha256('')`, "entry 6", "CHECKPOINT_MISMATCH: "},
		{`UPDATE ledger_checkpoint SET note = replace(note, 'exposuregraph/', 'exposuregraph:')`, "entry 6", "CHECKPOINT_SIGNATURE: "},
		{`UPDATE exposure SET disposition = 1, decided_seq = NULL WHERE path_id = n('p4')`, "exposure " + path("p4") + " orphaned_path 1", "DISPOSITION_MISMATCH: it has to be risk_accepted"},
		{`UPDATE posture_snapshot SET paths = paths + 1 WHERE sync_id IS NULL`, "entry 2, posture_snapshot 2026-02-10T00:00:00Z", "ROW_MISMATCH: "},
		{`DELETE FROM posture_snapshot WHERE sync_id IS NULL`, "entry 2", "ROW_MISSING: "},
	} {
		o := s.organization(t, fmt.Sprintf("case-%d", i))
		s.world(t, o)
		size, err := checkpointer.Look(ctx, o)
		require.NoError(t, err)
		require.Equal(t, int64(6), size)
		before := s.check(t, o)
		require.Empty(t, found(before))
		for _, check := range before.Checks {
			if check.Check == invariant.Ledger {
				require.Equal(t, int64(6+3+3+1), check.Compared, "its checkpoint, too")
			}
		}
		_, err = super.Exec(ctx, `SELECT set_config('app.organization', $1, false)`, o.ID.String())
		require.NoError(t, err)
		where := " WHERE "
		if strings.Contains(test.tampers, where) {
			where = " AND "
		}
		_, err = super.Exec(ctx, test.tampers+where+"organization_id = current_organization()")
		require.NoError(t, err, test.tampers)
		findings := found(s.check(t, o))[invariant.Ledger]
		require.NotEmpty(t, findings, test.tampers)
		named := false
		for _, f := range findings {
			require.Equal(t, o.Slug, f.Organization)
			named = named || strings.HasSuffix(f.Subject, test.at) && strings.HasPrefix(f.Message, test.says)
		}
		require.True(t, named, "%s is not at %s, %s: %+v", test.tampers, test.at, test.says, findings)
	}
}
