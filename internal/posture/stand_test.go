package posture_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/posture"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// checker is what a world needs of a test.
type checker interface {
	require.TestingT
	Helper()
}

// stand is an organization with its world. It does for Count what authority and
// exposure do: it fills the temporary tables and writes exposures before, the
// rows of the paths after.
type stand struct {
	*dbtest.Database
	conn         *pgx.Conn // as the superuser
	organization id.ID
	source       id.ID
	world        *world
	at           time.Time
	wrote        map[string]*path // as authority_path has the active ones
	intervals    map[string][]interval
	snapshots    map[time.Time]map[cell]counts
	tallies      map[time.Time]map[string]int64
}

type interval struct {
	From, To string // RFC 3339; empty: open
	Level    int16
	Class    int32
	Version  int32
	Rank     int16
}

var organizations atomic.Int64

func newStand(t checker, database *dbtest.Database, conn *pgx.Conn, definitions []posture.Definition) *stand {
	slug := fmt.Sprintf("world-%d", organizations.Add(1))
	s := &stand{Database: database, conn: conn, organization: id.Organization(slug), source: id.New("source").Text(slug).Short(), at: epoch,
		world: &world{definitions: definitions, paths: map[string]*path{}, window: epoch},
		wrote: map[string]*path{}, intervals: map[string][]interval{}, snapshots: map[time.Time]map[cell]counts{}, tallies: map[time.Time]map[string]int64{}}
	s.exec(t, `INSERT INTO organization (id, slug, name, created_at) VALUES ($1, $2, $2, $3)`, s.organization, slug, epoch)
	// The posture is not kept here; an organization without any would be judged anew.
	s.exec(t, `INSERT INTO posture_counter VALUES ($1, -1, `+strings.Repeat("0, ", 27)+`$2)`, s.organization, epoch)
	s.exec(t, `INSERT INTO source (organization_id, id, name, system, format, created_at) VALUES ($1, $2, 'main', 'main', 'snapshot', $3)`,
		s.organization, s.source, epoch)
	return s
}

func (s *stand) exec(t checker, sql string, args ...any) {
	t.Helper()
	_, err := s.conn.Exec(context.Background(), sql, args...)
	require.NoError(t, err, sql)
}

// prepare has a keeper read and do what comes before anything is counted.
func prepare(ctx context.Context, tx *db.Tx, keeper *posture.Keeper, at time.Time) (recount bool, err error) {
	p := tx.Pipeline()
	prepared := keeper.Prepare(p)
	if err := p.Send(ctx); err != nil {
		return false, err
	}
	return prepared(ctx, at)
}

const createTables = `
CREATE TEMPORARY TABLE desired (
  path_id uuid NOT NULL, lineage_id uuid NOT NULL, workload_id uuid NOT NULL, identity_id uuid, resource_id uuid NOT NULL,
  effective boolean NOT NULL, role_ids uuid[] NOT NULL, actions text[] NOT NULL, auth_chain_depth smallint NOT NULL, composition_hash bytea NOT NULL,
  class integer NOT NULL, data_domain text COLLATE "C", sensitivity smallint NOT NULL,
  ownership_status text COLLATE "C" NOT NULL, egress_category text COLLATE "C" NOT NULL, execution_30d bigint, execution_basis text COLLATE "C"
) ON COMMIT DROP;
CREATE TEMPORARY TABLE path_diff (path_id uuid NOT NULL, op text NOT NULL) ON COMMIT DROP;
CREATE TEMPORARY TABLE path_mask (
  path_id uuid PRIMARY KEY, open_mask integer NOT NULL, acknowledged_mask integer NOT NULL, accepted_mask integer NOT NULL,
  active_exposure_count smallint NOT NULL, max_exposure_severity smallint
) ON COMMIT DROP`

// row is a path as JSON, for the columns that desired and authority_path share.
func row(p *path) map[string]any {
	r := map[string]any{
		"path_id": p.id(), "lineage_id": p.id(), "workload_id": thing(p.workload), "resource_id": thing(p.resource),
		"effective": true, "role_ids": []string{}, "actions": []string{}, "auth_chain_depth": 0, "composition_hash": `\x00`,
		"class": p.class, "sensitivity": p.sensitivity, "ownership_status": p.ownership, "egress_category": "none", "execution_30d": p.execution,
		"open_mask": p.mask(1), "acknowledged_mask": p.mask(2), "accepted_mask": p.mask(3), "active_exposure_count": 0,
		"id": p.id(), "status": "active", "version": 1, "from_at": p.firstSeen, "first_seen_at": p.firstSeen, "sync_version": 1,
	}
	for name, value := range map[string]string{"data_domain": p.domain, "execution_basis": p.basis} {
		if value != "" {
			r[name] = value
		}
	}
	if p.identity != "" {
		r["identity_id"] = thing(p.identity)
	}
	if p.severity > 0 {
		r["max_exposure_severity"] = p.severity
	}
	return r
}

