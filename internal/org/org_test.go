package org_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/org"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

func TestCheckSlug(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"a", "7", "demo", "demo-kubernetes", "a--b", strings.Repeat("a", 63)} {
		require.NoError(t, org.CheckSlug(good), good)
	}
	for _, bad := range []string{"", "-", "-a", "a-", "Demo", "a b", "a_b", "ä", "a\n", "a\x00", "a/b", strings.Repeat("a", 64)} {
		err := org.CheckSlug(bad)
		require.Equal(t, problem.Invalid, problem.KindOf(err), "%q", bad)
		require.ErrorContains(t, err, "lower case", "the message names the rule")
	}
}

// TestRefusesBeforeReading gives no database at all: what is refused, or is
// not for this caller, must not reach one.
func TestRefusesBeforeReading(t *testing.T) {
	t.Parallel()
	var store org.Store
	nobody := t.Context()
	stranger := access.With(t.Context(), access.Actor{Subject: "eve", Role: access.Client, Scopes: access.Scopes, Organizations: []string{"other"}})
	powerless := access.With(t.Context(), access.Actor{Subject: "bob", Role: access.Client, Organizations: []string{"acme"}})
	boundAdmin := access.With(t.Context(), access.Actor{Subject: "ann", Role: access.Admin, Scopes: access.Scopes, Organizations: []string{"other"}})
	everywhere := access.With(t.Context(), access.Actor{Subject: "root", Role: access.Admin, Scopes: access.Scopes, AllOrganizations: true})

	_, err := store.BySlug(nobody, nil, "acme")
	require.Equal(t, problem.Unauthentic, problem.KindOf(err))
	_, err = store.List(nobody, nil)
	require.Equal(t, problem.Unauthentic, problem.KindOf(err))
	_, err = store.ByIDs(nobody, nil, nil)
	require.Equal(t, problem.Unauthentic, problem.KindOf(err))
	_, err = store.Create(nobody, nil, "acme", "", time.Time{})
	require.Equal(t, problem.Unauthentic, problem.KindOf(err))

	_, err = store.BySlug(powerless, nil, "acme")
	require.Equal(t, problem.Denied, problem.KindOf(err))
	_, err = store.List(powerless, nil)
	require.Equal(t, problem.Denied, problem.KindOf(err))
	_, err = store.Create(powerless, nil, "acme", "", time.Time{})
	require.Equal(t, problem.Denied, problem.KindOf(err))

	unseen, err := store.BySlug(stranger, nil, "acme")
	require.NoError(t, err)
	require.Nil(t, unseen)
	strange, err := store.BySlug(everywhere, nil, "acme\x00")
	require.NoError(t, err)
	require.Nil(t, strange)

	_, err = store.Create(boundAdmin, nil, "acme", "", time.Time{})
	require.Equal(t, access.OrganizationNotFound(), err)
	_, err = store.Create(everywhere, nil, "ACME", "", time.Time{})
	require.Equal(t, problem.Invalid, problem.KindOf(err))
}
