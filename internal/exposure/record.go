package exposure

import (
	"context"
	_ "embed"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
	"github.com/exposuregraph/exposuregraph/internal/ledger/book"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

//go:embed record.sql
var recordSQL string

var recordQueries = db.Parse("exposure.record", recordSQL)

// MaxNote is how many characters an analyst's text can have.
const MaxNote = 2000

// Recorder puts on record what analysts know and no source says. What follows
// from it is judged at once.
type Recorder struct{ paths *authority.Service }

// NewRecorder makes a recorder; what it records is judged through the service.
func NewRecorder(paths *authority.Service) *Recorder { return &Recorder{paths: paths} }

// Baseline is an instant whose scope an identity is compared with. The latest
// counts.
type Baseline struct {
	IdentityID id.ID
	At         time.Time
	Basis      string  // observed, attested
	Actor      *string // who attested it; null for one that was observed
	Note       string
}

// Attestation is a baseline that somebody attested, and what came of it.
type Attestation struct {
	Baseline
	Evaluation *authority.Evaluation
}

// Justification says why a path keeps actions that nobody uses.
type Justification struct {
	Text    string
	Actions []string // empty: those that write and were not used; if all were used, all that write
}

// Justified is a justification on record, in its interval.
type Justified struct {
	PathID      id.ID
	FromAt      time.Time
	ToAt        *time.Time
	Actor       string
	Text        string
	Actions     []string // sorted
	WithdrawnBy *string  // who withdrew or replaced it
}

// RecordedJustification is a justification that was recorded or withdrawn, and
// what came of it.
type RecordedJustification struct {
	Justified
	Replaced   *Justified // the one that ended when this began, if there was one
	Evaluation *authority.Evaluation
}

// AttestBaseline vouches for all that an identity holds now, as far as it is
// known. Drift is measured from here on.
func (r *Recorder) AttestBaseline(ctx context.Context, organization, identity id.ID, note string) (*Attestation, error) {
	if err := access.Require(ctx, organization, access.Investigate); err != nil {
		return nil, err
	}
	note = strings.TrimSpace(note)
	if err := checkNote("note", note); err != nil {
		return nil, err
	}
	actor, _ := access.From(ctx)
	attested := &Attestation{Baseline: Baseline{IdentityID: identity, Basis: "attested", Actor: &actor.Subject, Note: note}}
	var err error
	attested.Evaluation, err = r.paths.Rejudge(ctx, organization, authority.ByAttestation, func(tx *db.Tx, at time.Time) ([]authority.Touch, error) {
		attested.At = at
		status, err := db.Column[string](ctx, tx, recordQueries.Get("identity_status"), pgx.StrictNamedArgs{"identity": identity})
		switch {
		case err != nil:
			return nil, err
		case len(status) == 0:
			return nil, problem.New(problem.NotFound, "IDENTITY_NOT_FOUND", "there is no identity %s in this organization", identity).On("identity")
		case status[0] == "removed":
			return nil, problem.New(problem.Conflict, "IDENTITY_REMOVED", "the identity %s is gone, and holds nothing to vouch for", identity).On("identity")
		}
		if _, err = db.Exec(ctx, tx, recordQueries.Get("attest_baseline"),
			pgx.StrictNamedArgs{"identity": identity, "at": at, "actor": actor.Subject, "note": note}); err != nil {
			return nil, err
		}
		_, err = r.paths.Ledger().Append(ctx, tx, book.Draft{Kind: ledger.BaselineAttested, OccurredAt: at,
			Subject: ledger.Subject{Kind: ledger.SubjectIdentity, ID: &identity}, Payload: ledger.Baseline{Note: note}})
		return []authority.Touch{authority.TouchIdentity(identity)}, err
	})
	if err != nil {
		return nil, err
	}
	return attested, nil
}

// RecordJustification justifies actions of a path in the place of what was
// recorded of it before. An action that the path gains later is not covered.
func (r *Recorder) RecordJustification(ctx context.Context, organization, path id.ID, j Justification) (*RecordedJustification, error) {
	actor, err := access.Admit(ctx, organization, access.Investigate)
	if err != nil {
		return nil, err
	}
	j.Text = strings.TrimSpace(j.Text)
	if j.Text == "" {
		return nil, problem.New(problem.Invalid, "INVALID_TEXT", "say why the path keeps the actions that nobody uses").On("text")
	}
	if err := checkNote("text", j.Text); err != nil {
		return nil, err
	}
	recorded := &RecordedJustification{Justified: Justified{PathID: path, Actor: actor.Subject, Text: j.Text}}
	recorded.Evaluation, err = r.paths.Rejudge(ctx, organization, authority.ByJustification, func(tx *db.Tx, at time.Time) ([]authority.Touch, error) {
		recorded.FromAt = at
		p, err := findPrivilege(ctx, tx, path)
		if err != nil {
			return nil, err
		}
		if recorded.Actions, err = p.justifiable(ctx, tx, j.Actions); err != nil {
			return nil, err
		}
		if recorded.Replaced, err = endJustification(ctx, tx, path, at, actor.Subject); err != nil {
			return nil, err
		}
		if _, err = db.Exec(ctx, tx, recordQueries.Get("begin_justification"), pgx.StrictNamedArgs{
			"path": path, "at": at, "actor": actor.Subject, "text": j.Text, "actions": recorded.Actions}); err != nil {
			return nil, err
		}
		_, err = r.paths.Ledger().Append(ctx, tx, book.Draft{Kind: ledger.JustificationRecorded, OccurredAt: at, Class: p.Class,
			Subject: ledger.Subject{Kind: ledger.SubjectPath, ID: &path}, Payload: ledger.Justification{Text: j.Text, Actions: recorded.Actions, Replaces: recorded.Replaced != nil}})
		return []authority.Touch{authority.TouchWorkload(p.WorkloadID)}, err
	})
	if err != nil {
		return nil, err
	}
	return recorded, nil
}

// WithdrawJustification ends the justification of a path.
func (r *Recorder) WithdrawJustification(ctx context.Context, organization, path id.ID) (*RecordedJustification, error) {
	actor, err := access.Admit(ctx, organization, access.Investigate)
	if err != nil {
		return nil, err
	}
	withdrawn := &RecordedJustification{}
	withdrawn.Evaluation, err = r.paths.Rejudge(ctx, organization, authority.ByJustification, func(tx *db.Tx, at time.Time) ([]authority.Touch, error) {
		p, err := findPrivilege(ctx, tx, path)
		if err != nil {
			return nil, err
		}
		ended, err := endJustification(ctx, tx, path, at, actor.Subject)
		if err != nil {
			return nil, err
		}
		if ended == nil {
			return nil, problem.New(problem.NotFound, "JUSTIFICATION_NOT_FOUND", "no justification of the path %s is in force", path).On("path")
		}
		withdrawn.Justified = *ended
		_, err = r.paths.Ledger().Append(ctx, tx, book.Draft{Kind: ledger.JustificationWithdrawn, OccurredAt: at, Class: p.Class,
			Subject: ledger.Subject{Kind: ledger.SubjectPath, ID: &path}, Payload: struct{}{}})
		return []authority.Touch{authority.TouchWorkload(p.WorkloadID)}, err
	})
	if err != nil {
		return nil, err
	}
	return withdrawn, nil
}

// privilege is what a path grants, and to whom.
type privilege struct {
	WorkloadID id.ID
	IdentityID *id.ID
	ResourceID id.ID
	Class      int
	Status     string
	Actions    []string
	WindowAt   time.Time
	path       id.ID
}

func findPrivilege(ctx context.Context, tx *db.Tx, path id.ID) (*privilege, error) {
	p, err := db.First[privilege](ctx, tx, recordQueries.Get("path_privilege"), pgx.StrictNamedArgs{"path": path})
	if err != nil {
		return nil, err
	}
	visible, err := access.VisibleClasses(ctx, tx)
	if err == nil && (p == nil || !visible.Has(p.Class)) {
		err = problem.New(problem.NotFound, "PATH_NOT_FOUND", "there is no authority path %s in this organization", path).On("path")
	}
	if err != nil {
		return nil, err
	}
	p.path = path
	return p, nil
}

// justifiable are the actions that a justification covers.
func (p *privilege) justifiable(ctx context.Context, tx *db.Tx, asked []string) ([]string, error) {
	switch {
	case p.Status != "active":
		return nil, problem.New(problem.Conflict, "PATH_REMOVED", "the authority path %s is gone, and grants nothing to justify", p.path).On("path")
	case p.IdentityID == nil:
		return nil, problem.New(problem.Invalid, "PATH_UNBOUND",
			"no identity is known that the authority path %s leads through, so that nothing is granted on it that could be justified", p.path).On("path")
	case len(asked) > 0:
		asked = slices.Compact(slices.Sorted(slices.Values(asked)))
		return asked, p.grants(asked)
	}
	settings, err := CurrentSettings(ctx, tx)
	if err != nil {
		return nil, err
	}
	used, err := db.Column[string](ctx, tx, recordQueries.Get("used_actions"), pgx.StrictNamedArgs{
		"nil": id.Nil, "workload": p.WorkloadID, "identity": *p.IdentityID, "resource": p.ResourceID,
		"privilege_start": p.WindowAt.Add(-settings.PrivilegeWindow)})
	if err != nil {
		return nil, err
	}
	actions := rule.Unused(p.Actions, used)
	if len(actions) == 0 {
		actions = rule.Unused(p.Actions, nil)
	}
	if len(actions) == 0 {
		return nil, problem.New(problem.Invalid, "NOTHING_TO_JUSTIFY",
			"the path grants %s, and none of that changes anything: there is nothing to justify", quoted(p.Actions)).On("path")
	}
	return actions, nil
}

// grants holds actions against what the path grants.
func (p *privilege) grants(actions []string) error {
	foreign := slices.DeleteFunc(slices.Clone(actions), func(action string) bool { return slices.Contains(p.Actions, action) })
	if len(foreign) == 0 {
		return nil
	}
	return problem.New(problem.Invalid, "ACTIONS_NOT_GRANTED", "the path does not grant %s; it grants %s", quoted(foreign), quoted(p.Actions)).On("actions")
}

// quoted names actions in a message, whatever they consist of.
func quoted(actions []string) string {
	if len(actions) == 0 {
		return "no action"
	}
	list := make([]string, len(actions))
	for i, action := range actions {
		if runes := []rune(action); len(runes) > 80 {
			action = string(runes[:80]) + "…"
		}
		list[i] = strconv.Quote(action)
	}
	return rule.List(list)
}

// endJustification ends the justification that is in force; null without one.
func endJustification(ctx context.Context, tx *db.Tx, path id.ID, at time.Time, actor string) (*Justified, error) {
	return db.First[Justified](ctx, tx, recordQueries.Get("end_justification"), pgx.StrictNamedArgs{"path": path, "at": at, "actor": actor})
}

// checkNote holds an analyst's text against what can be stored and read.
func checkNote(field, text string) error {
	var bad string
	switch characters := utf8.RuneCountInString(text); {
	case characters > MaxNote:
		bad = "has " + strconv.Itoa(characters) + " characters; it can have " + strconv.Itoa(MaxNote)
	case strings.ContainsRune(text, 0):
		bad = "contains a NUL character"
	case !utf8.ValidString(text):
		bad = "is not UTF-8"
	default:
		return nil
	}
	return problem.New(problem.Invalid, "INVALID_TEXT", "the %s %s", field, bad).On(field)
}

// Baselines gives the baselines of the identities, of each the newest first.
func (*Reader) Baselines(ctx context.Context, snapshot *db.Snapshot, organization id.ID, identities []id.ID) (map[id.ID][]Baseline, error) {
	return grouped(ctx, snapshot, organization, "baselines", pgx.StrictNamedArgs{"identities": identities},
		func(b Baseline) id.ID { return b.IdentityID })
}

// Justifications gives the justifications of the paths, of each the newest first.
func (*Reader) Justifications(ctx context.Context, snapshot *db.Snapshot, organization id.ID, paths []id.ID) (map[id.ID][]Justified, error) {
	return grouped(ctx, snapshot, organization, "justifications", pgx.StrictNamedArgs{"paths": paths},
		func(j Justified) id.ID { return j.PathID })
}

// grouped runs a statement over several parents and gives each its rows.
func grouped[T any](ctx context.Context, snapshot *db.Snapshot, organization id.ID, query string, args pgx.StrictNamedArgs, parent func(T) id.ID) (map[id.ID][]T, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return nil, err
	}
	rows, err := db.Select[T](ctx, q, readQueries.Get(query), args)
	byParent := map[id.ID][]T{}
	for _, row := range rows {
		byParent[parent(*row)] = append(byParent[parent(*row)], *row)
	}
	return byParent, err
}
