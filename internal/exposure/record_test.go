package exposure_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// desk is a scene with an analyst.
type desk struct {
	*scene
	recorder *exposure.Recorder
}

func newDesk(t testing.TB) *desk {
	s := newScene(t)
	return &desk{s, exposure.NewRecorder(s.paths)}
}

// named finds the id of an entity.
func (s *scene) named(kind record.EntityKind, name string) (found id.ID) {
	s.t.Helper()
	require.NoError(s.t, s.super.QueryRow(s.ctx, `SELECT id FROM entity WHERE organization_id = $1 AND kind = $2 AND external_id = $3`, organization, string(kind), name).Scan(&found))
	return found
}

// through finds the path to a resource.
func (s *scene) through(identity, resource string) (found id.ID) {
	s.t.Helper()
	require.NoError(s.t, s.super.QueryRow(s.ctx, `SELECT p.id FROM authority_path p LEFT JOIN entity i ON i.organization_id = p.organization_id AND i.id = p.identity_id
		JOIN entity r ON r.organization_id = p.organization_id AND r.id = p.resource_id
		WHERE p.organization_id = $1 AND coalesce(i.external_id, '') = $2 AND r.external_id = $3`, organization, identity, resource).Scan(&found))
	return found
}

func (s *scene) number(sql string, args ...any) (n int) {
	s.t.Helper()
	require.NoError(s.t, s.super.QueryRow(s.ctx, sql, args...).Scan(&n))
	return n
}

func (d *desk) attest(identity, note string) *exposure.Attestation {
	d.t.Helper()
	d.advance(time.Hour)
	attestation, err := d.recorder.AttestBaseline(d.ctx, organization, d.named(record.Identity, identity), note)
	require.NoError(d.t, err)
	return attestation
}

func (d *desk) justify(text string, actions ...string) *exposure.RecordedJustification {
	d.t.Helper()
	d.advance(time.Hour)
	recorded, err := d.recorder.RecordJustification(d.ctx, organization, d.through("i1", "ledger"), exposure.Justification{Text: text, Actions: actions})
	require.NoError(d.t, err)
	return recorded
}

func (d *desk) withdraw() *exposure.RecordedJustification {
	d.t.Helper()
	d.advance(time.Hour)
	withdrawn, err := d.recorder.WithdrawJustification(d.ctx, organization, d.through("i1", "ledger"))
	require.NoError(d.t, err)
	return withdrawn
}

func TestAttestBaseline(t *testing.T) {
	t.Parallel()
	s := newDesk(t)
	base := with(path("internal", "get"), covered(record.Roles), record.Entity{Ref: ref(record.Role, "writer")},
		record.Entity{Ref: ref(record.Resource, "vault"), Sensitivity: "restricted"})
	held := with(base, edge(record.HasRole, ref(record.Identity, "i1"), ref(record.Role, "writer"), "*"))
	drifted := with(held, edge(record.Grants, ref(record.Role, "writer"), ref(record.Resource, "vault"), "*", "get"))
	s.say(base...)
	s.say(drifted...)
	require.Equal(t, []string{"1 high"}, s.exposures(rule.ScopeExpansion))
	window := s.windowAt()

	attestation := s.attest("i1", " Approved in review 7. ")
	require.Equal(t, []string{"1 high baseline_attested"}, s.exposures(rule.ScopeExpansion))
	require.Equal(t, authority.ExposureCounts{Resolved: 1}, attestation.Evaluation.Exposures)
	require.Equal(t, s.now(), attestation.At)
	require.Equal(t, attestation.At, attestation.Evaluation.At)
	require.Equal(t, "Approved in review 7.", attestation.Note)
	require.Equal(t, window, s.windowAt(), "the window stays")
	require.Equal(t, 1, s.number(`SELECT count(*) FROM condition WHERE rule = 9 AND to_at = $1 AND resolution_reason = 'baseline_attested'`, attestation.At))
	require.Equal(t, 1, s.number(`SELECT count(*) FROM evaluation WHERE cause = 'attestation' AND at = $1 AND actor = 'test' AND exposures_resolved = 1`, attestation.At))
	require.Equal(t, 1, s.number(`SELECT count(*) FROM scope_baseline WHERE basis = 'attested' AND actor = 'test' AND note = 'Approved in review 7.' AND at = $1`, attestation.At))
	s.say(drifted...)
	s.wait(day)
	require.Equal(t, []string{"1 high baseline_attested"}, s.exposures(rule.ScopeExpansion), "that it holds the same is no drift any longer")

	s.say(with(held, edge(record.Grants, ref(record.Role, "writer"), ref(record.Resource, "vault"), "*", "delete", "get"))...)
	require.Equal(t, []string{"1 high baseline_attested", "2 high"}, s.exposures(rule.ScopeExpansion), "what grows later is measured from there")
	require.Equal(t, []string{"i1: 2 roles versus 2 at " + attestation.At.Format(time.DateOnly) + "; gained delete; reaches vault (restricted)."}, s.explanations(rule.ScopeExpansion))
	s.say(drifted...)
	require.Equal(t, []string{"1 high baseline_attested", "2 high scope_reduced"}, s.exposures(rule.ScopeExpansion))
	s.attest("i1", "")
	require.Equal(t, 1, s.number(`SELECT count(*) FROM scope_baseline WHERE basis = 'attested' AND note IS NULL`))
}

