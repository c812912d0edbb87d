package authority_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// shadowColumn is what shadow has to know of a column.
type shadowColumn struct {
	Name, Type  string
	Bound, Key  bool
	Enumeration bool
	Checked     bool
	Words       string // of the enumeration
}

// shadowColumns keeps what the catalog says, which is the same in every database of
// the tests and asked before every step of the story.
var shadowColumns sync.Map

func shadowed(t testing.TB, super *pgx.Conn, table string) []shadowColumn {
	t.Helper()
	if known, ok := shadowColumns.Load(table); ok {
		return known.([]shadowColumn)
	}
	rows, err := super.Query(context.Background(), `
		SELECT quote_ident(a.attname) AS name, format_type(a.atttypid, NULL) AS type,
		       EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = a.attrelid AND k.contype = 'f' AND a.attnum = ANY (k.conkey)) AS bound,
		       EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = a.attrelid AND k.contype = 'p' AND a.attnum = ANY (k.conkey)) AS key,
		       EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = a.attrelid AND k.contype = 'c' AND a.attnum = ANY (k.conkey)
		                 AND pg_get_constraintdef(k.oid) LIKE '%ANY (ARRAY[%') AS enumeration,
		       EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = a.attrelid AND k.contype = 'c' AND a.attnum = ANY (k.conkey)) AS checked,
		       coalesce((SELECT substring(pg_get_constraintdef(k.oid) FROM 'ANY \((ARRAY\[[^]]*\])') FROM pg_constraint k
		                 WHERE k.conrelid = a.attrelid AND k.contype = 'c' AND k.conkey = ARRAY[a.attnum] LIMIT 1), '') AS words
		FROM pg_attribute a WHERE a.attrelid = $1::text::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`, table)
	require.NoError(t, err)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[shadowColumn])
	require.NoError(t, err)
	shadowColumns.Store(table, list)
	return list
}

// shadow makes the rival's rows copies of acme's: the same ids, and everything
// that is no id and bound to no list of words different. A statement that
// forgets its organization then finds twice the rows, with wrong values in half.
// Its times lie before or after acme's own.
func shadow(t testing.TB, super *pgx.Conn, days int) {
	t.Helper()
	exec(t, super, `SET session_replication_role = replica`) // rows come in any order
	exec(t, super, `INSERT INTO organization VALUES ($1, 'rival', 'rival', now()) ON CONFLICT DO NOTHING`, rival)
	for _, table := range tenantTables(t, super) {
		exec(t, super, `DELETE FROM `+table+` WHERE organization_id = $1`, rival)
		list := shadowed(t, super, table)
		var columns, expressions []string
		differs := false
		fixed := slices.ContainsFunc(list, func(c shadowColumn) bool { return c.Name == "from_at" && c.Key })
		for _, c := range list {
			columns = append(columns, c.Name)
			expression := c.Name
			switch {
			case c.Name == "organization_id":
				expression = "'" + rival.String() + "'"
			case c.Key || c.Bound || c.Enumeration:
			case c.Name == "code": // which an organization may have whatever others have
			case c.Name == "listed" && c.Type == "boolean": // what does not live is not
				expression = "NOT live"
			case c.Name == "change_type": // which has no blanks
				expression = "'foreign_' || change_type"
			case c.Type == "text":
				expression = "'foreign ' || coalesce(" + c.Name + ", '')"
				if c.Checked { // whether it is null goes with another column
					expression = "'foreign ' || " + c.Name
				}
			case c.Type == "text[]":
				expression = c.Name + " || 'foreign'::text"
			case c.Type == "integer" || c.Type == "bigint":
				expression = c.Name + " + 1000"
			case c.Type == "smallint":
				expression = "1 + " + c.Name + " % 3" // another value of any range there is
			case c.Type == "boolean":
				expression = "NOT " + c.Name
			case c.Type == "bytea":
				expression = "sha256(" + c.Name + ` || '\x42'::bytea)` // as long as any hash
			case c.Name == "stated_at": // which is not after the beginning
				expression = fmt.Sprintf("stated_at - interval '%d days'", max(days, -days))
			case c.Type == "timestamp with time zone":
				expression = fmt.Sprintf("%s + interval '%d days'", c.Name, days)
				if c.Name == "to_at" && fixed || c.Name == "until" { // the interval begins where it did
					expression = fmt.Sprintf("%s + interval '%d days'", c.Name, max(days, -days))
				}
			case c.Type == "date":
				expression = fmt.Sprintf("%s + %d", c.Name, days)
			case c.Type == "integer[]":
				expression = c.Name + " || 99"
			case c.Type == "smallint[]":
				expression = c.Name + " || 99::smallint"
			case c.Type == "jsonb":
				expression = `CASE jsonb_typeof(` + c.Name + `) WHEN 'array' THEN '[{"code": "FOREIGN"}]' ELSE '{"foreign": "yes"}'::jsonb END`
			case c.Type == "uuid" && strings.HasSuffix(c.Name, "digest"):
				expression = "md5('foreign' || " + c.Name + ")::uuid"
			case c.Type == "inet":
				expression = c.Name + " + 1000"
			case c.Type == "uuid" || c.Type == "uuid[]" || c.Type == "interval" || c.Type == "int4multirange":
			default:
				require.Failf(t, "a column of a new type", "shadow cannot make %s.%s (%s) differ", table, c.Name, c.Type)
			}
			differs = differs || expression != c.Name && c.Name != "organization_id"
			expressions = append(expressions, expression)
		}
		for i, c := range list { // where all is key or word: its instants, and the next word
			switch {
			case differs:
			case c.Type == "timestamp with time zone":
				expressions[i] = fmt.Sprintf("%s + interval '%d days'", c.Name, days)
			case c.Words != "" && !c.Key:
				expressions[i] = fmt.Sprintf("(%[1]s)[1 + array_position(%[1]s, %[2]s) %% cardinality(%[1]s)]", c.Words, c.Name)
			}
		}
		require.NotEqual(t, strings.Join(columns[1:], ", "), strings.Join(expressions[1:], ", "), "the copy of %s is no other", table)
		exec(t, super, `INSERT INTO `+table+` (`+strings.Join(columns, ", ")+`) SELECT `+strings.Join(expressions, ", ")+` FROM `+table+` WHERE organization_id = $1`, acme)
	}
	exec(t, super, `SET session_replication_role = origin`)
}

