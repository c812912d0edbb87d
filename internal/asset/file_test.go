package asset_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/asset"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/posture"
)

// TestFilePredicatesAlone makes a file an asset with row level security off, with and
// without another organization whose workloads are made of the same image, under the
// same ids and of another class.
func TestFilePredicatesAlone(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	acme, rival := id.Organization("acme"), id.Organization("rival")
	play := func(shadowing bool) (outcome []string) {
		database := dbtest.New(t)
		super := database.Super(t)
		rows := func(sql string, args ...any) []string {
			found, err := super.Query(context.Background(), sql, args...)
			require.NoError(t, err, sql)
			list, err := pgx.CollectRows(found, pgx.RowTo[string])
			require.NoError(t, err, sql)
			return list
		}
		exec := func(sql string, args ...any) {
			_, err := super.Exec(context.Background(), sql, args...)
			require.NoError(t, err, sql)
		}
		paths := authority.New(database.DB, exposure.NewAssessor(rule.Definitions, posture.New(posture.Definitions)), func() time.Time { return at }, slog.New(slog.DiscardHandler))
		ctx := access.With(context.Background(), access.Actor{Subject: "test", Role: access.Admin, AllOrganizations: true, Scopes: access.Scopes})
		_, err := paths.Sync(ctx, authority.SyncRequest{Organization: "acme", Format: "snapshot", CreateOrganization: true, ObservedAt: at}, func(out record.Emitter) error {
			for i, image := range []string{"shop@1, proxy@2", "shop@1", "mail@3", "proxy@2, mail@3"} { // the last has no class
				w := record.Entity{Ref: record.Ref{Kind: record.Workload, SourceID: image}, ArtifactIdentifier: image}
				if err := out.Record(record.Record{Position: record.Position{Line: i + 1}, Fact: w}); err != nil {
					return err
				}
			}
			return nil
		})
		require.NoError(t, err)
		exec(`UPDATE entity SET class = array_position('{"shop@1, proxy@2", shop@1, mail@3}', artifact_identifier) WHERE organization_id = $1 AND artifact_identifier <> 'proxy@2, mail@3'`, acme)
		exec(`INSERT INTO access_class SELECT $1, n, 'environment ' || n, '', '' FROM generate_series(1, 3) n`, acme)
		tables := []string{"entity", "access_class", "access_class_set", "asset", "asset_link"}
		for _, table := range tables {
			exec(`ALTER TABLE ` + table + ` DISABLE ROW LEVEL SECURITY`)
		}
		if shadowing {
			exec(`SET session_replication_role = replica`)
			exec(`INSERT INTO organization SELECT $1, 'rival', 'rival', created_at FROM organization WHERE id = $2`, rival, acme)
			exec(`INSERT INTO entity SELECT (jsonb_populate_record(x, jsonb_build_object('organization_id', $1::uuid, 'class', 7))).* FROM entity x WHERE organization_id = $2`, rival, acme)
			exec(`UPDATE entity SET artifact_identifier = 'shop@1', id = gen_random_uuid() WHERE organization_id = $1 AND artifact_identifier LIKE 'mail%'`, rival)
			exec(`INSERT INTO access_class VALUES ($1, 70, 'foreign', '', '')`, rival)
			exec(`INSERT INTO access_class_set VALUES ($1, 90, '{1, 2}', sha256('1,2'))`, rival)
		}
		add := func(digest, artifact string) {
			require.NoError(t, database.Tenant(ctx, acme, func(tx *db.Tx) error {
				p := tx.Pipeline()
				if err := asset.AddFile(p, acme, at, asset.File{SHA256: digest, Name: "a.txt", Size: 3, MediaType: "text/plain", Artifact: artifact}); err != nil {
					return err
				}
				return p.Commit(ctx)
			}))
		}
		database.Statements.Reset()
		add("01", "shop@1")
		add("02", "mail@3")
		add("03", "nobody@9")
		add("04", "")
		add("05", "shop@1")
		add("06", "proxy@2")
		sent := database.Statements.Sent()
		for _, query := range asset.FileQueries.All() {
			require.Contains(t, sent, query.Name, "every statement is played")
		}
		for _, table := range tables[3:] {
			require.Empty(t, rows(`SELECT x::text FROM `+table+` x WHERE organization_id = $1`, rival))
		}
		require.Equal(t, []string{"4 {1,2}"}, rows(`SELECT class || ' ' || members::text FROM access_class_set WHERE organization_id = $1`, acme), "one class for both files of the image")
		require.Equal(t, []string{"01 4", "02 3", "03 0", "04 0", "05 4", "06 1"}, rows(`SELECT value || ' ' || class FROM asset WHERE organization_id = $1 ORDER BY value`, acme))
		for _, table := range tables[2:] {
			outcome = append(outcome, rows(`SELECT to_jsonb(x)::text FROM `+table+` x WHERE organization_id = $1 ORDER BY 1`, acme)...)
		}
		require.Len(t, outcome, 1+6+8)
		return outcome
	}
	require.Equal(t, play(false), play(true))
}