// A person vouches for what is known, also where nobody looks any longer.
func TestAttestBaselineInDoubt(t *testing.T) {
	t.Parallel()
	s := newDesk(t)
	s.say(with(path("internal", "get"), covered(record.Roles))...)
	s.say(with(path("internal", "delete", "get"), covered(record.Roles))...)
	s.say(path("internal", "get")...)
	require.Equal(t, []string{"1 high doubted"}, s.exposures(rule.ScopeExpansion))
	s.attest("i1", "")
	require.Equal(t, []string{"1 high baseline_attested"}, s.exposures(rule.ScopeExpansion))
	s.say(with(path("internal", "delete", "get"), covered(record.Roles))...)
	require.Equal(t, []string{"1 high baseline_attested", "2 high"}, s.exposures(rule.ScopeExpansion))
}

// What was never completely observed can be vouched for as well.
func TestAttestFirstBaseline(t *testing.T) {
	t.Parallel()
	s := newDesk(t)
	s.say(path("internal", "get")...)
	require.Zero(t, s.number(`SELECT count(*) FROM scope_baseline`))
	s.attest("i1", "")
	s.say(path("internal", "delete", "get")...)
	require.Equal(t, []string{"1 high"}, s.exposures(rule.ScopeExpansion))
	require.Equal(t, 1, s.number(`SELECT count(*) FROM scope_baseline`))
}

var watched = record.Coverage{Kind: record.Execution, From: epoch.Add(-100 * day)}