func encode[T any](t checker, list []T) string {
	if list == nil {
		list = []T{}
	}
	text, err := json.Marshal(list)
	require.NoError(t, err)
	return string(text)
}

// step is one change of a stand.
type step struct {
	touched    []string // keys of active paths that may differ
	removed    []string
	everything bool
	large      bool
}

// apply counts a change of the world, and afterwards writes the paths. The world
// has changed already.
func (s *stand) apply(t checker, keeper *posture.Keeper, change step) (recount bool) {
	t.Helper()
	ctx := context.Background()
	var desired, exposures []map[string]any
	for _, key := range slices.Sorted(maps.Keys(s.world.paths)) {
		if !change.everything && !slices.Contains(change.touched, key) {
			continue
		}
		p := s.world.paths[key]
		desired = append(desired, row(p))
		for kind, e := range p.exposures {
			exposures = append(exposures, map[string]any{"organization_id": s.organization, "path_id": p.id(), "type": kind, "ordinal": 1,
				"workload_id": thing(p.workload), "class": p.class, "severity": 1, "factors": 0, "explanation": "", "evidence_digest": id.Nil,
				"disposition": e.disposition, "effective_from": e.effective, "effective_basis": "detected", "lineage_from": e.effective,
				"version": 1, "version_from": s.at, "from_at": s.at})
		}
	}
	var removed, gone []map[string]any
	for _, key := range change.removed {
		removed = append(removed, map[string]any{"path_id": s.wrote[key].id(), "op": "removed"})
		gone = append(gone, row(s.wrote[key]))
	}
	var evidence []map[string]any
	for _, o := range s.world.evidence {
		basis := "path"
		if o.resource == "" {
			basis = "identity"
			if o.workload != "" {
				basis = "workload"
			}
		}
		evidence = append(evidence, map[string]any{"organization_id": s.organization, "workload_id": thing(o.workload), "identity_id": thing(o.identity),
			"resource_id": thing(o.resource), "action": o.action, "day": day(o.day), "related": false, "source_id": s.source, "basis": basis,
			"count": o.count, "recorded_at": s.at, "first_at": s.at})
	}

	// What exposure and authority have written when Count is called.
	list := encode(t, desired)
	s.exec(t, `DELETE FROM exposure WHERE organization_id = $1
		AND path_id IN (SELECT path_id FROM json_populate_recordset(null::exposure, $2::json) UNION SELECT path_id FROM json_populate_recordset(null::exposure, $3::json))`,
		s.organization, list, encode(t, removed))
	s.exec(t, `INSERT INTO exposure SELECT * FROM json_populate_recordset(null::exposure, $1::json)`, encode(t, exposures))
	s.exec(t, `DELETE FROM evidence WHERE organization_id = $1`, s.organization)
	s.exec(t, `INSERT INTO evidence SELECT * FROM json_populate_recordset(null::evidence, $1::json)`, encode(t, evidence))

	require.NoError(t, s.Tenant(ctx, s.organization, func(tx *db.Tx) error {
		require.NoError(t, tx.Script(ctx, db.Query{Name: "test.tables", SQL: createTables}))
		for _, table := range []string{"desired", "path_mask"} {
			_, err := db.Exec(ctx, tx.Local(), db.Query{Name: "test.fill", SQL: `INSERT INTO ` + table + ` SELECT * FROM json_populate_recordset(null::` + table + `, @list::json)`},
				pgx.StrictNamedArgs{"list": list})
			require.NoError(t, err)
		}
		_, err := db.Exec(ctx, tx.Local(), db.Query{Name: "test.fill", SQL: `INSERT INTO path_diff SELECT * FROM json_populate_recordset(null::path_diff, @list::json)`},
			pgx.StrictNamedArgs{"list": encode(t, removed)})
		require.NoError(t, err)
		recount, err = prepare(ctx, tx, keeper, s.at)
		require.NoError(t, err)
		require.NoError(t, keeper.CreateWork(ctx, tx))
		p := tx.Pipeline()
		keeper.ClearWork(p)
		require.NoError(t, p.Send(ctx))
		return keeper.Count(ctx, tx, &authority.Assessment{At: s.at, WindowAt: s.world.window, Everything: change.everything, Large: change.large})
	}))

	s.exec(t, `DELETE FROM authority_path WHERE organization_id = $1
		AND id IN (SELECT id FROM json_populate_recordset(null::authority_path, $2::json) UNION SELECT id FROM json_populate_recordset(null::authority_path, $3::json))`,
		s.organization, list, encode(t, gone))
	for i := range desired {
		desired[i]["organization_id"] = s.organization
	}
	for i := range gone { // a removed path keeps what it was; only its masks are empty
		gone[i]["organization_id"], gone[i]["status"], gone[i]["removed_at"] = s.organization, "removed", s.at
		gone[i]["open_mask"], gone[i]["acknowledged_mask"], gone[i]["accepted_mask"] = 0, 0, 0
	}
	s.exec(t, `INSERT INTO authority_path SELECT * FROM json_populate_recordset(null::authority_path, $1::json)`, encode(t, append(desired, gone...)))
	for _, key := range change.removed {
		delete(s.wrote, key)
	}
	for key, p := range s.world.paths {
		if change.everything || slices.Contains(change.touched, key) {
			written := *p
			s.wrote[key] = &written
		}
	}
	return recount
}

