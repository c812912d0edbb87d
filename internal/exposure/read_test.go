package exposure_test

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/page"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// shelf is an organization whose rows a test wrote by hand, to be read.
type shelf struct {
	*dbtest.Database
	reader exposure.Reader
	super  *pgx.Conn
	ctx    context.Context
}

func (s *shelf) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	_, err := s.super.Exec(context.Background(), sql, args...)
	require.NoError(t, err, sql)
}

// pathOf is the id that SQL gives a path of this name.
func pathOf(t testing.TB, s *shelf, name string) id.ID {
	t.Helper()
	var found id.ID
	require.NoError(t, s.super.QueryRow(context.Background(), `SELECT md5($1)::uuid`, name).Scan(&found))
	return found
}

// stock is two workloads, a finance path and a mail path of each, one of them
// taken over from a predecessor, and exposures of every status on them.
func stock(t testing.TB) *shelf {
	t.Helper()
	s := &shelf{Database: dbtest.New(t)}
	s.super = s.Super(t)
	s.ctx = access.With(context.Background(), access.Actor{Subject: "test", AllOrganizations: true, Scopes: []access.Scope{access.View}})
	s.exec(t, `SET session_replication_role = replica`)
	s.exec(t, `INSERT INTO organization VALUES ($1, 'acme', 'acme', $2)`, organization, epoch)
	s.exec(t, `INSERT INTO organization_window VALUES ($1, $2)`, organization, epoch)
	s.exec(t, `
		INSERT INTO authority_path (organization_id, id, lineage_id, workload_id, identity_id, resource_id, status, effective, role_ids, actions, auth_chain_depth,
			composition_hash, class, data_domain, sensitivity, ownership_status, egress_category, version, from_at, sync_version, first_seen_at)
		SELECT $1, md5(n)::uuid, md5('line ' || n)::uuid, md5(w)::uuid, md5('identity of ' || w)::uuid, md5(n || ' resource')::uuid, 'active', true, '{}', '{get,list}', 0,
			sha256(convert_to(n, 'UTF8')), 0, d, s, o, 'none', 2, $2, 1, $2
		FROM (VALUES ('shop-finance', 'shop', 'finance', 4, 'orphaned'), ('shop-mail', 'shop', 'mail', 1, 'orphaned'),
		             ('desk-finance', 'desk', 'finance', 3, 'valid'), ('desk-mail', 'desk', 'mail', 1, 'valid')) AS x(n, w, d, s, o)`, organization, epoch)
	s.exec(t, `
		INSERT INTO authority_path_version (organization_id, id, version, from_at, to_at, sync_version, status, effective, role_ids, actions, auth_chain_depth,
			composition_hash, class, data_domain, sensitivity, ownership_status, egress_category)
		SELECT organization_id, id, 1, $2::timestamptz - interval '40 days', $2, 1, 'active', true, '{}', '{once}', 0, composition_hash, 0, 'former', 2, 'unknown', 'none'
		FROM authority_path WHERE organization_id = $1`, organization, epoch)
	// What is said in the last columns: days from epoch that it began and ended.
	s.exec(t, `
		INSERT INTO exposure (organization_id, path_id, type, ordinal, workload_id, class, severity, factors, explanation, evidence_digest, disposition,
			effective_from, effective_basis, lineage_from, version, version_from, from_at, to_at, resolution_reason)
		SELECT $1, p.id, x.type, x.ordinal, p.workload_id, 0, x.severity, 4, x.name, md5(x.name)::uuid, x.disposition,
			$2::timestamptz + (x.began - 3) * interval '1 day', 'path_first_seen', $2::timestamptz - interval '90 days', x.version,
			$2::timestamptz + (x.began + x.version - 1) * interval '1 day', $2::timestamptz + x.began * interval '1 day', $2::timestamptz + x.ended * interval '1 day', CASE WHEN x.ended IS NOT NULL THEN 'owner_assigned' END
		FROM (VALUES
			('orphaned',       'shop-finance', 1, 2, 4, 1, 2, -10, NULL),
			('was orphaned',   'shop-finance', 1, 1, 4, 1, 1, -30, -20),
			('orphaned mail',  'shop-mail',    1, 1, 3, 2, 1, -10, NULL),
			('sensitive',      'shop-finance', 6, 1, 4, 3, 1, -35, NULL),
			('dormant',        'desk-finance', 5, 1, 2, 4, 1, -8,  NULL),
			('took over',      'desk-finance', 6, 1, 3, 1, 1, -5,  NULL),
			('handed over',    'desk-mail',    6, 1, 3, 1, 1, -15, -5)
		) AS x(name, path, type, ordinal, severity, disposition, version, began, ended)
		JOIN authority_path p ON p.organization_id = $1 AND p.id = md5(x.path)::uuid`, organization, epoch)
	s.exec(t, `
		INSERT INTO exposure_version (organization_id, path_id, type, ordinal, version, from_at, to_at, class, severity, factors, explanation, evidence_digest, disposition)
		SELECT organization_id, path_id, type, ordinal, 1, from_at, version_from, 0, 3, 4, 'at first', evidence_digest, 1
		FROM exposure WHERE organization_id = $1 AND version = 2`, organization)
	s.exec(t, `
		INSERT INTO condition (organization_id, subject_id, rule, ordinal, rule_version, class, explanation, evidence, evidence_digest, effective_from, effective_basis,
			indeterminate_since, version, version_from, from_at, to_at, resolution_reason)
		SELECT $1, md5(x.subject)::uuid, x.rule, x.ordinal, 7, 0, x.text, x.evidence::jsonb, md5(x.text)::uuid, $2, 'detected', $2::timestamptz + x.doubt * interval '1 day', x.version,
			$2::timestamptz + x.since * interval '1 day', $2::timestamptz + x.began * interval '1 day', $2::timestamptz + x.ended * interval '1 day', CASE WHEN x.ended IS NOT NULL THEN 'owner_assigned' END
		FROM (VALUES
			('shop', 1, 1, 'shop was unowned', '{"completeness": {"ownership": "complete"}}', NULL, 2, -22, -30, -20),
			('shop', 1, 2, 'shop is unowned', '{"completeness": {"ownership": "expired"}, "owners": [{"id": "00000000-0000-0000-0000-000000000001", "name": "Ada", "status": "inactive", "type": "individual"}]}', -1, 1, -10, -10, NULL),
			('identity of desk', 5, 1, 'idle', '{"lastActiveAt": "2025-11-01T00:00:00Z"}', NULL, 1, -8, -8, NULL)
		) AS x(subject, rule, ordinal, text, evidence, doubt, version, since, began, ended)`, organization, epoch)
	s.exec(t, `
		INSERT INTO condition_version (organization_id, subject_id, rule, ordinal, version, from_at, to_at, rule_version, class, explanation, evidence, evidence_digest)
		SELECT organization_id, subject_id, rule, ordinal, 1, from_at, version_from, 6, 0, 'at first', '{}', evidence_digest FROM condition WHERE organization_id = $1 AND version = 2`, organization)
	s.exec(t, `INSERT INTO rule_version VALUES ($1, 6, 1, true, $2::timestamptz - interval '90 days', $2::timestamptz - interval '1 day'), ($1, 6, 2, true, $2::timestamptz - interval '1 day', NULL)`, organization, epoch)
	s.exec(t, `INSERT INTO setting (organization_id, version, from_at, actor, dormant_after_days, proof_grace_days, privilege_window_days, shared_workloads, disabled_rules)
		VALUES ($1, 1, $2::timestamptz - interval '12 days', 'test', 30, 7, 90, 3, '{}')`, organization, epoch)
	s.exec(t, `INSERT INTO path_succession VALUES ($1, md5('desk-mail')::uuid, md5('desk-finance')::uuid, $2::timestamptz - interval '5 days')`, organization, epoch)
	s.exec(t, `INSERT INTO cluster_member (organization_id, cluster, path_id, from_at, version, level, class, first_seen, exposed_since, rank, sensitivity, evidence, workload_id, resource_id, ownership_status)
		VALUES ($1, 1, md5('shop-finance')::uuid, $2, 1, 2, 0, '2026-01-01', '2026-01-01', 36, 4, 0, md5('shop')::uuid, md5('r')::uuid, 'orphaned'),
		       ($1, 5, md5('desk-finance')::uuid, $2, 1, 3, 0, '2026-01-01', '2026-01-01', 36, 4, 0, md5('desk')::uuid, md5('r')::uuid, 'orphaned')`, organization, epoch)
	s.exec(t, `INSERT INTO evaluation VALUES ($1, $2::timestamptz - interval '2 days', $2, 'time', 'test', 0, 0, 0),
		($1, $2::timestamptz - interval '1 day', $2, 'attestation', 'test', 0, 0, 0), ($1, $2::timestamptz - interval '23 hours', $2, 'justification', 'test', 0, 0, 0)`, organization, epoch)
	s.exec(t, `INSERT INTO scope_baseline VALUES ($1, md5('identity of desk')::uuid, $2::timestamptz - interval '9 days', 'observed', NULL, NULL),
		($1, md5('identity of desk')::uuid, $2::timestamptz - interval '1 day', 'attested', 'ann', 'Reviewed.'), ($1, md5('identity of shop')::uuid, $2::timestamptz - interval '9 days', 'observed', NULL, NULL)`, organization, epoch)
	s.exec(t, `INSERT INTO privilege_justification VALUES ($1, md5('shop-finance')::uuid, $2::timestamptz - interval '3 days', $2::timestamptz - interval '2 days', 'bob', 'For the migration.', '{get}', 'ann'),
		($1, md5('shop-finance')::uuid, $2::timestamptz - interval '23 hours', NULL, 'ann', 'For the audit.', '{get,list}', NULL)`, organization, epoch)
	s.exec(t, `INSERT INTO sync (organization_id, id, source_id, version, at, observed_at, recorded_at, actor, content_digest, outcome, complete, records_read, records_rejected, paths_added, paths_kept, paths_changed, paths_removed, rejections, warnings)
		SELECT $1, md5('sync')::uuid, md5('source')::uuid, 1, $2, $2, $2, 'test', md5('d')::uuid, 'applied', true, 0, 0, 0, 0, 0, 0, '[]', '[]'`, organization, epoch)
	return s
}