func TestJustification(t *testing.T) {
	t.Parallel()
	s := newDesk(t)
	reads := ran(epoch, "wir", "get")
	s.say(with(path("restricted", "delete", "get", "patch"), watched, reads)...)
	require.Equal(t, []string{"i1 may delete, patch on ledger; only get observed in 90 days."}, s.explanations(rule.ExcessPrivilege))
	window := s.windowAt()

	part := s.justify("Deletes what the regulator says.", "delete")
	require.Equal(t, []string{"1 high"}, s.exposures(rule.ExcessPrivilege))
	require.Equal(t, []string{"i1 may patch on ledger; only get observed in 90 days."}, s.explanations(rule.ExcessPrivilege), "what is justified is no gap")
	require.Equal(t, []string{"delete"}, part.Actions)
	require.Nil(t, part.Replaced)

	all := s.justify(" Needed in an incident. ") // the actions that nobody uses
	require.Equal(t, []string{"1 high justification_recorded"}, s.exposures(rule.ExcessPrivilege))
	require.Equal(t, []string{"delete", "patch"}, all.Actions, "also what the one before covers, which this replaces")
	require.Equal(t, "Needed in an incident.", all.Text)
	require.Equal(t, authority.ExposureCounts{Resolved: 1}, all.Evaluation.Exposures)
	require.Equal(t, part.FromAt, all.Replaced.FromAt.UTC())
	require.Equal(t, all.FromAt, all.Replaced.ToAt.UTC())
	require.Equal(t, "test", *all.Replaced.WithdrawnBy)
	require.Equal(t, window, s.windowAt(), "the window stays")
	require.Equal(t, 1, s.number(`SELECT count(*) FROM evaluation WHERE cause = 'justification' AND at = $1 AND actor = 'test'`, all.FromAt))
	s.say(with(path("restricted", "delete", "get", "patch"), watched)...)
	s.wait(day)
	require.Equal(t, []string{"1 high justification_recorded"}, s.exposures(rule.ExcessPrivilege))

	s.say(with(path("restricted", "delete", "get", "patch", "update"), watched)...)
	require.Equal(t, []string{"1 high justification_recorded", "2 high"}, s.exposures(rule.ExcessPrivilege), "what is gained later is not covered")
	require.Equal(t, []string{"i1 may update on ledger; only get observed in 90 days."}, s.explanations(rule.ExcessPrivilege))
	s.say(with(path("restricted", "delete", "get", "patch"), watched)...)
	require.Equal(t, []string{"1 high justification_recorded", "2 high privilege_reduced"}, s.exposures(rule.ExcessPrivilege), "not because of what was recorded long before")
	s.say(with(path("restricted", "delete", "get", "patch", "update"), watched)...)
	s.say(with(path("restricted", "delete", "get", "patch", "update"), watched, ran(s.now(), "wir", "update"))...)
	require.Equal(t, []string{"1 high justification_recorded", "2 high privilege_reduced", "3 high privilege_exercised"}, s.exposures(rule.ExcessPrivilege))

	withdrawn := s.withdraw()
	require.Equal(t, "4 high", s.exposures(rule.ExcessPrivilege)[3])
	require.Equal(t, []string{"i1 may delete, patch on ledger; only get, update observed in 90 days."}, s.explanations(rule.ExcessPrivilege))
	require.Equal(t, authority.ExposureCounts{Opened: 1}, withdrawn.Evaluation.Exposures)
	require.Equal(t, all.FromAt, withdrawn.FromAt.UTC())
	require.Equal(t, "test", *withdrawn.WithdrawnBy)
	require.Equal(t, withdrawn.Evaluation.At, withdrawn.ToAt.UTC())
	s.justify("Again.")
	require.Equal(t, "4 high justification_recorded", s.exposures(rule.ExcessPrivilege)[3])
}

// Where every action that writes was used, all of them are meant.
func TestJustificationOfWhatIsUsed(t *testing.T) {
	t.Parallel()
	s := newDesk(t)
	s.say(with(path("restricted", "delete", "get"), watched, ran(epoch, "ir", "delete"))...)
	require.Equal(t, []string{"delete"}, s.justify("As long as it lasts.").Actions)
	s.wait(100 * day)
	s.say(with(path("restricted", "delete", "get"), watched, ran(s.now(), "wir", "get"))...)
	require.Empty(t, s.exposures(rule.ExcessPrivilege), "it was justified before it fell out of use")
}

// A false positive is inherited only where the same is found and the same is justified.
func TestJustificationIsEvidence(t *testing.T) {
	t.Parallel()
	s := newDesk(t)
	s.say(with(path("restricted", "delete", "get", "patch"), watched, ran(epoch, "wir", "get"))...)
	_, err := s.super.Exec(s.ctx, `UPDATE exposure SET disposition = 4 WHERE type = $1`, rule.ExcessPrivilege)
	require.NoError(t, err)
	s.justify("All of it.")
	s.withdraw()
	require.Equal(t, 4, s.number(`SELECT disposition FROM exposure WHERE type = 10 AND ordinal = 2`))
	versions := s.number(`SELECT count(*) FROM exposure_version WHERE type = 10`)
	s.justify("It reads.", "get")
	require.Equal(t, versions, s.number(`SELECT count(*) FROM exposure_version WHERE type = 10`), "what nobody questions is found as before")
	s.justify("All of it.")
	s.justify("Only this.", "patch")
	require.Equal(t, 1, s.number(`SELECT disposition FROM exposure WHERE type = 10 AND ordinal = 3`))
}

