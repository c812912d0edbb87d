package access_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

func TestRequire(t *testing.T) {
	t.Parallel()
	as := func(actor access.Actor) context.Context { return access.With(t.Context(), actor) }
	member := access.Actor{Subject: "ada", Role: access.Client, Scopes: []access.Scope{access.View}, Organizations: []string{"demo", "acme"}}
	powerless := access.Actor{Subject: "bob", Role: access.Admin, Organizations: []string{"acme"}}
	stranger := access.Actor{Subject: "eve", Role: access.Client, Scopes: access.Scopes, Organizations: []string{"other"}}
	powerlessStranger := access.Actor{Subject: "eve", Role: access.Client, Organizations: []string{"other"}}
	everywhere := access.Actor{Subject: "root", Role: access.Admin, Scopes: access.Scopes, AllOrganizations: true}

	for name, test := range map[string]struct {
		ctx  context.Context
		code string
		kind problem.Kind
	}{
		"nobody":                        {ctx: t.Context(), code: "TOKEN_MISSING", kind: problem.Unauthentic},
		"member":                        {ctx: as(member)},
		"everywhere":                    {ctx: as(everywhere)},
		"member without scope":          {ctx: as(powerless), code: "SCOPE_MISSING", kind: problem.Denied},
		"stranger":                      {ctx: as(stranger), code: "ORGANIZATION_NOT_FOUND", kind: problem.NotFound},
		"stranger without scope either": {ctx: as(powerlessStranger), code: "ORGANIZATION_NOT_FOUND", kind: problem.NotFound},
	} {
		err := access.Require(test.ctx, id.Organization("acme"), access.View)
		if test.code == "" {
			require.NoError(t, err, name)
			continue
		}
		var typed *problem.Error
		require.ErrorAs(t, err, &typed, name)
		require.Equal(t, test.code, typed.Code, name)
		require.Equal(t, test.kind, typed.Kind, name)
	}

	require.Equal(t, access.OrganizationNotFound(), access.Require(as(stranger), id.Organization("acme"), access.View),
		"an organization that is not for the caller answers as one that does not exist")
	require.ErrorContains(t, access.Require(as(member), id.Organization("acme"), access.Operate), "vuln:operate")
}

func TestRequireAdmin(t *testing.T) {
	t.Parallel()
	require.Equal(t, problem.Unauthentic, problem.KindOf(access.RequireAdmin(t.Context())))
	require.Equal(t, problem.Denied, problem.KindOf(access.RequireAdmin(access.With(t.Context(), access.Actor{Role: access.Client, Scopes: access.Scopes}))))
	require.NoError(t, access.RequireAdmin(access.With(t.Context(), access.Actor{Role: access.Admin})))
}

func TestRequireScope(t *testing.T) {
	t.Parallel()
	_, err := access.RequireScope(t.Context(), access.View)
	require.Equal(t, problem.Unauthentic, problem.KindOf(err))
	_, err = access.RequireScope(access.With(t.Context(), access.Actor{}), access.View)
	require.Equal(t, problem.Denied, problem.KindOf(err))
	actor, err := access.RequireScope(access.With(t.Context(), access.Actor{Subject: "ada", Scopes: []access.Scope{access.View}}), access.View)
	require.NoError(t, err)
	require.Equal(t, "ada", actor.Subject)
}