// names lists what a page holds by what it says.
func names(list []*exposure.Exposure) (texts []string) {
	for _, x := range list {
		texts = append(texts, x.Explanation)
	}
	return texts
}

func (s *shelf) list(t testing.TB, filter exposure.Filter, order exposure.Order, request page.Request) (exposure.Page, int) {
	t.Helper()
	snapshot := s.Snapshot()
	defer snapshot.Close(s.ctx)
	found, err := s.reader.Exposures(s.ctx, snapshot, organization, filter, order, request)
	require.NoError(t, err)
	count, err := s.reader.CountExposures(s.ctx, snapshot, organization, filter)
	require.NoError(t, err)
	return found, count
}

var (
	gravest = exposure.Order{Field: exposure.BySeverity, Descending: true}
	every   = []exposure.Status{exposure.StatusActive, exposure.StatusAcknowledged, exposure.StatusFalsePositive, exposure.StatusResolved}
)

// filters is one filter for each condition, and what it finds gravest first.
func filters(t testing.TB, s *shelf) map[string]struct {
	exposure.Filter
	want []string
} {
	t.Helper()
	at := func(days int) *time.Time { instant := epoch.AddDate(0, 0, days); return &instant }
	type row = struct {
		exposure.Filter
		want []string
	}
	return map[string]row{
		"none":                 {exposure.Filter{}, []string{"orphaned", "was orphaned", "sensitive", "took over", "orphaned mail", "handed over", "dormant"}},
		"unresolved":           {exposure.Filter{Statuses: exposure.Unresolved()}, []string{"orphaned", "sensitive", "took over", "orphaned mail"}},
		"active":               {exposure.Filter{Statuses: every[:1]}, []string{"orphaned", "took over"}},
		"acknowledged":         {exposure.Filter{Statuses: every[1:2]}, []string{"sensitive", "orphaned mail"}},
		"false positive":       {exposure.Filter{Statuses: every[2:3]}, []string{"dormant"}},
		"resolved":             {exposure.Filter{Statuses: every[3:]}, []string{"was orphaned", "handed over"}},
		"resolved or false":    {exposure.Filter{Statuses: every[2:]}, []string{"was orphaned", "handed over", "dormant"}},
		"type":                 {exposure.Filter{Types: []rule.Type{rule.OrphanedPath, rule.DormantPath}}, []string{"orphaned", "was orphaned", "orphaned mail", "dormant"}},
		"severity":             {exposure.Filter{Severities: []rule.Severity{rule.Medium}}, []string{"dormant"}},
		"domain":               {exposure.Filter{DataDomains: []string{"mail"}}, []string{"orphaned mail", "handed over"}},
		"sensitivity":          {exposure.Filter{Sensitivities: []authority.Sensitivity{authority.Restricted, authority.Confidential}}, []string{"orphaned", "was orphaned", "sensitive", "took over", "dormant"}},
		"ownership":            {exposure.Filter{Ownership: []authority.OwnershipStatus{authority.OwnershipValid}}, []string{"took over", "handed over", "dormant"}},
		"domain and ownership": {exposure.Filter{DataDomains: []string{"finance"}, Ownership: []authority.OwnershipStatus{authority.OwnershipValid}}, []string{"took over", "dormant"}},
		"workload":             {exposure.Filter{WorkloadIDs: []id.ID{pathOf(t, s, "desk")}}, []string{"took over", "handed over", "dormant"}},
		"path":                 {exposure.Filter{PathIDs: []id.ID{pathOf(t, s, "shop-mail")}}, []string{"orphaned mail"}},
		"cluster":              {exposure.Filter{Clusters: []int16{1, 5}}, []string{"orphaned", "was orphaned", "sensitive"}},
		"effective":            {exposure.Filter{EffectiveAfter: at(-13), EffectiveBefore: at(-8)}, []string{"orphaned", "orphaned mail", "dormant"}},
		"detected":             {exposure.Filter{DetectedAfter: at(-10), DetectedBefore: at(-5)}, []string{"orphaned", "orphaned mail", "dormant"}},
	}
}