func (s *scene) windowAt() (at time.Time) {
	s.t.Helper()
	require.NoError(s.t, s.super.QueryRow(s.ctx, `SELECT window_at FROM organization_window`).Scan(&at))
	return at
}

func TestRecordRefuses(t *testing.T) {
	t.Parallel()
	s := newDesk(t)
	facts := with(path("restricted", "delete", "get", "patch"), watched, ran(epoch, "wir", "get"),
		workload("w2"), record.Entity{Ref: ref(record.Identity, "i2")}, runsAs("w2", "i2"),
		record.Entity{Ref: ref(record.Role, "writer")}, record.Entity{Ref: ref(record.Resource, "feed")},
		edge(record.HasRole, ref(record.Identity, "i2"), ref(record.Role, "writer"), "*"),
		edge(record.Grants, ref(record.Role, "writer"), ref(record.Resource, "ledger"), "*", "get", "list"),
		workload("w3"), edge(record.Declares, ref(record.Workload, "w3"), ref(record.Resource, "feed"), "", "delete"),
		workload("w4"), record.Entity{Ref: ref(record.Identity, "i4")}, runsAs("w4", "i4"),
		edge(record.HasRole, ref(record.Identity, "i4"), ref(record.Role, "writer"), "*"))
	s.say(facts...)
	s.say(facts[:len(facts)-4]...)
	_, err := s.paths.Sync(s.ctx, authority.SyncRequest{Organization: "rival", Format: "snapshot", CreateOrganization: true, Strict: true, ObservedAt: s.now()},
		func(out record.Emitter) error {
			for i, fact := range path("restricted", "delete", "get") {
				if err := out.Record(record.Record{Position: record.Position{Line: i + 1}, Fact: fact}); err != nil {
					return err
				}
			}
			return nil
		})
	require.NoError(t, err)
	var foreignIdentity, foreignPath id.ID
	require.NoError(t, s.super.QueryRow(s.ctx, `SELECT identity_id, id FROM authority_path WHERE organization_id = $1`, id.Organization("rival")).Scan(&foreignIdentity, &foreignPath))

	ledger, i1 := s.through("i1", "ledger"), s.named(record.Identity, "i1")
	long := strings.Repeat("ä", exposure.MaxNote)
	before := s.records()
	attest := func(identity id.ID, note string) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := s.recorder.AttestBaseline(ctx, organization, identity, note)
			return err
		}
	}
	justify := func(path id.ID, text string, actions ...string) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := s.recorder.RecordJustification(ctx, organization, path, exposure.Justification{Text: text, Actions: actions})
			return err
		}
	}
	withdraw := func(path id.ID) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := s.recorder.WithdrawJustification(ctx, organization, path)
			return err
		}
	}
	for name, c := range map[string]struct {
		do      func(context.Context) error
		kind    problem.Kind
		code    string
		field   string
		message string
	}{
		"no such identity":           {attest(id.ID{1}, ""), problem.NotFound, "IDENTITY_NOT_FOUND", "identity", ""},
		"an identity of others":      {attest(foreignIdentity, ""), problem.NotFound, "IDENTITY_NOT_FOUND", "identity", ""},
		"a workload":                 {attest(s.named(record.Workload, "w1"), ""), problem.NotFound, "IDENTITY_NOT_FOUND", "identity", ""},
		"an identity that is gone":   {attest(s.named(record.Identity, "i4"), ""), problem.Conflict, "IDENTITY_REMOVED", "identity", ""},
		"a note too long":            {attest(i1, long+"ä"), problem.Invalid, "INVALID_TEXT", "note", "the note has 2001 characters; it can have 2000"},
		"a note with a NUL":          {attest(i1, "a\x00b"), problem.Invalid, "INVALID_TEXT", "note", "the note contains a NUL character"},
		"a note that is no text":     {attest(i1, "a\xff"), problem.Invalid, "INVALID_TEXT", "note", "the note is not UTF-8"},
		"no such path":               {justify(id.ID{1}, "Why."), problem.NotFound, "PATH_NOT_FOUND", "path", ""},
		"a path of others":           {justify(foreignPath, "Why."), problem.NotFound, "PATH_NOT_FOUND", "path", ""},
		"a path that is gone":        {justify(s.through("i4", "ledger"), "Why."), problem.Conflict, "PATH_REMOVED", "path", ""},
		"a path without an identity": {justify(s.through("", "feed"), "Why."), problem.Invalid, "PATH_UNBOUND", "path", ""},
		"no text":                    {justify(ledger, " \n\t"), problem.Invalid, "INVALID_TEXT", "text", ""},
		"a text too long":            {justify(ledger, long+"ä"), problem.Invalid, "INVALID_TEXT", "text", ""},
		"a text with a NUL":          {justify(ledger, "a\x00b"), problem.Invalid, "INVALID_TEXT", "text", ""},
		"a text that is no text":     {justify(ledger, "a\xff"), problem.Invalid, "INVALID_TEXT", "text", ""},
		"actions that are not granted": {justify(ledger, "Why.", "delete", "write", "a\x00b", "write"), problem.Invalid, "ACTIONS_NOT_GRANTED", "actions",
			`the path does not grant "a\x00b", "write"; it grants "delete", "get", "patch"`},
		"an action that is not named": {justify(ledger, "Why.", ""), problem.Invalid, "ACTIONS_NOT_GRANTED", "actions", ""},
		"nothing that writes": {justify(s.through("i2", "ledger"), "Why."), problem.Invalid, "NOTHING_TO_JUSTIFY", "path",
			`the path grants "get", "list", and none of that changes anything: there is nothing to justify`},
		"no justification":                   {withdraw(ledger), problem.NotFound, "JUSTIFICATION_NOT_FOUND", "path", ""},
		"no path to withdraw from":           {withdraw(id.ID{1}), problem.NotFound, "PATH_NOT_FOUND", "path", ""},
		"a path of others to withdraw from":  {withdraw(foreignPath), problem.NotFound, "PATH_NOT_FOUND", "path", ""},
		"a very long action cuts the answer": {justify(ledger, "Why.", strings.Repeat("x", 1<<20)), problem.Invalid, "ACTIONS_NOT_GRANTED", "actions", ""},
	} {
		err := c.do(s.ctx)
		var typed *problem.Error
		require.ErrorAs(t, err, &typed, name)
		require.Equal(t, c.kind, typed.Kind, name)
		require.Equal(t, c.code, typed.Code, name)
		require.Equal(t, c.field, typed.Field, name)
		require.Less(t, len(typed.Message), 400, name)
		if c.message != "" {
			require.Equal(t, c.message, typed.Message, name)
		}
	}
	require.Equal(t, before, s.records(), "what is refused leaves nothing")
	require.NoError(t, attest(i1, long)(s.ctx))
	require.NoError(t, justify(ledger, long, "delete", "get", "delete")(s.ctx))

	for name, do := range map[string]func(context.Context) error{"attest": attest(i1, ""), "justify": justify(ledger, "Why."), "withdraw": withdraw(ledger)} {
		before := s.records()
		as := func(actor access.Actor) error { return do(access.With(context.Background(), actor)) }
		require.Equal(t, problem.Unauthentic, problem.KindOf(do(context.Background())), name)
		require.Equal(t, access.OrganizationNotFound(), as(access.Actor{Subject: "eve", Role: access.Admin, Scopes: access.Scopes, Organizations: []string{"rival"}}), name)
		require.ErrorContains(t, as(access.Actor{Subject: "bob", Role: access.Admin, Organizations: []string{slug},
			Scopes: []access.Scope{access.View, access.Operate, access.Audit, access.Approve}}), "vuln:investigate", name)
		require.Equal(t, before, s.records(), name)
		require.NoError(t, as(access.Actor{Subject: "ann", Role: access.Client, Organizations: []string{slug}, Scopes: []access.Scope{access.Investigate}}), name)
		require.NotEqual(t, before, s.records(), name)
	}
	require.Equal(t, 1, s.number(`SELECT count(*) FROM scope_baseline WHERE actor = 'ann'`))
}