func selectRows[T any](t checker, conn *pgx.Conn, sql string, args ...any) []T {
	t.Helper()
	rows, err := conn.Query(context.Background(), sql, args...)
	require.NoError(t, err, sql)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[T])
	require.NoError(t, err, sql)
	return list
}

func stamp(at time.Time) string { return at.UTC().Format(time.RFC3339Nano) }

// verify compares everything that Count keeps with a count from scratch, and
// with what earlier counts said.
func (s *stand) verify(t checker) {
	t.Helper()
	members := s.world.members()
	s.verifyMembers(t, members)
	want := s.world.count(members)

	type pair struct {
		Key string
		N   int64
	}
	got := map[string]int64{}
	for _, p := range selectRows[pair](t, s.conn, `
		SELECT format('identity %s %s %s %s', cluster, level, class, identity_id), members FROM cluster_identity WHERE organization_id = $1
		UNION ALL SELECT format('workload %s %s %s %s', cluster, level, class, workload_id), members FROM cluster_workload WHERE organization_id = $1
		UNION ALL SELECT format('evidence %s %s %s %s %s %s', cluster, level, class, workload_id, identity_id, resource_id), members FROM cluster_evidence WHERE organization_id = $1
		UNION ALL SELECT format('executions %s %s %s %s %s %s', cluster, level, class, workload_id, identity_id, resource_id), executions FROM cluster_evidence WHERE organization_id = $1`,
		s.organization) {
		got[p.Key] = p.N
	}
	require.Equal(t, want.references, got)

	got = map[string]int64{}
	for _, p := range selectRows[pair](t, s.conn, `SELECT format('{%s %s %s} %s %s', cluster, level, class, dimension, value), members FROM cluster_tally WHERE organization_id = $1`, s.organization) {
		got[p.Key] = p.N
	}
	require.Equal(t, want.tallies, got)
	s.snapshots[s.at], s.tallies[s.at] = want.counters, want.tallies
	s.verifyCounters(t)
	s.verifyFormerTallies(t)
}

func (s *stand) verifyMembers(t checker, want []member) {
	t.Helper()
	got := selectRows[struct {
		member
		Evidence int16
		From     time.Time
	}](t, s.conn, `
		SELECT cluster, path_id, level, class, version, rank, first_seen::text, exposed_since::text, sensitivity, ownership_status, sensitive_domain, executed,
		  workload_id, identity_id, resource_id, evidence, from_at
		FROM cluster_member WHERE organization_id = $1 AND to_at IS NULL ORDER BY cluster, path_id`, s.organization)
	require.Len(t, got, len(want))
	for i := range got {
		expected := want[i]
		expected.path = nil
		require.Equal(t, expected, got[i].member)
	}

	now := map[string]member{}
	for _, m := range want {
		now[fmt.Sprint(m.Cluster, " ", m.Path)] = m
	}
	for key, list := range s.intervals {
		last := &list[len(list)-1]
		if m, still := now[key]; last.To == "" && (!still || *last != interval{last.From, "", m.Level, m.Class, m.Version, m.Rank}) {
			last.To = stamp(s.at)
		}
	}
	for key, m := range now {
		if list := s.intervals[key]; len(list) == 0 || list[len(list)-1].To != "" {
			s.intervals[key] = append(list, interval{stamp(s.at), "", m.Level, m.Class, m.Version, m.Rank})
		}
	}
	history := map[string][]interval{}
	for _, r := range selectRows[struct {
		Key                   string
		From                  time.Time
		To                    *time.Time
		Level, Class, Version int32
		Rank                  int16
	}](t, s.conn, `SELECT cluster || ' ' || path_id, from_at, to_at, level, class, version, rank FROM cluster_member WHERE organization_id = $1 ORDER BY from_at`, s.organization) {
		i := interval{From: stamp(r.From), Level: int16(r.Level), Class: r.Class, Version: r.Version, Rank: r.Rank}
		if r.To != nil {
			i.To = stamp(*r.To)
		}
		history[r.Key] = append(history[r.Key], i)
	}
	require.Equal(t, s.intervals, history)
}