func TestReadFilters(t *testing.T) {
	t.Parallel()
	s := stock(t)
	for name, filter := range filters(t, s) {
		found, count := s.list(t, filter.Filter, gravest, page.Request{})
		require.ElementsMatch(t, filter.want, names(found.Rows), name)
		require.Equal(t, len(filter.want), count, name)
	}
	found, _ := s.list(t, exposure.Filter{}, gravest, page.Request{})
	require.True(t, slices.IsSortedFunc(found.Rows, func(a, b *exposure.Exposure) int { return int(b.Severity - a.Severity) }))
}

func TestReadPages(t *testing.T) {
	t.Parallel()
	s := stock(t)
	two := 2
	for _, order := range []exposure.Order{
		gravest, {Field: exposure.BySeverity}, {Field: exposure.ByDetectedAt}, {Field: exposure.ByDetectedAt, Descending: true},
		{Field: exposure.ByResolvedAt}, {Field: exposure.ByResolvedAt, Descending: true},
	} {
		filter := exposure.Filter{}
		if order.Field == exposure.ByResolvedAt {
			filter.Statuses = every[3:]
		}
		whole, count := s.list(t, filter, order, page.Request{})
		var forward, backward []string
		for request := (page.Request{First: &two}); ; {
			found, _ := s.list(t, filter, order, request)
			forward = append(forward, names(found.Rows)...)
			if !found.HasNext {
				break
			}
			after := found.Cursor(found.Rows[len(found.Rows)-1])
			request.After = &after
		}
		for request := (page.Request{Last: &two}); ; {
			found, _ := s.list(t, filter, order, request)
			backward = append(names(found.Rows), backward...)
			if !found.HasPrevious {
				break
			}
			before := found.Cursor(found.Rows[0])
			request.Before = &before
		}
		require.Len(t, forward, count, order)
		require.Equal(t, names(whole.Rows), forward, order)
		require.Equal(t, forward, backward, order)
	}
}