// records counts what recording writes.
func (s *scene) records() (counts []int) {
	for _, table := range []string{"scope_baseline", "privilege_justification", "privilege_justification WHERE to_at IS NULL", "evaluation", "exposure_version", "exposure"} {
		counts = append(counts, s.number(`SELECT count(*) FROM `+table))
	}
	return counts
}

// Two at once take turns: the second replaces what the first recorded.
func TestRecordTogether(t *testing.T) {
	t.Parallel()
	s := newDesk(t)
	s.say(with(path("restricted", "delete", "get", "patch"), watched, covered(record.Roles), ran(epoch, "wir", "get"))...)
	ledger, i1 := s.through("i1", "ledger"), s.named(record.Identity, "i1")
	ctx, cancel := context.WithTimeout(s.ctx, time.Minute)
	defer cancel()
	const each = 6
	var done sync.WaitGroup
	start := make(chan struct{})
	failures := make(chan error, 4*each)
	together := func(do func(ctx context.Context) error, subject string) {
		actor, _ := access.From(s.ctx)
		actor.Subject = subject
		for range each {
			done.Add(1)
			go func() {
				defer done.Done()
				<-start
				failures <- do(access.With(ctx, actor))
			}()
		}
	}
	together(func(ctx context.Context) error {
		_, err := s.recorder.RecordJustification(ctx, organization, ledger, exposure.Justification{Text: "Mine."})
		return err
	}, "ann")
	together(func(ctx context.Context) error {
		_, err := s.recorder.RecordJustification(ctx, organization, ledger, exposure.Justification{Text: "Mine.", Actions: []string{"patch"}})
		return err
	}, "bob")
	together(func(ctx context.Context) error {
		_, err := s.recorder.AttestBaseline(ctx, organization, i1, "")
		return err
	}, "cid")
	together(func(ctx context.Context) error {
		_, err := s.paths.Reevaluate(ctx, organization, authority.ByRequest, nil)
		return err
	}, "dan")
	close(start)
	done.Wait()
	close(failures)
	for err := range failures {
		require.NoError(t, err)
	}

	require.Equal(t, 4*each, s.number(`SELECT count(DISTINCT at) FROM evaluation`))
	require.Equal(t, each, s.number(`SELECT count(DISTINCT at) FROM scope_baseline WHERE basis = 'attested'`))
	rows, err := s.super.Query(s.ctx, `SELECT actor, from_at, to_at, coalesce(withdrawn_by, '') FROM privilege_justification ORDER BY from_at`)
	require.NoError(t, err)
	type interval struct {
		Actor       string
		FromAt      time.Time
		ToAt        *time.Time
		WithdrawnBy string
	}
	intervals, err := pgx.CollectRows(rows, pgx.RowToStructByPos[interval])
	require.NoError(t, err)
	require.Len(t, intervals, 2*each)
	last := intervals[len(intervals)-1]
	require.Nil(t, last.ToAt)
	for n, next := range intervals[1:] {
		require.Equal(t, next.FromAt, *intervals[n].ToAt, "one follows the other")
		require.Equal(t, next.Actor, intervals[n].WithdrawnBy)
	}
	open := 0
	if last.Actor == "bob" {
		open = 1 // he left the other action unjustified
	}
	require.Equal(t, open, s.number(`SELECT count(*) FROM exposure WHERE type = 10 AND to_at IS NULL`))
}

