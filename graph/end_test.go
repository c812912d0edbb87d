package graph_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/graph"
	"github.com/exposuregraph/exposuregraph/graph/limit"
	"github.com/exposuregraph/exposuregraph/internal/access"
)

// hold has everybody wait who reads authority paths, until the test ends.
func hold(t *testing.T, b *bench) *pgx.Conn {
	t.Helper()
	super := b.Super(t)
	_, err := super.Exec(t.Context(), `BEGIN; LOCK TABLE authority_path IN ACCESS EXCLUSIVE MODE`)
	require.NoError(t, err)
	return super
}

// waiting is how many statements wait for what is held.
func waiting(t *testing.T, super *pgx.Conn) (n int) {
	t.Helper()
	require.NoError(t, super.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&n))
	return n
}

// slowDocuments wait for authority paths, by a statement of their own and in a batch.
var slowDocuments = []string{
	`{ organization(slug: "acme") { authorityPaths(first: 1) { totalCount } } }`,
	`{ organization(slug: "acme") { workloads(first: 1) { nodes { authorityPaths(first: 1) { nodes { id } } } } } }`,
}

// TestOperationEndsInTime: an operation whose time is over is answered so, and nothing
// of it goes on in the database.
func TestOperationEndsInTime(t *testing.T) {
	t.Parallel()
	b := setupWith(t, time.Millisecond, func(c *graph.Config) { c.Limits = limit.Limits{Time: 500 * time.Millisecond} })
	b.sync(t, "acme", world(3)...)
	super := hold(t, b)
	for _, document := range slowDocuments {
		a := b.query(t, root, document, nil)
		require.Equal(t, "LIMIT_TIME", a.code(), "%+v", a.Errors)
		require.Eventually(t, func() bool { return waiting(t, super) == 0 }, 10*time.Second, 5*time.Millisecond, document)
	}
}

// TestCallerWhoLeavesEndsStatements: whoever goes away takes the statements along.
func TestCallerWhoLeavesEndsStatements(t *testing.T) {
	t.Parallel()
	b := setupWith(t, time.Millisecond)
	b.sync(t, "acme", world(3)...)
	super := hold(t, b)
	for _, document := range slowDocuments {
		ctx, leave := context.WithCancel(access.With(t.Context(), root))
		request := httptest.NewRequestWithContext(ctx, http.MethodPost, "/graphql", strings.NewReader(`{"query":`+strconv.Quote(document)+`}`))
		request.Header.Set("Content-Type", "application/json")
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			b.handler.ServeHTTP(httptest.NewRecorder(), request)
		}()
		require.Eventually(t, func() bool { return waiting(t, super) == 1 }, 10*time.Second, 5*time.Millisecond, document)
		leave()
		<-answered
		require.Eventually(t, func() bool { return waiting(t, super) == 0 }, 10*time.Second, 5*time.Millisecond, document)
	}
}