func TestReadListsUnderPaths(t *testing.T) {
	t.Parallel()
	s := stock(t)
	snapshot := s.Snapshot()
	defer snapshot.Close(s.ctx)
	finance, mail := pathOf(t, s, "shop-finance"), pathOf(t, s, "shop-mail")
	two := 2
	list := &exposure.List{Order: exposure.Order{Field: exposure.ByDetectedAt}, Request: page.Request{First: &two}}
	s.Statements.Reset()
	pages, err := s.reader.ExposuresUnder(s.ctx, snapshot, organization, list, []id.ID{finance, mail, id.Nil})
	require.NoError(t, err)
	require.Len(t, s.Statements.Sent(), 1)
	require.Equal(t, []string{"sensitive", "was orphaned"}, names(pages[finance].Rows))
	require.True(t, pages[finance].HasNext)
	require.Equal(t, []string{"orphaned mail"}, names(pages[mail].Rows))
	require.Empty(t, pages[id.Nil].Rows)
	counts, err := s.reader.CountExposuresUnder(s.ctx, snapshot, organization, list, []id.ID{finance, mail})
	require.NoError(t, err)
	require.Equal(t, map[id.ID]int{finance: 3, mail: 1}, counts)

	after := pages[finance].Cursor(pages[finance].Rows[1])
	list.Request.After = &after
	rest, err := s.reader.ExposuresUnder(s.ctx, snapshot, organization, list, []id.ID{finance})
	require.NoError(t, err)
	require.Equal(t, []string{"orphaned"}, names(rest[finance].Rows))
	_, err = s.reader.ExposuresUnder(s.ctx, snapshot, organization, list, []id.ID{mail})
	require.Equal(t, "CURSOR_OF_ANOTHER_LIST", readCode(t, err))
}

func readCode(t testing.TB, err error) string {
	t.Helper()
	var typed *problem.Error
	require.ErrorAs(t, err, &typed)
	return typed.Code
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	s := stock(t)
	snapshot := s.Snapshot()
	defer snapshot.Close(s.ctx)
	found, _ := s.list(t, exposure.Filter{}, gravest, page.Request{})
	cursor := found.Cursor(found.Rows[0])
	bent := page.Cursor(id.Nil, "4", "now", "x", "1", "1")
	for name, test := range map[string]struct {
		organization id.ID
		filter       exposure.Filter
		order        exposure.Order
		request      page.Request
		code         string
	}{
		"another organization": {id.Organization("rival"), exposure.Filter{}, gravest, page.Request{After: &cursor}, "CURSOR_OF_ANOTHER_LIST"},
		"another filter":       {organization, exposure.Filter{Types: []rule.Type{1}}, gravest, page.Request{After: &cursor}, "CURSOR_OF_ANOTHER_LIST"},
		"another order":        {organization, exposure.Filter{}, exposure.Order{Field: exposure.ByDetectedAt}, page.Request{After: &cursor}, "CURSOR_OF_ANOTHER_LIST"},
		"another direction":    {organization, exposure.Filter{}, exposure.Order{Field: exposure.BySeverity}, page.Request{After: &cursor}, "CURSOR_OF_ANOTHER_LIST"},
		"a bent cursor":        {organization, exposure.Filter{}, gravest, page.Request{After: &bent}, "CURSOR_OF_ANOTHER_LIST"},
		"resolved order":       {organization, exposure.Filter{}, exposure.Order{Field: exposure.ByResolvedAt}, page.Request{}, "ORDER_NEEDS_STATUS"},
		"too many values":      {organization, exposure.Filter{PathIDs: make([]id.ID, 101)}, gravest, page.Request{}, "FILTER_TOO_LARGE"},
		"an unreadable text":   {organization, exposure.Filter{DataDomains: []string{"\x00"}}, gravest, page.Request{}, "BAD_USER_INPUT"},
	} {
		_, err := s.reader.Exposures(s.ctx, snapshot, test.organization, test.filter, test.order, test.request)
		require.Equal(t, test.code, readCode(t, err), name)
	}
}

