package org_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/org"
)

func TestStore(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	var store org.Store
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	admin := access.With(t.Context(), access.Actor{Subject: "root", Role: access.Admin, Scopes: access.Scopes, AllOrganizations: true})
	member := access.With(t.Context(), access.Actor{
		Subject: "ada", Role: access.Client, Scopes: []access.Scope{access.View}, Organizations: []string{"zeta", "beta", "unborn"},
	})
	create := func(ctx context.Context, slug, name string) (created bool, err error) {
		err = database.Tenant(ctx, id.Organization(slug), func(tx *db.Tx) error {
			created, err = store.Create(ctx, tx, slug, name, now)
			return err
		})
		return created, err
	}
	for slug, name := range map[string]string{"zeta": "", "alpha": "Alpha", "beta": "Beta"} {
		created, err := create(admin, slug, name)
		require.NoError(t, err)
		require.True(t, created)
		created, err = create(admin, slug, "another name")
		require.NoError(t, err)
		require.False(t, created, "what is there stays as it is")
	}

	snapshot := database.Snapshot()
	defer snapshot.Close(t.Context())
	slugs := func(list []*org.Organization, err error) (names []string) {
		require.NoError(t, err)
		for _, o := range list {
			names = append(names, o.Slug+"="+o.Name)
		}
		return names
	}
	require.Equal(t, []string{"alpha=Alpha", "beta=Beta", "zeta=zeta"}, slugs(store.List(admin, snapshot)))
	require.Equal(t, []string{"beta=Beta", "zeta=zeta"}, slugs(store.List(member, snapshot)))
	ids := []id.ID{id.Organization("zeta"), id.Organization("alpha"), id.Organization("unborn")}
	require.Equal(t, []string{"alpha=Alpha", "zeta=zeta"}, slugs(store.ByIDs(admin, snapshot, ids)))
	require.Equal(t, []string{"zeta=zeta"}, slugs(store.ByIDs(member, snapshot, ids)))
	require.Len(t, ids, 3, "the caller's list is its own")

	found, err := store.BySlug(member, snapshot, "beta")
	require.NoError(t, err)
	require.Equal(t, org.Organization{ID: id.Organization("beta"), Slug: "beta", Name: "Beta", CreatedAt: now},
		org.Organization{ID: found.ID, Slug: found.Slug, Name: found.Name, CreatedAt: found.CreatedAt.UTC()})
	for _, slug := range []string{"alpha", "unborn", "unknown"} {
		hidden, err := store.BySlug(member, snapshot, slug)
		require.NoError(t, err)
		require.Nil(t, hidden, "what is foreign, what is not there and what is unknown look the same: %s", slug)
	}
}

// TestCreateInAnothersTransaction holds that the id follows from the slug.
func TestCreateInAnothersTransaction(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	var store org.Store
	admin := access.With(t.Context(), access.Actor{Subject: "root", Role: access.Admin, Scopes: access.Scopes, AllOrganizations: true})
	require.NoError(t, database.Tenant(admin, id.Organization("acme"), func(tx *db.Tx) error {
		_, err := store.Create(admin, tx, "other", "", time.Now())
		return err
	}))
	snapshot := database.Snapshot()
	defer snapshot.Close(admin)
	list, err := store.List(admin, snapshot)
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, id.Organization("other"), list[0].ID)
}

// Whoever comes second finds the organization there, wherever in its insert the
// first one stands: id and slug are unique apart, and either may be met first.
func TestCreateAtOnce(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	var store org.Store
	admin := access.With(t.Context(), access.Actor{Subject: "root", Role: access.Admin, Scopes: access.Scopes, AllOrganizations: true})
	for round := range 40 {
		slug := fmt.Sprintf("at-once-%d", round)
		var created atomic.Int32
		var group sync.WaitGroup
		errs := make([]error, 8)
		start := make(chan struct{})
		for i := range errs {
			group.Go(func() {
				errs[i] = database.Tenant(admin, id.Organization(slug), func(tx *db.Tx) error {
					<-start
					isNew, err := store.Create(admin, tx, slug, "", time.Now())
					if isNew {
						created.Add(1)
					}
					return err
				})
			})
		}
		close(start)
		group.Wait()
		require.NoError(t, errors.Join(errs...))
		require.EqualValues(t, 1, created.Load())
	}
}