// The role of the server cannot rewrite what somebody attested, nor delete what
// somebody justified.
func TestRecordsStay(t *testing.T) {
	t.Parallel()
	s := newDesk(t)
	s.say(with(path("restricted", "delete", "get"), watched, ran(epoch, "wir", "get"))...)
	s.attest("i1", "")
	s.justify("Why.")
	runtime := s.Runtime(t)
	_, err := runtime.Exec(s.ctx, `SELECT set_config('app.organization', $1, false)`, organization.String())
	require.NoError(t, err)
	for _, statement := range []string{
		`UPDATE scope_baseline SET note = 'forged'`, `DELETE FROM scope_baseline`, `TRUNCATE scope_baseline`,
		`DELETE FROM privilege_justification`, `TRUNCATE privilege_justification`, `UPDATE evaluation SET actor = 'forged'`,
	} {
		_, err := runtime.Exec(s.ctx, statement)
		var denied *pgconn.PgError
		require.ErrorAs(t, err, &denied, statement)
		require.Equal(t, "42501", denied.Code, statement)
	}
	_, err = runtime.Exec(s.ctx, `SELECT set_config('app.organization', $1, false)`, id.Organization("rival").String())
	require.NoError(t, err)
	for _, table := range []string{"scope_baseline", "privilege_justification"} {
		var rows int
		require.NoError(t, runtime.QueryRow(s.ctx, `SELECT count(*) FROM `+table).Scan(&rows))
		require.Zero(t, rows, "%s of another organization", table)
	}
}