// Nobody reads without the right to, whatever is asked.
func TestReadNeedsAccess(t *testing.T) {
	t.Parallel()
	s := stock(t)
	snapshot := s.Snapshot()
	defer snapshot.Close(s.ctx)
	key := []exposure.Key{{PathID: id.Nil, Type: 1, Ordinal: 1}}
	for code, actor := range map[string]access.Actor{
		"ORGANIZATION_NOT_FOUND": {Subject: "stranger", Organizations: []string{"rival"}, Scopes: access.Scopes},
		"SCOPE_MISSING":          {Subject: "blind", Organizations: []string{"acme"}},
	} {
		ctx := access.With(context.Background(), actor)
		for name, read := range map[string]func() error{
			"Exposures": func() error {
				_, err := s.reader.Exposures(ctx, snapshot, organization, exposure.Filter{}, gravest, page.Request{})
				return err
			},
			"CountExposures": func() error {
				_, err := s.reader.CountExposures(ctx, snapshot, organization, exposure.Filter{})
				return err
			},
			"ExposuresByKeys": func() error { _, err := s.reader.ExposuresByKeys(ctx, snapshot, organization, key); return err },
			"ExposuresUnder": func() error {
				_, err := s.reader.ExposuresUnder(ctx, snapshot, organization, &exposure.List{}, []id.ID{id.Nil})
				return err
			},
			"CountExposuresUnder": func() error {
				_, err := s.reader.CountExposuresUnder(ctx, snapshot, organization, &exposure.List{}, []id.ID{id.Nil})
				return err
			},
			"VersionsByExposures": func() error {
				_, err := s.reader.VersionsByExposures(ctx, snapshot, organization, exposure.VersionWindow{}, key)
				return err
			},
			"StandingsByExposures":  func() error { _, err := s.reader.StandingsByExposures(ctx, snapshot, organization, key); return err },
			"NeighboursOfExposures": func() error { _, err := s.reader.NeighboursOfExposures(ctx, snapshot, organization, key); return err },
			"Clock":                 func() error { _, err := s.reader.Clock(ctx, snapshot, organization); return err },
		} {
			require.Equal(t, code, readCode(t, read()), name)
		}
	}
	require.Empty(t, s.Statements.Sent())
}

func (s *shelf) key(t testing.TB, path string, kind rule.Type, ordinal int) exposure.Key {
	t.Helper()
	return exposure.Key{PathID: pathOf(t, s, path), Type: kind, Ordinal: ordinal}
}

func TestReadVersionsStandingsAndNeighbours(t *testing.T) {
	t.Parallel()
	s := stock(t)
	snapshot := s.Snapshot()
	defer snapshot.Close(s.ctx)
	orphaned, was := s.key(t, "shop-finance", 1, 2), s.key(t, "shop-finance", 1, 1)
	reach, dormant := s.key(t, "shop-finance", 6, 1), s.key(t, "desk-finance", 5, 1)
	handed, took := s.key(t, "desk-mail", 6, 1), s.key(t, "desk-finance", 6, 1)

	versions, err := s.reader.VersionsByExposures(s.ctx, snapshot, organization, exposure.VersionWindow{Before: exposure.AllVersions, Limit: 5}, []exposure.Key{orphaned, was})
	require.NoError(t, err)
	require.Len(t, versions, 3)
	require.Equal(t, []string{"orphaned 2", "at first 1", "was orphaned 1"},
		[]string{fmt.Sprint(versions[0].Explanation, " ", versions[0].Version), fmt.Sprint(versions[1].Explanation, " ", versions[1].Version), fmt.Sprint(versions[2].Explanation, " ", versions[2].Version)})
	require.Equal(t, versions[0].FromAt, *versions[1].ToAt)
	require.Nil(t, versions[0].ToAt)

	list, err := s.reader.StandingsByExposures(s.ctx, snapshot, organization, []exposure.Key{orphaned, was, reach, dormant, handed})
	require.NoError(t, err)
	standings := map[exposure.Key]*exposure.Standing{}
	for _, standing := range list {
		standings[standing.Key] = standing
	}
	require.Len(t, standings, 5)
	require.Equal(t, "shop is unowned", *standings[orphaned].Explanation)
	require.Equal(t, "Ada", standings[orphaned].Evidence.Owners[0].Name)
	require.Equal(t, epoch.AddDate(0, 0, -1), standings[orphaned].IndeterminateSince.UTC())
	require.Equal(t, epoch, standings[orphaned].WindowAt.UTC())
	require.Equal(t, 1, standings[orphaned].SettingVersion)
	require.Equal(t, 7, *standings[orphaned].RuleVersion)
	require.Equal(t, []string{"get", "list"}, standings[orphaned].Actions)
	// What had resolved stands on what stood then.
	require.Equal(t, "shop was unowned", *standings[was].Explanation)
	require.Nil(t, standings[was].WindowAt)
	require.Zero(t, standings[was].SettingVersion)
	require.Equal(t, []string{"once"}, standings[was].Actions)
	require.Equal(t, "former", *standings[was].DataDomain)
	require.Equal(t, authority.Internal, standings[was].Sensitivity)
	// A rule of path grain has no condition; its version comes from the record.
	require.Nil(t, standings[reach].Evidence)
	require.Equal(t, 2, *standings[reach].RuleVersion)
	require.Equal(t, 1, *standings[handed].RuleVersion)
	require.Equal(t, "idle", *standings[dormant].Explanation, "the condition is the identity's")

	// The condition's former version explains an exposure that ended with it.
	s.exec(t, `UPDATE exposure SET to_at = $2::timestamptz - interval '25 days' WHERE organization_id = $1 AND explanation = 'was orphaned'`, organization, epoch)
	later := s.Snapshot()
	defer later.Close(s.ctx)
	list, err = s.reader.StandingsByExposures(s.ctx, later, organization, []exposure.Key{was})
	require.NoError(t, err)
	require.Equal(t, "at first", *list[0].Explanation)
	require.Equal(t, 6, *list[0].RuleVersion)

	neighbours, err := s.reader.NeighboursOfExposures(s.ctx, snapshot, organization, []exposure.Key{took, handed, orphaned})
	require.NoError(t, err)
	require.Len(t, neighbours, 2)
	require.Equal(t, handed, neighbours[took].Predecessor.Key)
	require.Nil(t, neighbours[took].Successor)
	require.Equal(t, took, neighbours[handed].Successor.Key)

	clock, err := s.reader.Clock(s.ctx, snapshot, organization)
	require.NoError(t, err)
	require.Equal(t, epoch, clock.At.UTC())
	require.Equal(t, epoch.AddDate(0, 0, -2), clock.EvaluatedAt.UTC())
	none, err := s.reader.Clock(s.ctx, snapshot, id.Organization("rival"))
	require.NoError(t, err)
	require.Nil(t, none)
}

