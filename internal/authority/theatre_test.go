package authority_test

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/asset"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/posture"
	"github.com/exposuregraph/exposuregraph/internal/witness"
)

// checker is what histories need of a test.
type checker interface {
	require.TestingT
	Helper()
	Logf(format string, args ...any)
}

// theatre is an organization of its own, on the server and in the model.
type theatre struct {
	*bench
	conn         *pgx.Conn
	slug         string
	organization id.ID
	world        *world
	now          time.Time // of whoever asks for a judgement
	clock        time.Time // the server's
	services     []*authority.Service
	which        int // of the services
	memories     []recollection
	readers      *witness.Memory
}

// castings are who judges: the rules and clusters of the program, later versions
// of some rules, and besides these other clusters.
var castings = []struct {
	rules    []rule.Definition
	clusters []posture.Definition
}{
	{rule.Definitions, posture.Definitions},
	{revised(), posture.Definitions},
	{revised(), redefined()},
}

func revised() []rule.Definition {
	list := slices.Clone(rule.Definitions)
	for i := range list {
		if list[i].Rule%3 != 0 || list[i].Rule == rule.SensitiveDomain {
			list[i].Version++
		}
	}
	return list
}

func redefined() []posture.Definition {
	list := slices.Clone(posture.Definitions)
	list = slices.DeleteFunc(list, func(d posture.Definition) bool { return d.Cluster == 4 })
	for i := range list {
		switch list[i].Cluster {
		case 1: // the same members by another version
			list[i].Version++
		case 3:
			list[i].Version, list[i].Grain = 2, posture.OfPath
		case 8:
			list[i].Version, list[i].Any = 2, []rule.Type{rule.UnprovenPath}
		case 12:
			list[i].Version, list[i].Grain = 2, posture.OfWorkload
		}
	}
	return append(list, posture.Definition{Cluster: 20, Version: 1, Key: "alternatives", Severity: rule.Low, Grain: posture.OfWorkload,
		Any: []rule.Type{rule.UnboundPath, rule.ExcessPrivilege}})
}

// cast lets others judge from now on.
func (h *theatre) cast(which int) {
	h.which = which
	h.world.definitions, h.world.versions = castings[which].clusters, map[rule.Rule]int{}
	for _, d := range castings[which].rules {
		h.world.versions[d.Rule] = d.Version
	}
}

var organizations atomic.Int64

func newTheatre(b *bench, conn *pgx.Conn) *theatre {
	return staged(b, conn, fmt.Sprintf("history-%d", organizations.Add(1)))
}

// staged is a theatre whose organization has a name of one's own.
func staged(b *bench, conn *pgx.Conn, slug string) *theatre {
	organization := id.Organization(slug)
	h := &theatre{bench: b, conn: conn, slug: slug, organization: organization, now: epoch, readers: &witness.Memory{Database: b.DB, Organization: organization}, world: newWorld(organization,
		&voice{name: "scan", system: "s1"}, &voice{name: "inventory", system: "s1"}, &voice{name: "cloud", system: "s2"}, &voice{name: "nmap", system: "net", scans: true}, &voice{name: "httpx", system: "net", scans: true})}
	for _, c := range castings {
		h.services = append(h.services, authority.New(b.DB, exposure.NewAssessor(c.rules, posture.New(c.clusters)),
			func() time.Time { return h.clock }, slog.New(slog.DiscardHandler)).
			WithSurface(asset.NewSurface(asset.DefaultThresholds())))
	}
	h.cast(0)
	return h
}

// deliver tells the server and the model the same and compares.
func (h *theatre) deliver(t checker, d told) outcome {
	t.Helper()
	v := h.world.voices[d.voice]
	t.Logf("%s", d.text(v))
	if d.observedAt.After(h.now) {
		h.now = d.observedAt
	}
	h.clock = h.now.AddDate(0, 1, 0) // no delivery comes from the future
	expected := h.world.deliver(d)
	var before map[string]string
	if expected.Outcome != authority.Applied && !expected.Renewed {
		before = h.fingerprint(t)
	}
	report, err := h.send(h.ctx, d, func() {})
	require.NoError(t, err)
	expected.check(t, report)
	h.compare(t)
	expected.checkCounts(t, report)
	if before != nil {
		after := h.fingerprint(t)
		var own []string // its own row, and that the source spoke
		switch {
		case expected.Silent:
		case expected.Outcome == authority.Unchanged:
			own = []string{"sync", "source", "posture_snapshot", "ledger_entry", "ledger_head", "change_outbox"}
		default:
			own = []string{"sync", "change_outbox"}
		}
		for _, table := range own {
			delete(before, table)
			delete(after, table)
		}
		require.Equal(t, before, after, "a delivery without news writes nothing")
	}
	return expected
}

