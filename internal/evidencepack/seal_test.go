package evidencepack_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/evidencepack"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// sealings are all ways to seal, of what there is and of what there is not.
func (s *scene) sealings(path id.ID, typ rule.Type) (there, absent map[string]func(context.Context) (*evidencepack.Sealed, error)) {
	sealer := evidencepack.NewSealer(s.paths, &s.reader)
	of := func(path, workload id.ID, ordinal int) map[string]func(context.Context) (*evidencepack.Sealed, error) {
		return map[string]func(context.Context) (*evidencepack.Sealed, error){
			"exposure": func(ctx context.Context) (*evidencepack.Sealed, error) {
				return sealer.Exposure(ctx, organization, path, typ, ordinal)
			},
			"path": func(ctx context.Context) (*evidencepack.Sealed, error) { return sealer.Path(ctx, organization, path) },
			"workload": func(ctx context.Context) (*evidencepack.Sealed, error) {
				return sealer.Workload(ctx, organization, workload)
			},
		}
	}
	nothing := id.Organization("nothing")
	absent = of(nothing, nothing, 1)
	absent["ordinal"] = of(path, nothing, 99)["exposure"]
	absent["type"] = func(ctx context.Context) (*evidencepack.Sealed, error) {
		return sealer.Exposure(ctx, organization, path, 99, 1)
	}
	return of(path, entity(record.Workload, "invoice-sync"), 1), absent
}

func (s *scene) lastEntry() (entry *ledger.Entry, size int64) {
	s.t.Helper()
	var body []byte
	require.NoError(s.t, s.super.QueryRow(s.ctx, `SELECT body, seq FROM ledger_entry WHERE organization_id = $1 ORDER BY seq DESC LIMIT 1`, organization).Scan(&body, &size))
	entry, err := ledger.Parse(body)
	require.NoError(s.t, err)
	return entry, size
}

// The pack that is sealed is the one that a reader makes then, and its digests are
// in the last entry.
func TestSeal(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.tell()
	var path id.ID
	var typ rule.Type
	require.NoError(t, s.super.QueryRow(s.ctx, `SELECT x.path_id, x.type FROM exposure x WHERE x.organization_id = $1 AND x.workload_id = $2 AND x.ordinal = 1
		ORDER BY x.path_id, x.type LIMIT 1`, organization, entity(record.Workload, "invoice-sync")).Scan(&path, &typ))
	s.exec(`UPDATE authority_path SET class = 3 WHERE organization_id = $1`, organization)
	s.exec(`UPDATE entity SET class = 4 WHERE organization_id = $1`, organization)
	there, absent := s.sealings(path, typ)
	for kind, seal := range there {
		sealed, err := seal(s.ctx)
		require.NoError(t, err, kind)
		var same *evidencepack.Pack
		switch kind {
		case "exposure":
			same, _ = s.exposure(path, typ, 1)
		case "path":
			same, _ = s.path(path)
		case "workload":
			same, _ = s.workload("invoice-sync")
		}
		require.Equal(t, same, sealed.Pack, kind)
		entry, size := s.lastEntry()
		require.Equal(t, size, sealed.Seq)
		require.Equal(t, []any{ledger.EvidencePackSealed, kind, "test"}, []any{entry.Kind, entry.Subject.Kind, entry.Actors[0].Subject})
		require.Equal(t, map[string]int{"exposure": 3, "path": 3, "workload": 4}[kind], entry.Class)
		var payload ledger.Pack
		require.NoError(t, json.Unmarshal(entry.Payload, &payload))
		require.Equal(t, ledger.Pack{Digest: sum(sealed.Document), StateDigest: sealed.StateDigest}, payload)
	}
	_, before := s.lastEntry()
	for name, seal := range absent {
		sealed, err := seal(s.ctx)
		require.NoError(t, err, name)
		require.Nil(t, sealed, name)
	}
	one := func(organizations []string, scopes ...access.Scope) context.Context {
		return access.With(context.Background(), access.Actor{Subject: "x", Organizations: organizations, Scopes: scopes})
	}
	for name, c := range map[string]struct {
		ctx  context.Context
		code string
	}{
		"nobody":           {context.Background(), "TOKEN_MISSING"},
		"a stranger":       {one([]string{"rival"}, access.Scopes...), "ORGANIZATION_NOT_FOUND"},
		"who only looks":   {one([]string{slug}, access.View, access.Audit, access.Operate), "SCOPE_MISSING"},
		"who sees nothing": {one([]string{slug}, access.Investigate), "SCOPE_MISSING"},
	} {
		s.Statements.Reset()
		for what, seal := range there {
			_, err := seal(c.ctx)
			var typed *problem.Error
			require.ErrorAs(t, err, &typed, "%s, %s", name, what)
			require.Equal(t, c.code, typed.Code, name)
		}
		require.Empty(t, s.Statements.Sent(), "who may not ask is not looked up")
	}
	// What is too large for a pack is not sealed.
	narrow := evidencepack.NewSealer(s.paths, evidencepack.Narrow(0, 0, 0, 0))
	_, err := narrow.Path(s.ctx, organization, path)
	require.Equal(t, problem.Limit, problem.KindOf(err))
	_, after := s.lastEntry()
	require.Equal(t, before, after, "nothing of this is on record")
}

// TestSealPredicatesAlone is TestReadPredicatesAlone for what sealing reads besides.
func TestSealPredicatesAlone(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.tell()
	tables := []string{"authority_path", "entity"}
	for _, table := range tables {
		s.exec(`ALTER TABLE ` + table + ` DISABLE ROW LEVEL SECURITY`)
	}
	var path id.ID
	require.NoError(t, s.super.QueryRow(s.ctx, `SELECT id FROM authority_path WHERE organization_id = $1 ORDER BY id LIMIT 1`, organization).Scan(&path))
	ask := func() map[string][]int32 {
		answers := map[string][]int32{}
		snapshot := s.Snapshot()
		defer snapshot.Close(s.ctx)
		for _, query := range evidencepack.SealQueries.All() {
			found, err := db.Column[int32](s.ctx, snapshot.Of(organization), query,
				pgx.StrictNamedArgs{"path": path, "workload": entity(record.Workload, "invoice-sync")})
			require.NoError(t, err)
			require.Len(t, found, 2, "%s: of both", query.Name)
			answers[query.Name] = found
		}
		return answers
	}
	before := ask()
	s.exec(`SET session_replication_role = replica`)
	for _, table := range tables {
		s.exec(`INSERT INTO `+table+` SELECT (jsonb_populate_record(x, jsonb_build_object('organization_id', $1::uuid, 'class', x.class + 7))).* FROM `+table+` x WHERE organization_id = $2`,
			id.Organization("rival"), organization)
	}
	require.Equal(t, before, ask())
}
