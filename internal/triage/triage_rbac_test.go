package triage_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/problem"
	"github.com/exposuregraph/exposuregraph/internal/triage"
)

// Each of these takes one scope, and whoever has it needs no other.
func TestScopes(t *testing.T) {
	t.Parallel()
	d, keys := pile(t)
	mine := newPair(t)
	batch := d.many(selection(keys[3]), d.command(triage.Acknowledge, 0))
	read := func(do func(ctx context.Context, snapshot *db.Snapshot) error) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			snapshot := d.Snapshot()
			defer snapshot.Close(ctx)
			return do(ctx, snapshot)
		}
	}
	judge := func(key exposure.Key, action triage.Action, version int) func(ctx context.Context) error {
		c := d.command(action, version)
		return func(ctx context.Context) error {
			_, err := d.triage.Judge(ctx, organization, key, c)
			return err
		}
	}
	many := func(key exposure.Key, action triage.Action, dryRun bool) func(ctx context.Context) error {
		c := d.command(action, 0)
		return func(ctx context.Context) error {
			_, err := d.triage.JudgeMany(ctx, organization, selection(key), c, dryRun)
			return err
		}
	}
	for _, step := range []struct {
		name  string
		scope access.Scope
		do    func(ctx context.Context) error
	}{
		{"acknowledge", access.Investigate, judge(keys[0], triage.Acknowledge, 1)},
		{"unacknowledge", access.Investigate, judge(keys[0], triage.Unacknowledge, 2)},
		{"mark", access.Investigate, judge(keys[0], triage.MarkFalsePositive, 3)},
		{"unmark", access.Investigate, judge(keys[0], triage.UnmarkFalsePositive, 4)},
		{"resolve", access.Operate, judge(keys[0], triage.Resolve, 5)},
		{"many", access.Investigate, many(keys[1], triage.Acknowledge, false)},
		{"many, dry", access.Investigate, many(keys[1], triage.Unacknowledge, true)},
		{"resolve many", access.Operate, many(keys[1], triage.Resolve, false)},
		{"resolve many, dry", access.Operate, many(keys[2], triage.Resolve, true)},
		{"undo", access.Investigate, func(ctx context.Context) error {
			_, err := d.triage.Undo(ctx, organization, batch.ID, "Back.", "undo")
			return err
		}},
		{"register", access.Investigate, func(ctx context.Context) error {
			_, err := d.triage.RegisterKey(ctx, organization, "", mine.public)
			return err
		}},
		{"revoke", access.Investigate, func(ctx context.Context) error {
			_, err := d.triage.RevokeKey(ctx, organization, mine.id())
			return err
		}},
		{"decisions", access.Audit, read(func(ctx context.Context, snapshot *db.Snapshot) error {
			_, err := d.reader.Decisions(ctx, snapshot, organization, keys, 10)
			return err
		})},
		{"current decisions", access.View, read(func(ctx context.Context, snapshot *db.Snapshot) error {
			_, err := d.reader.CurrentDecisions(ctx, snapshot, organization, keys)
			return err
		})},
		{"batch", access.Investigate, read(func(ctx context.Context, snapshot *db.Snapshot) error {
			_, err := d.reader.BatchByID(ctx, snapshot, organization, batch.ID)
			return err
		})},
		{"keys", access.View, read(func(ctx context.Context, snapshot *db.Snapshot) error {
			_, err := d.reader.Keys(ctx, snapshot, organization, "")
			return err
		})},
	} {
		d.Statements.Reset()
		require.Equal(t, problem.Unauthentic, problem.KindOf(step.do(context.Background())), step.name)
		stranger := access.Actor{Subject: "ann", Role: access.Admin, Scopes: access.Scopes, Organizations: []string{"rival"}}
		require.Equal(t, access.OrganizationNotFound(), step.do(access.With(context.Background(), stranger)), step.name)
		var others []access.Scope
		for _, scope := range access.Scopes {
			if scope != step.scope {
				others = append(others, scope)
			}
		}
		err := step.do(d.as("ann", others...))
		require.Equal(t, "SCOPE_MISSING", codeOf(t, err), step.name)
		require.ErrorContains(t, err, string(step.scope), step.name)
		require.Empty(t, d.Statements.Sent(), "%s: nobody looks before that is clear", step.name)
		require.NoError(t, step.do(d.as("ann", step.scope)), step.name)
	}
}

// Whoever is a member of every organization hears of one that there is not, whatever
// they ask of it, and nothing is written.
func TestNoSuchOrganization(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ctx := access.With(context.Background(), access.Actor{Subject: "root", Role: access.Admin, AllOrganizations: true, Scopes: access.Scopes})
	nobody, key := id.Organization("nobody"), exposure.Key{Type: rule.OrphanedPath, Ordinal: 1}
	many := func(s triage.Selection, dryRun bool) func() error {
		return func() error {
			_, err := d.triage.JudgeMany(ctx, nobody, s, d.command(triage.Acknowledge, 0), dryRun)
			return err
		}
	}
	for name, ask := range map[string]func() error{
		"judge": func() error {
			_, err := d.triage.Judge(ctx, nobody, key, d.command(triage.Acknowledge, 1))
			return err
		},
		"many":                many(selection(key), false),
		"many by filter":      many(triage.Selection{Filter: &exposure.Filter{}}, false),
		"many, dry":           many(selection(key), true),
		"many by filter, dry": many(triage.Selection{Filter: &exposure.Filter{}}, true),
		"undo": func() error {
			_, err := d.triage.Undo(ctx, nobody, id.New("batch").Short(), "Back.", "undo")
			return err
		},
		"register": func() error {
			_, err := d.triage.RegisterKey(ctx, nobody, "", newPair(t).public)
			return err
		},
		"revoke": func() error {
			_, err := d.triage.RevokeKey(ctx, nobody, "key")
			return err
		},
		"rebuild": func() error {
			_, _, err := d.triage.Rebuild(ctx, nobody)
			return err
		},
	} {
		require.Equal(t, access.OrganizationNotFound(), ask(), name)
	}
	require.Zero(t, d.number(`SELECT count(*) FROM ledger_request WHERE organization_id = $1`, nobody))
}