// verifyCounters finds in counters and their versions what was true at each
// instant of a count.
func (s *stand) verifyCounters(t checker) {
	t.Helper()
	type version struct {
		Cluster      int16
		Level, Class int
		From         time.Time
		To           *time.Time
		Counts       counts
	}
	versions := map[cell][]version{}
	for _, v := range selectRows[version](t, s.conn, `
		SELECT cluster, level, class, from_at, to_at, (SELECT json_object_agg(key, value) FROM json_each(to_json(v))
		  WHERE key NOT IN ('organization_id', 'cluster', 'level', 'class', 'from_at', 'to_at') AND value::text <> '0')
		FROM (SELECT * FROM cluster_counter_version UNION ALL
		      SELECT organization_id, cluster, level, class, from_at, null, `+columns+` FROM cluster_counter) v
		WHERE organization_id = $1 ORDER BY from_at`, s.organization) {
		at := cell{v.Cluster, v.Level, v.Class}
		if list := versions[at]; len(list) > 0 {
			last := list[len(list)-1]
			require.NotNil(t, last.To)
			require.Equal(t, stamp(v.From), stamp(*last.To), "the versions of a counter follow each other without a gap")
			require.NotEqual(t, last.Counts, v.Counts, "a version is written on change only")
		}
		versions[at] = append(versions[at], v)
	}
	for _, list := range versions {
		require.Nil(t, list[len(list)-1].To, "the last version is the counter")
	}
	for instant, want := range s.snapshots {
		got := map[cell]counts{}
		for at, list := range versions {
			for _, v := range list {
				if !v.From.After(instant) && (v.To == nil || v.To.After(instant)) && len(v.Counts) > 0 {
					got[at] = v.Counts
				}
			}
		}
		require.Equal(t, want, got, "as of %s, at %s", stamp(instant), stamp(s.at))
	}
}

// verifyFormerTallies finds in tallies and their versions what was true at each
// instant of a count.
func (s *stand) verifyFormerTallies(t checker) {
	t.Helper()
	type version struct {
		Key     string
		From    time.Time
		To      *time.Time
		Members int64
	}
	versions := map[string][]version{}
	for _, v := range selectRows[version](t, s.conn, `
		SELECT format('{%s %s %s} %s %s', cluster, level, class, dimension, value), from_at, to_at, members
		FROM (SELECT cluster, level, class, dimension, value, from_at, to_at, members FROM cluster_tally_version WHERE organization_id = $1
		      UNION ALL SELECT cluster, level, class, dimension, value, from_at, NULL, members FROM cluster_tally WHERE organization_id = $1) v
		ORDER BY from_at`, s.organization) {
		if list := versions[v.Key]; len(list) > 0 {
			last := list[len(list)-1]
			require.NotNil(t, last.To)
			require.False(t, last.To.After(v.From), "the versions of a tally follow each other")
			require.False(t, last.To.Equal(v.From) && last.Members == v.Members, "a version is written on change only")
		}
		versions[v.Key] = append(versions[v.Key], v)
	}
	for instant, want := range s.tallies {
		got := map[string]int64{}
		for key, list := range versions {
			for _, v := range list {
				if !v.From.After(instant) && (v.To == nil || v.To.After(instant)) {
					got[key] = v.Members
				}
			}
		}
		require.Equal(t, want, got, "as of %s, at %s", stamp(instant), stamp(s.at))
	}
}

const columns = `paths, identities, workloads, executions, executed, executed_sensitive, unwatched,
  ownership_valid, ownership_degraded, ownership_ambiguous, ownership_orphaned, ownership_unknown,
  sensitivity_unknown, sensitivity_public, sensitivity_internal, sensitivity_confidential, sensitivity_restricted`

func (s *stand) counter(t checker, cluster, level, class int) counts {
	t.Helper()
	type one struct{ Counts counts }
	got := selectRows[one](t, s.conn, `SELECT (SELECT json_object_agg(key, value) FROM json_each(to_json(c))
		WHERE key NOT IN ('organization_id', 'cluster', 'level', 'class', 'from_at'))
		FROM cluster_counter c WHERE organization_id = $1 AND cluster = $2 AND level = $3 AND class = $4`, s.organization, cluster, level, class)
	if len(got) == 0 {
		return nil
	}
	return got[0].Counts
}

func setup(t testing.TB, definitions []posture.Definition) *stand {
	database := dbtest.New(t)
	return newStand(t, database, database.Super(t), definitions)
}