// Evidence that names an identity alone shows that a workload ran where nobody
// else can act as that identity.
func TestUnprovenExecutionByIdentity(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	base := with(path("confidential", "get"), record.Coverage{Kind: record.Execution, From: epoch.Add(-day)},
		record.Entity{Ref: ref(record.Identity, "aux")}, runsAs("w1", "aux"),
		edge(record.HasRole, ref(record.Identity, "aux"), ref(record.Role, "reader"), "*"))
	second := with(base, workload("w2"), runsAs("w2", "i1"))
	s.say(with(base, ran(epoch.Add(-2*day), "i", "get"))...)
	s.wait(8 * day)
	require.Equal(t, []string{"1 high", "1 high"}, s.exposures(rule.UnprovenPath), "it was not there then: somebody else may have been the one")
	s.say(with(base, ran(s.now(), "ir", "get"))...)
	require.Equal(t, []string{"1 high evidence_appeared", "1 high evidence_appeared"}, s.exposures(rule.UnprovenPath), "on every path, also those that the identity does not lead along")

	s.say(second...)
	require.Equal(t, []string{"1 high evidence_appeared", "1 high evidence_appeared", "2 high", "2 high"}, s.exposures(rule.UnprovenPath), "it may have been the other one after all")
	s.say(base...)
	require.Equal(t, []string{"1 high evidence_appeared", "1 high evidence_appeared", "2 high evidence_appeared", "2 high evidence_appeared"}, s.exposures(rule.UnprovenPath))
	acts := with(base, record.Entity{Ref: ref(record.Identity, "ext")}, edge(record.Authenticates, ref(record.Identity, "ext"), ref(record.Identity, "i1"), ""))
	s.say(acts...)
	require.Equal(t, []string{"3 high", "3 high"}, s.exposures(rule.UnprovenPath)[4:], "somebody else can act as it")
	s.say(base...)
	require.Equal(t, []string{"3 high evidence_appeared", "3 high evidence_appeared"}, s.exposures(rule.UnprovenPath)[4:])
	gone := with(second, acts[len(acts)-2:])
	gone[len(base)] = record.Entity{Ref: ref(record.Workload, "w2"), Status: record.Removed}
	gone[len(base)+2] = record.Entity{Ref: ref(record.Identity, "ext"), Status: record.Removed}
	s.say(gone...)
	require.Len(t, s.exposures(rule.UnprovenPath), 6, "who is gone is nobody")
	back := with(gone)
	back[len(base)] = workload("w2")
	s.say(back...)
	require.Equal(t, []string{"4 high", "4 high"}, s.exposures(rule.UnprovenPath)[6:], "until it is back")
	s.say(gone...)
	require.Equal(t, []string{"4 high evidence_appeared", "4 high evidence_appeared"}, s.exposures(rule.UnprovenPath)[6:])
	gone[1] = record.Entity{Ref: ref(record.Identity, "i1"), Status: record.Removed}
	s.say(gone...)
	require.Equal(t, []string{"5 high"}, s.exposures(rule.UnprovenPath)[8:], "what it could act as, it can no longer")
	s.say(with(second, ran(s.now(), "w", "get"))...)
	require.Equal(t, []string{"5 high evidence_appeared"}, s.exposures(rule.UnprovenPath)[8:], "evidence of the workload itself is nobody else's")
}