// crowd fills the rival with what acme never said, about acme's own ids and in
// the name of acme's own sources: everything is tied to everything, watched,
// and known. A copy alone hides what a statement reads as a set.
func crowd(t testing.TB, super *pgx.Conn) {
	t.Helper()
	exec(t, super, `SET session_replication_role = replica`)
	exec(t, super, `CREATE TEMPORARY TABLE known AS SELECT id, kind FROM entity WHERE organization_id = $1`, rival)
	for kind, name := range map[record.EntityKind]string{record.Resource: "nowhere", record.Identity: "nobody", record.Workload: "ghost"} {
		exec(t, super, `INSERT INTO known VALUES ($1, $2)`, id.Entity(acme, string(kind), "shop", name), string(kind))
	}
	for _, statement := range []string{
		`INSERT INTO entity_assertion (organization_id, entity_id, source_id, basis, digest, kind, system, external_id, name)
		 SELECT s.organization_id, k.id, s.id, b, md5('crowd')::uuid, k.kind, 'shop', 'crowd', 'crowd'
		 FROM known k, source s, generate_series(1, 4) b WHERE s.organization_id = $1`,
		`INSERT INTO edge (organization_id, kind, from_id, scope, to_id, source_id, actions, effective, protocol, target_system)
		 SELECT s.organization_id, e.kind, f.id, CASE WHEN e.kind IN ('has_role', 'grants') THEN '*' ELSE '' END, o.id, s.id, '{crowd}', true, 'crowd', 'crowd'
		 FROM (VALUES ('runs_as', 'workload', 'identity'), ('has_role', 'identity', 'role'), ('grants', 'role', 'resource'), ('owned_by', 'workload', 'owner'),
		              ('created_by', 'workload', 'owner'), ('authenticates', 'identity', 'identity'), ('authenticates', 'workload', 'identity'),
		              ('declares', 'workload', 'resource')) AS e(kind, from_kind, to_kind)
		 JOIN known f ON f.kind = e.from_kind JOIN known o ON o.kind = e.to_kind, source s WHERE s.organization_id = $1`,
		`INSERT INTO egress (organization_id, workload_id, host, source_id, category)
		 SELECT s.organization_id, k.id, 'crowd.example', s.id, 'llm' FROM known k, source s WHERE k.kind = 'workload' AND s.organization_id = $1`,
		`INSERT INTO coverage (organization_id, source_id, kind, entity_id, system, complete, recorded_at)
		 SELECT s.organization_id, s.id, c, k.id, 'shop', true, now()
		 FROM unnest(ARRAY['ownership', 'execution', 'egress', 'binding', 'roles']) c, (SELECT id FROM known WHERE kind IN ('workload', 'identity') UNION SELECT '00000000-0000-0000-0000-000000000000') k, source s
		 WHERE s.organization_id = $1`,
		`INSERT INTO evidence (organization_id, workload_id, identity_id, resource_id, action, day, related, source_id, basis, count, recorded_at)
		 SELECT s.organization_id, k.id, '00000000-0000-0000-0000-000000000000', '00000000-0000-0000-0000-000000000000', 'crowd', date '2026-03-01', false, s.id, 'workload', 100000, now()
		 FROM known k, source s WHERE k.kind = 'workload' AND s.organization_id = $1`,
		`INSERT INTO evidence (organization_id, workload_id, identity_id, resource_id, action, day, related, source_id, basis, count, recorded_at)
		 SELECT s.organization_id, coalesce(w.id, n.id), coalesce(i.id, n.id), coalesce(r.id, n.id), 'crowd', d::date, false, s.id,
		        CASE WHEN r.id IS NOT NULL THEN 'path' WHEN w.id IS NOT NULL THEN 'workload' ELSE 'identity' END, 100000, now()
		 FROM (VALUES ('00000000-0000-0000-0000-000000000000'::uuid)) n(id)
		 CROSS JOIN (SELECT id FROM known WHERE kind = 'workload' UNION ALL SELECT NULL) w CROSS JOIN (SELECT id FROM known WHERE kind = 'identity' UNION ALL SELECT NULL) i
		 CROSS JOIN (SELECT id FROM known WHERE kind = 'resource' UNION ALL SELECT NULL) r CROSS JOIN unnest('{2026-03-01, 2026-06-15, 2026-07-15}'::date[]) d,
		      (SELECT * FROM source WHERE organization_id = $1 LIMIT 1) s WHERE (w.id IS NOT NULL OR i.id IS NOT NULL)`,
		`INSERT INTO authority_path
		 SELECT (jsonb_populate_record(NULL::authority_path, to_jsonb(p) || jsonb_build_object('id', md5(concat_ws(' ', w.id, i.id, r.id)), 'lineage_id', md5(concat_ws(' ', w.id, r.id)), 'workload_id', w.id,
		         'identity_id', i.id, 'resource_id', r.id, 'status', 'active', 'effective', true, 'removed_at', NULL, 'from_at', '2020-01-01'::timestamptz, 'first_seen_at', '2020-01-01'::timestamptz))).*
		 FROM (SELECT * FROM authority_path WHERE organization_id = $1 LIMIT 1) p, (SELECT id FROM known WHERE kind = 'workload' LIMIT 2) w, known i, known r WHERE i.kind = 'identity' AND r.kind = 'resource'`,
		`INSERT INTO authority_path_version
		 SELECT (jsonb_populate_record(NULL::authority_path_version, to_jsonb(v) || jsonb_build_object('version', v.version + 70000, 'status', 'active', 'effective', true, 'role_ids', '{}'::uuid[], 'actions', '{crowd}'::text[],
		         'from_at', '2020-01-01'::timestamptz, 'to_at', '2030-01-01'::timestamptz))).*
		 FROM authority_path_version v WHERE v.organization_id = $1`,
		`INSERT INTO scope_baseline (organization_id, identity_id, at, basis)
		 SELECT $1, k.id, at, 'attested' FROM known k, unnest('{2020-01-01, 2026-03-05, 2030-01-01}'::timestamptz[]) at WHERE k.kind = 'identity'`,
		`INSERT INTO condition (organization_id, subject_id, rule, ordinal, rule_version, class, explanation, path_explanation, evidence, evidence_digest, effective_from, effective_basis, version, version_from, from_at)
		 SELECT $1, k.id, r, 70, 1, 0, 'crowd', 'crowd', '{}', md5('crowd')::uuid, '2020-01-01', 'detected', 1, '2020-01-01', '2020-01-01' FROM known k, generate_series(1, 13) r`,
		`INSERT INTO exposure (organization_id, path_id, type, ordinal, workload_id, class, severity, factors, explanation, evidence_digest, disposition, effective_from, effective_basis, lineage_from, version, version_from, from_at)
		 SELECT $1, p.id, r, 70, p.workload_id, 0, 4, 0, 'crowd', md5('crowd')::uuid, 1 + r % 4, '2020-01-01', 'detected', '2020-01-01', 1, '2020-01-01', '2020-01-01' FROM authority_path p, generate_series(1, 13) r WHERE p.organization_id = $1`,
		`INSERT INTO rule_version (organization_id, rule, version, enabled, from_at, to_at)
		 SELECT $1, r, 900, true, at, lead(at) OVER (PARTITION BY r ORDER BY at) FROM generate_series(1, 20) r, unnest('{2020-01-01, 2026-03-01T12:00Z}'::timestamptz[]) at`,
		// What ends when anything of acme's does.
		`INSERT INTO rule_version (organization_id, rule, version, enabled, from_at, to_at)
		 SELECT DISTINCT $1::uuid, r, 900, true, c.at - interval '1 second', c.at
		 FROM organization o JOIN (SELECT organization_id, at FROM sync UNION ALL SELECT organization_id, at FROM evaluation) c ON c.organization_id = o.id
		 CROSS JOIN generate_series(1, 13) r WHERE o.slug = 'acme'`,
		`INSERT INTO exposure
		 SELECT (jsonb_populate_record(NULL::exposure, to_jsonb(x) || jsonb_build_object('organization_id', $1::uuid, 'ordinal', x.ordinal + 100, 'lineage_from', '2020-01-01'::timestamptz))).*
		 FROM organization o JOIN exposure x ON x.organization_id = o.id WHERE o.slug = 'acme' AND x.to_at IS NOT NULL`,
		`INSERT INTO setting (organization_id, version, from_at, actor, dormant_after_days, proof_grace_days, privilege_window_days, shared_workloads, disabled_rules)
		 VALUES ($1, 900, '2020-01-01', 'crowd', 3, 3, 3, 2, '{6, 8}')`,
		`INSERT INTO evaluation (organization_id, at, recorded_at, cause, actor, paths_changed, exposures_opened, exposures_resolved)
		 VALUES ($1, '2030-01-01', '2030-01-01', 'time', 'crowd', 1, 1, 1)`,
		`INSERT INTO cluster_definition (organization_id, cluster, version, from_at, key, grain, severity, all_mask, any_mask)
		 SELECT $1, c, 900, '2020-01-01', 'crowd', 'workload', 4, 1, 0 FROM generate_series(1, 50) c`,
		`INSERT INTO cluster_member (organization_id, cluster, level, class, path_id, from_at, version, first_seen, exposed_since, rank, sensitivity, evidence, executed, workload_id, identity_id, resource_id, ownership_status, sensitive_domain)
		 SELECT $1, c, 1, 0, p.id, '2020-01-01', 900, '2020-01-01', '2020-01-01', 0, 0, 63, true, p.workload_id, p.identity_id, p.resource_id, 'valid', 'crowd' FROM authority_path p, (SELECT generate_series(1, 14) UNION SELECT 40) x(c) WHERE p.organization_id = $1`,
		`INSERT INTO cluster_identity (organization_id, cluster, level, class, identity_id, members)
		 SELECT $1, c, l, x, k.id, 500 FROM known k, generate_series(1, 14) c, generate_series(1, 3) l, generate_series(0, 6) x WHERE k.kind = 'identity'`,
		`INSERT INTO cluster_workload (organization_id, cluster, level, class, workload_id, members)
		 SELECT $1, c, l, x, k.id, 500 FROM known k, generate_series(1, 14) c, generate_series(1, 3) l, generate_series(0, 6) x WHERE k.kind = 'workload'`,
		`INSERT INTO cluster_evidence (organization_id, cluster, level, class, workload_id, identity_id, resource_id, members, executions)
		 SELECT $1, c, 1, 0, e.workload_id, e.identity_id, e.resource_id, 500, 500
		 FROM (SELECT DISTINCT workload_id, identity_id, resource_id FROM evidence WHERE organization_id = $1) e, unnest('{1, 4, 8, 10}'::smallint[]) c`,
		`INSERT INTO cluster_counter SELECT $1, c, l, x, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, '2020-01-01'
		 FROM generate_series(1, 14) c, generate_series(1, 3) l, generate_series(-1, 6) x`,
		`INSERT INTO cluster_tally (organization_id, cluster, level, class, dimension, value, members)
		 SELECT $1, c, l, x, d, v, 500 FROM generate_series(1, 14) c, generate_series(1, 3) l, generate_series(-1, 6) x,
		        (VALUES ('sensitive_domain', 'finance'), ('sensitive_domain', 'crowd'), ('first_seen', '2026-03-01'), ('exposed_since', '2026-03-01')) y(d, v)`,
		`INSERT INTO workload_exposure
		 SELECT (jsonb_populate_record(NULL::workload_exposure, to_jsonb(x) || jsonb_build_object('workload_id', k.id, 'code', 'EXP-' || md5(k.id::text), 'class', 3, 'listed', true, 'live', true,
		         'identity_ids', ARRAY[k.id], 'findings', 500, 'finding_rules', 8191, 'max_severity', 4))).*
		 FROM (SELECT * FROM workload_exposure WHERE organization_id = $1 LIMIT 1) x, known k WHERE k.kind = 'workload'`,
		`INSERT INTO identity_posture (organization_id, identity_id, class, paths, effective_paths, dormant_paths, executed_paths, autonomous, executions)
		 SELECT $1, k.id, x, 500, 500, 500, 500, true, 500 FROM known k, generate_series(-1, 6) x WHERE k.kind = 'identity'`,
		`INSERT INTO posture_counter SELECT $1, x, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, '2020-01-01' FROM generate_series(-1, 9) x`,
		`INSERT INTO posture_snapshot (organization_id, at, paths, dormant_paths, executions, invalid_paths, executed_invalid_paths, clusters)
		 SELECT $1, at, 500, 500, 500, 500, 500, '{"crowd": {"paths": 1, "executions": 1}}' FROM unnest('{2020-01-01, 2026-03-05, 2030-01-01}'::timestamptz[]) at`,
		`INSERT INTO privilege_justification (organization_id, path_id, from_at, actor, justification, actions)
		 SELECT $1, p.id, at, 'crowd', 'crowd', p.actions || '{crowd,update,delete}'::text[] FROM authority_path p, unnest('{2020-01-01, 2026-03-05}'::timestamptz[]) at WHERE p.organization_id = $1`,
		`INSERT INTO path_succession (organization_id, predecessor_id, successor_id, at)
		 SELECT organization_id, predecessor_id, successor_id, at + interval '1 hour' FROM path_succession WHERE organization_id = $1`,
	} {
		exec(t, super, statement+` ON CONFLICT DO NOTHING`, rival)
	}
	exec(t, super, `INSERT INTO access_class SELECT $1, class + 5000, environment, owner, business_tier FROM access_class WHERE organization_id = $2`, rival, acme)
	exec(t, super, `DELETE FROM access_class_set WHERE organization_id = $1`, rival)
	exec(t, super, `INSERT INTO access_class_set SELECT $1, class + 5000, members, digest FROM access_class_set WHERE organization_id = $2`, rival, acme)
	exec(t, super, `DROP TABLE known`)
	exec(t, super, `SET session_replication_role = origin`)
}

func dropPolicies(t testing.TB, super *pgx.Conn) {
	t.Helper()
	for _, table := range tenantTables(t, super) {
		exec(t, super, `ALTER TABLE `+table+` DISABLE ROW LEVEL SECURITY`)
	}
}