// send delivers to the server; arrived is called when all of it was received.
func (h *theatre) send(ctx context.Context, d told, arrived func()) (*authority.SyncReport, error) {
	v := h.world.voices[d.voice]
	return h.services[h.which].Sync(ctx, authority.SyncRequest{
		Organization: h.slug, CreateOrganization: true, Source: v.name, System: v.system, Format: "snapshot",
		ObservedAt: d.observedAt, Partial: d.partial, Scan: v.scans,
	}, func(out record.Emitter) error {
		defer arrived()
		for _, l := range d.lines {
			at := record.Position{File: "feed", Line: l.number}
			if l.fact == nil {
				l.reject.Position = at
				if err := out.Reject(l.reject); err != nil {
					return err
				}
				continue
			}
			if err := out.Record(record.Record{Position: at, Fact: l.fact}); err != nil {
				return err
			}
		}
		return nil
	})
}

func (expected outcome) check(t checker, report *authority.SyncReport) {
	t.Helper()
	require.Equal(t, expected.Outcome, report.Outcome)
	if expected.Silent {
		return
	}
	require.Equal(t, expected.At, report.At.UTC())
	require.Equal(t, expected.Version, report.Version)
	require.Equal(t, expected.Complete, report.Complete)
	require.Equal(t, authority.RecordCounts{Read: expected.Read, Accepted: expected.Read - expected.Rejected, Rejected: expected.Rejected}, report.Records)
	require.Equal(t, expected.Rotations, report.Rotations)
}

// checkCounts comes after everything was compared, which says more.
func (expected outcome) checkCounts(t checker, report *authority.SyncReport) {
	t.Helper()
	require.Equal(t, expected.Paths, report.Paths, "counts of paths")
	require.Equal(t, expected.Exposures, report.Exposures, "counts of exposures")
}

// reevaluate has the server and the model judge anew and compares.
func (h *theatre) reevaluate(t checker, cause authority.Cause, settings *rule.Settings) outcome {
	t.Helper()
	h.clock = h.now
	if settings != nil {
		settings.Version = h.world.settings.Version + 1
		h.world.settings = *settings
	}
	expected := h.world.reevaluate(h.now, cause)
	var evaluation *authority.Evaluation
	var err error
	if settings != nil {
		_, evaluation, err = exposure.NewTuner(h.services[h.which]).Change(h.ctx, h.organization, settings.Version-1, *settings)
	} else {
		evaluation, err = h.services[h.which].Reevaluate(h.ctx, h.organization, cause, nil)
	}
	require.NoError(t, err)
	h.checkJudged(t, expected, evaluation)
	return expected
}