func TestReadRecords(t *testing.T) {
	t.Parallel()
	s := stock(t)
	snapshot := s.Snapshot()
	defer snapshot.Close(s.ctx)
	desk, shop, finance := pathOf(t, s, "identity of desk"), pathOf(t, s, "identity of shop"), pathOf(t, s, "shop-finance")

	baselines, err := s.reader.Baselines(s.ctx, snapshot, organization, []id.ID{desk, shop, finance})
	require.NoError(t, err)
	require.Len(t, baselines, 2)
	require.Len(t, baselines[desk], 2)
	ann := "ann"
	latest := baselines[desk][0]
	require.Equal(t, epoch.AddDate(0, 0, -1), latest.At.UTC())
	latest.At = epoch
	require.Equal(t, exposure.Baseline{IdentityID: desk, At: epoch, Basis: "attested", Actor: &ann, Note: "Reviewed."}, latest)
	require.Equal(t, "observed", baselines[desk][1].Basis)
	require.Nil(t, baselines[desk][1].Actor)
	require.Empty(t, baselines[desk][1].Note)
	require.Len(t, baselines[shop], 1)

	justifications, err := s.reader.Justifications(s.ctx, snapshot, organization, []id.ID{finance, pathOf(t, s, "shop-mail")})
	require.NoError(t, err)
	require.Len(t, justifications, 1)
	require.Len(t, justifications[finance], 2)
	current, former := justifications[finance][0], justifications[finance][1]
	require.Nil(t, current.ToAt)
	require.Nil(t, current.WithdrawnBy)
	require.Equal(t, []string{"get", "list"}, current.Actions)
	require.Equal(t, "For the migration.", former.Text)
	require.Equal(t, "bob", former.Actor)
	require.Equal(t, &ann, former.WithdrawnBy)
	require.Equal(t, epoch.AddDate(0, 0, -2), former.ToAt.UTC())

	for name, read := range map[string]func(context.Context, id.ID) (int, error){
		"baselines": func(ctx context.Context, of id.ID) (int, error) {
			found, err := s.reader.Baselines(ctx, snapshot, of, []id.ID{desk})
			return len(found), err
		},
		"justifications": func(ctx context.Context, of id.ID) (int, error) {
			found, err := s.reader.Justifications(ctx, snapshot, of, []id.ID{finance})
			return len(found), err
		},
	} {
		found, err := read(s.ctx, id.Organization("rival"))
		require.NoError(t, err, name)
		require.Zero(t, found, "%s of another organization", name)
		_, err = read(access.With(context.Background(), access.Actor{Subject: "eve", Scopes: access.Scopes, Organizations: []string{"rival"}}), organization)
		require.Equal(t, access.OrganizationNotFound(), err, name)
		_, err = read(access.With(context.Background(), access.Actor{Subject: "bob", Organizations: []string{slug}}), organization)
		require.Equal(t, problem.Denied, problem.KindOf(err), name)
	}
}