// dispose says something of an open exposure, as a person will, and leaves the
// masks to the next judgement.
func (h *theatre) dispose(t checker, which, disposition int) {
	t.Helper()
	var open []place
	for p := range h.world.exposures {
		if h.world.exposure(p) != nil {
			open = append(open, p)
		}
	}
	if len(open) == 0 {
		return
	}
	slices.SortFunc(open, func(a, b place) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	p := open[which%len(open)]
	latest(h.world.exposure(p).Versions).State.Disposition = disposition
	t.Logf("%v on %s %s %s is %d", p.Type, short(p.Path.Workload), short(p.Path.Identity), short(p.Path.Resource), disposition)
	tag, err := h.conn.Exec(context.Background(), `UPDATE exposure SET disposition = $4 WHERE organization_id = $1 AND path_id = $2 AND type = $3 AND to_at IS NULL`,
		h.organization, h.world.pathID(p.Path), p.Type, disposition)
	require.NoError(t, err)
	require.EqualValues(t, 1, tag.RowsAffected())
}

// vouch attests the scope that an identity has now.
func (h *theatre) vouch(t checker, which int) {
	t.Helper()
	known := h.world.living(record.Identity)
	if len(known) == 0 {
		return
	}
	slices.SortFunc(known, func(a, b record.Ref) int { return cmp.Compare(short(a), short(b)) })
	r := known[which%len(known)]
	h.clock = h.now
	t.Logf("the scope of %s is attested", short(r))
	expected := h.world.rejudge(h.now, func(at time.Time) {
		h.world.baselines[r] = append(h.world.baselines[r], baseline{at, true, "test", "seen"})
	})
	attested, err := exposure.NewRecorder(h.services[h.which]).AttestBaseline(h.ctx, h.organization, h.world.id(r), "seen")
	require.NoError(t, err)
	h.checkJudged(t, expected, attested.Evaluation)
}

// justify justifies a privilege of a path, or withdraws that.
func (h *theatre) justify(t checker, which, how int) {
	t.Helper()
	var may []pathKey
	for key, history := range h.world.paths {
		if p := history.now(); !p.Removed && key.Identity != unnamed && len(leftOver(p.Actions, nil)) > 0 {
			may = append(may, key)
		}
	}
	if len(may) == 0 {
		return
	}
	slices.SortFunc(may, func(a, b pathKey) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	key := may[which%len(may)]
	j, path := h.world.justification(key), h.world.pathID(key)
	recorder := exposure.NewRecorder(h.services[h.which])
	h.clock = h.now
	if how == 0 && j != nil {
		t.Logf("the justification of %v is withdrawn", key)
		expected := h.world.rejudge(h.now, func(at time.Time) { j.To, j.Withdrawn = at, "test" })
		withdrawn, err := recorder.WithdrawJustification(h.ctx, h.organization, path)
		require.NoError(t, err)
		h.checkJudged(t, expected, withdrawn.Evaluation)
		return
	}
	p := h.world.paths[key].now()
	used, _, _ := h.world.used(key)
	actions := leftOver(p.Actions, used)
	if len(actions) == 0 {
		actions = leftOver(p.Actions, nil)
	}
	asked := []string(nil)
	if how == 1 {
		actions = leftOver(p.Actions, nil)[:1]
		asked = actions
	}
	t.Logf("%v of %v is justified", actions, key)
	expected := h.world.rejudge(h.now, func(at time.Time) {
		if j != nil {
			j.To, j.Withdrawn = at, "test"
		}
		h.world.justifications[key] = append(h.world.justifications[key], justification{From: at, Actor: "test", Text: "needed", Actions: strings.Join(actions, " ")})
	})
	recorded, err := recorder.RecordJustification(h.ctx, h.organization, path, exposure.Justification{Text: "needed", Actions: asked})
	require.NoError(t, err)
	h.checkJudged(t, expected, recorded.Evaluation)
}

// checkJudged compares what judging anew did.
func (h *theatre) checkJudged(t checker, expected outcome, evaluation *authority.Evaluation) {
	t.Helper()
	require.Equal(t, expected.At, evaluation.At.UTC())
	h.compare(t)
	require.Equal(t, expected.Paths, evaluation.Paths, "counts of paths")
	require.Equal(t, expected.Exposures, evaluation.Exposures, "counts of exposures")
	require.Equal(t, expected.Stale, evaluation.Stale, "counts of assets")
}

// fingerprint is a digest of every row of the organization, with its place and
// its writer, table by table.
func (h *theatre) fingerprint(t checker) map[string]string {
	t.Helper()
	const tables = `
		SELECT string_agg(format('SELECT %L AS name, coalesce(md5(string_agg(t.ctid::text || t.xmin::text || t::text, chr(10) ORDER BY t.ctid)), $$$$) AS digest
			FROM %s t WHERE organization_id = $1', c.relname, c.oid::regclass), ' UNION ALL ')
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'organization_id' AND NOT a.attisdropped
		WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace`
	var query string
	require.NoError(t, h.conn.QueryRow(context.Background(), tables).Scan(&query))
	type row struct{ Name, Digest string }
	digests := map[string]string{}
	for _, r := range rowsOf[row](t, h, query) {
		digests[r.Name] = r.Digest
	}
	require.Contains(t, digests, "authority_path_version")
	return digests
}

// rowsOf reads rows about the organization as the superuser.
func rowsOf[T any](t checker, h *theatre, sql string) []T {
	t.Helper()
	rows, err := h.conn.Query(context.Background(), sql, h.organization)
	require.NoError(t, err)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[T])
	require.NoError(t, err)
	return list
}