// TestReadPredicatesAlone reads everything, as it is and as it was, before and after
// another organization moved in with the same ids, with row level security off: what
// still keeps them apart is the predicates of the statements.
func TestReadPredicatesAlone(t *testing.T) {
	t.Parallel()
	s := stock(t)
	rival := id.Organization("rival")
	rows, err := s.super.Query(context.Background(), `SELECT c.relname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'organization_id'
		WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'`)
	require.NoError(t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	for _, table := range tables {
		s.exec(t, `ALTER TABLE `+table+` DISABLE ROW LEVEL SECURITY`)
	}

	replacedAt := epoch.Add(2 * time.Hour)
	dbtest.Outdate(t, s.super, organization, replacedAt)
	finance := pathOf(t, s, "shop-finance")
	keys := pgx.StrictNamedArgs{
		"paths": []id.ID{finance, finance, pathOf(t, s, "desk-finance"), pathOf(t, s, "desk-mail")}, "types": []int16{1, 1, 6, 6}, "ordinals": []int{1, 2, 1, 1},
	}
	with := func(more pgx.StrictNamedArgs) pgx.StrictNamedArgs {
		for name, value := range keys {
			more[name] = value
		}
		return more
	}
	samples := map[string]pgx.StrictNamedArgs{
		"exposures_page": {"limit": 100}, "count_exposures": {}, "clock": {},
		"exposures_under": {"paths": keys["paths"], "limit": 100}, "count_exposures_under": {"paths": keys["paths"]},
		"intervals_by_paths": {"paths": keys["paths"]}, "exposures_by_keys": keys, "neighbours_of_exposures": keys,
		"versions_by_exposures": with(pgx.StrictNamedArgs{"before": 100, "limit": 100}), "standings_by_exposures": with(pgx.StrictNamedArgs{"of_identity": []int16{5, 9, 13}}),
		"baselines": {"identities": []id.ID{pathOf(t, s, "identity of desk"), pathOf(t, s, "identity of shop")}}, "justifications": {"paths": keys["paths"]},
	}
	ask := func() map[string]any {
		answers := map[string]any{}
		snapshot := s.Snapshot()
		defer snapshot.Close(s.ctx)
		for _, query := range exposure.ReadQueries.All() {
			args, ok := samples[strings.TrimPrefix(query.Name, "exposure.read.")]
			require.True(t, ok, "%s has no sample arguments here", query.Name)
			whole := db.Query{Name: query.Name, SQL: "/* " + query.Name + " */ SELECT to_jsonb(q)::text FROM (" + query.SQL + ") q"}
			found, err := db.Column[string](s.ctx, snapshot.Of(organization), whole, args)
			require.NoError(t, err, query.Name)
			require.NotEmpty(t, found, "%s: no answer proves nothing", query.Name)
			slices.Sort(found)
			answers[query.Name] = found
			whole.Past = "SELECT to_jsonb(q)::text FROM (" + query.Past + ") q"
			for when, at := range map[string]time.Time{"@before": replacedAt.Add(-time.Hour), "@after": replacedAt.AddDate(50, 0, 0)} {
				found, err := db.Column[string](s.ctx, snapshot.At(at).Of(organization), whole, args)
				require.NoError(t, err, query.Name)
				require.NotEmpty(t, found, "%s%s: no past proves nothing", query.Name, when)
				slices.Sort(found)
				answers[query.Name+when] = found
			}
		}
		for name, filter := range filters(t, s) {
			found, count := s.list(t, filter.Filter, gravest, page.Request{})
			bytes, err := json.Marshal(found.Rows)
			require.NoError(t, err)
			answers["list "+name], answers["count "+name] = string(bytes), count
		}
		return answers
	}
	before := ask()
	for _, table := range tables {
		s.exec(t, `INSERT INTO `+table+` SELECT (jsonb_populate_record(x, jsonb_build_object('organization_id', $1::uuid))).* FROM `+table+` x WHERE organization_id = $2`, rival, organization)
	}
	for _, statement := range []string{
		`UPDATE exposure SET explanation = 'foreign', severity = 1`, `UPDATE exposure_version SET explanation = 'foreign'`, `UPDATE condition SET explanation = 'foreign', ordinal = ordinal + 5`,
		`UPDATE authority_path_version SET data_domain = 'foreign', actions = '{}'`, `UPDATE condition_version SET explanation = 'foreign'`,
		`UPDATE authority_path SET data_domain = 'foreign', sensitivity = 0, ownership_status = 'degraded'`, `UPDATE sync SET at = at + interval '1 year'`, `UPDATE evaluation SET at = at + interval '1 year'`,
		`UPDATE scope_baseline SET note = 'foreign'`, `UPDATE privilege_justification SET justification = 'foreign'`, `UPDATE rule_version SET version = 99`, `UPDATE setting SET version = 0`, `UPDATE organization_window SET window_at = window_at + interval '1 year'`,
	} {
		s.exec(t, statement+` WHERE organization_id = $1`, rival)
	}
	require.Equal(t, before, ask())
	s.exec(t, `UPDATE cluster_member SET path_id = md5('desk-mail')::uuid WHERE organization_id = $1 AND cluster = 1`, rival)
	require.Equal(t, before, ask())
}

// TestReadTablesHaveTheirPredicate counts, because an answer cannot prove every
// predicate.
func TestReadTablesHaveTheirPredicate(t *testing.T) {
	t.Parallel()
	mention := regexp.MustCompile(`\b(?:FROM|JOIN)\s+(exposure|exposure_version|condition|condition_version|authority_path|authority_path_version|path_succession|rule_version|setting|evaluation|sync|organization_window|scope_baseline|privilege_justification)\s+([a-z]+)\b`)
	mentions := 0
	for _, query := range exposure.ReadQueries.All() {
		byAlias := map[string]int{}
		for _, m := range mention.FindAllStringSubmatch(query.SQL, -1) {
			byAlias[m[2]]++
			mentions++
		}
		for alias, want := range byAlias {
			predicate := regexp.MustCompile(`\b` + alias + `\.organization_id = @organization\b`)
			require.Len(t, predicate.FindAllString(query.SQL, -1), want, "%s: predicates of %q", query.Name, alias)
		}
	}
	require.Greater(t, mentions, 20)
}

// capture remembers the statements that were sent, with their arguments.
type capture struct {
	sql  string
	args []any
}

func (c *capture) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}
func (c *capture) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
func (c *capture) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}
func (c *capture) TraceBatchQuery(_ context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	c.sql, c.args = data.SQL, data.Args // the last of a batch is the statement
}
func (c *capture) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// TestReadListsHaveTheirIndex explains what is sent, as the runtime role behind
// row level security, among ten thousand exposures of each of two organizations.
func TestReadListsHaveTheirIndex(t *testing.T) {
	t.Parallel()
	s := stock(t)
	rival := id.Organization("rival")
	s.exec(t, `INSERT INTO organization VALUES ($1, 'rival', 'rival', $2)`, rival, epoch)
	for _, of := range []id.ID{organization, rival} {
		s.exec(t, `
			INSERT INTO exposure (organization_id, path_id, type, ordinal, workload_id, class, severity, factors, explanation, evidence_digest, disposition,
				effective_from, effective_basis, lineage_from, version, version_from, from_at, to_at, resolution_reason)
			SELECT $1, md5('many' || n / 5)::uuid, 1 + n % 5, 1, md5('w' || n / 50)::uuid, 0, 1 + n % 4, 4, 'many', md5(n::text)::uuid, 1 + n % 3,
				$2, 'detected', $2, 1, $2::timestamptz + n * interval '1 second', $2::timestamptz + n * interval '1 second',
				CASE WHEN n % 7 = 0 THEN $2::timestamptz + interval '1 day' + n * interval '1 second' END, CASE WHEN n % 7 = 0 THEN 'manual' END
			FROM generate_series(1, 10000) n`, of, epoch)
	}
	s.exec(t, `VACUUM ANALYZE exposure`)
	tracer := &capture{}
	traced, err := db.Open(context.Background(), s.RuntimeURL, db.Options{MaxConns: 1, Tracer: tracer})
	require.NoError(t, err)
	t.Cleanup(traced.Close)
	runtime := s.Runtime(t)
	_, err = runtime.Exec(context.Background(), `SELECT set_config('app.organization', $1, false)`, organization.String())
	require.NoError(t, err)

	for name, test := range map[string]struct {
		filter exposure.Filter
		order  exposure.Order
		index  string
	}{
		"unresolved, gravest first":   {exposure.Filter{Statuses: exposure.Unresolved()}, gravest, "exposure_list"},
		"unresolved, mildest first":   {exposure.Filter{Statuses: exposure.Unresolved()}, exposure.Order{Field: exposure.BySeverity}, "exposure_list"},
		"active and critical":         {exposure.Filter{Statuses: every[:1], Severities: []rule.Severity{rule.Critical}}, gravest, "exposure_list"},
		"resolved, the last first":    {exposure.Filter{Statuses: every[3:]}, exposure.Order{Field: exposure.ByResolvedAt, Descending: true}, "exposure_resolved"},
		"of a path, without an order": {exposure.Filter{PathIDs: []id.ID{pathOf(t, s, "many7")}}, gravest, "exposure_pkey"},
	} {
		var request page.Request
		for _, which := range []string{"first", "next"} {
			snapshot := traced.Snapshot()
			found, err := s.reader.Exposures(s.ctx, snapshot, organization, test.filter, test.order, request)
			require.NoError(t, err)
			snapshot.Close(s.ctx)
			rows, err := runtime.Query(context.Background(), "EXPLAIN "+tracer.sql, tracer.args...)
			require.NoError(t, err)
			lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
			require.NoError(t, err)
			plan := strings.Join(lines, "\n")
			require.Contains(t, plan, test.index, "%s, %s page", name, which)
			require.NotContains(t, plan, "Seq Scan", "%s, %s page:\n%s", name, which, plan)
			if test.index != "exposure_pkey" {
				require.NotContains(t, plan, "Sort", "%s, %s page:\n%s", name, which, plan)
			}
			after := found.Cursor(found.Rows[0])
			request.After = &after
		}
	}

	// Nested lists are read by their paths, not by the list of everybody.
	snapshot := traced.Snapshot()
	defer snapshot.Close(s.ctx)
	ten := 10
	_, err = s.reader.ExposuresUnder(s.ctx, snapshot, organization, &exposure.List{Filter: exposure.Filter{Statuses: exposure.Unresolved()}, Order: gravest, Request: page.Request{First: &ten}},
		[]id.ID{pathOf(t, s, "many7"), pathOf(t, s, "many8")})
	require.NoError(t, err)
	rows, err := runtime.Query(context.Background(), "EXPLAIN "+tracer.sql, tracer.args...)
	require.NoError(t, err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	plan := strings.Join(lines, "\n")
	require.Regexp(t, `exposure_pkey|exposure_open`, plan)
	require.NotContains(t, plan, "exposure_list", plan)
}
