package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/app"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/demo"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/posture"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

var update = flag.Bool("update", false, "write the answers of docs/operations anew")

// demoDate is the base date of the answers in docs/operations.
var demoDate = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// demoConfig is of a server whose day has just reached noon, so that no daily
// evaluation falls into the test. Its clock is ahead: one that is behind would
// have the server give up on every request.
func demoConfig(database *dbtest.Database) app.Config {
	c := config(database)
	c.Demo, c.DemoDate = true, demoDate
	now := time.Now()
	ahead := now.Truncate(24 * time.Hour).Add(36 * time.Hour).Sub(now)
	c.Now = func() time.Time { return time.Now().Add(ahead) }
	return c
}

// interrupter ends a context when the server has said so many times that it did
// something.
type interrupter struct {
	slog.Handler
	cancel context.CancelFunc
	left   int
}

func (i *interrupter) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "sync" {
		if i.left--; i.left == 0 {
			i.cancel()
		}
	}
	return nil
}

func (*interrupter) Enabled(context.Context, slog.Level) bool { return true }

// TestDemo starts a server that is interrupted in the middle of the history, one
// that tells the rest, and one that finds everything there.
func TestDemo(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	interrupted := demoConfig(database)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	interrupted.Logger = slog.New(&interrupter{slog.DiscardHandler, cancel, 8})
	_, err := app.New(ctx, interrupted)
	require.Error(t, err)
	require.ErrorIs(t, ctx.Err(), context.Canceled)

	deliveries, steps := 0, demo.History(demoDate)
	for _, step := range steps {
		if step.Delivery != nil {
			deliveries++
		}
	}
	const document = `{
		organizations(first: 10) { nodes { slug } }
		organization(slug: "demo-kubernetes") { authorityPaths(first: 1) { totalCount } syncs(first: 10) { nodes { version } } }
		demo: organization(slug: "demo") { posture { at } postureSnapshots(first: 1) { totalCount } syncs(first: 1) { totalCount nodes { version } } }
	}`
	var first, story string
	for n := range 2 {
		again := demoConfig(database)
		if n == 1 { // what is there stays, whatever date is asked
			again.DemoDate = demoDate.AddDate(0, 0, -1)
		}
		a, stop := start(t, again)
		tokens := a.Tokens()
		for _, token := range []string{tokens.Admin, tokens.Analyst, tokens.Viewer} {
			answer := ask(t, a, token, document)
			require.Empty(t, answer.Errors)
			require.JSONEq(t, `{"nodes":[{"slug":"demo"},{"slug":"demo-kubernetes"}]}`, string(answer.Data["organizations"]))
			if first == "" {
				first, story = string(answer.Data["organization"]), string(answer.Data["demo"])
			}
			require.Equal(t, first, string(answer.Data["organization"]))
			require.Equal(t, story, string(answer.Data["demo"]))
		}
		require.Contains(t, first, `"totalCount":86`)
		require.Contains(t, first, `"nodes":[{"version":1}]`)
		var told struct {
			Posture          struct{ At time.Time }
			PostureSnapshots struct{ TotalCount int }
			Syncs            struct {
				TotalCount int
				Nodes      []struct{ Version int }
			}
		}
		require.NoError(t, json.Unmarshal([]byte(story), &told))
		require.Equal(t, demoDate, told.Posture.At)
		require.Equal(t, len(steps), told.PostureSnapshots.TotalCount, "each step happened once")
		require.Equal(t, deliveries, told.Syncs.TotalCount)
		require.Equal(t, deliveries, told.Syncs.Nodes[0].Version)
		require.NoError(t, stop())
	}

	// What somebody else brought ends the history, too.
	a, stop := start(t, demoConfig(database))
	tokens := a.Tokens()
	for token, status := range map[string]int{tokens.Viewer: http.StatusForbidden, tokens.Analyst: http.StatusOK} {
		require.Equal(t, status, importManifest(t, a, token, "demo"))
	}
	require.Equal(t, http.StatusNotFound, importManifest(t, a, tokens.Analyst, "unknown"))
	require.NoError(t, stop())
	a, _ = start(t, demoConfig(database))
	answer := ask(t, a, a.Tokens().Viewer, `{ organization(slug: "demo") { syncs(first: 1) { totalCount } } }`)
	require.JSONEq(t, fmt.Sprintf(`{"syncs":{"totalCount":%d}}`, deliveries+1), string(answer.Data["organization"]))
}

// TestDemoOfSomebody starts on a database whose organization demo has other data.
func TestDemoOfSomebody(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	other := demoConfig(database)
	ctx := access.With(t.Context(), access.Actor{Subject: "ada", Role: access.Admin, Scopes: access.Scopes, AllOrganizations: true})
	service := authority.New(database.DB, exposure.NewAssessor(rule.Definitions, posture.New(posture.Definitions)), other.Now, other.Logger)
	_, err := service.Sync(ctx, authority.SyncRequest{Organization: "demo", CreateOrganization: true, Format: "snapshot", ObservedAt: demo.Begins(demoDate)},
		func(record.Emitter) error { return nil })
	require.NoError(t, err)
	a, _ := start(t, other)
	answer := ask(t, a, a.Tokens().Viewer, `{ organization(slug: "demo") { syncs(first: 1) { totalCount } } }`)
	require.JSONEq(t, `{"syncs":{"totalCount":1}}`, string(answer.Data["organization"]))
}

func TestDemoDateInFuture(t *testing.T) {
	t.Parallel()
	tomorrow := demoConfig(dbtest.New(t))
	tomorrow.DemoDate = tomorrow.Now().AddDate(0, 0, 1)
	requireRefused(t, tomorrow, problem.Invalid, "DEMO_DATE_IN_FUTURE")
}

// operation is the kind and the name of an operation of a document.
var operation = regexp.MustCompile(`(?m)^(query|mutation) (\w+)`)

// TestExamplesAreAnswered asks the documents that we show, on the demo: the tabs
// of GraphiQL, and those of docs/operations, whose answers stand beside them.
func TestExamplesAreAnswered(t *testing.T) {
	t.Parallel()
	a, _ := start(t, demoConfig(dbtest.New(t)))

	t.Run("operations", func(t *testing.T) {
		documents, err := filepath.Glob("../../docs/operations/*.graphql")
		require.NoError(t, err)
		require.NotEmpty(t, documents)
		list, err := os.ReadFile("../../docs/operations/README.md")
		require.NoError(t, err)
		for _, document := range documents {
			name := strings.TrimSuffix(document, ".graphql")
			query, err := os.ReadFile(document)
			require.NoError(t, err)
			answer := answer(t, a, a.Tokens().Admin, string(query))
			if *update {
				require.NoError(t, os.WriteFile(name+".json", []byte(answer), 0o644))
			}
			require.NotContains(t, answer, `"errors"`, name)
			want, err := os.ReadFile(name + ".json")
			require.NoError(t, err)
			require.Equal(t, string(want), answer, "%s: if this is meant to change, run the test with -update", name)
			for _, file := range []string{filepath.Base(name) + ".graphql", filepath.Base(name) + ".json"} {
				require.Contains(t, string(list), "("+file+")", "README.md does not list it")
			}
		}
	})

	// After the others: one of them judges.
	t.Run("tabs", func(t *testing.T) {
		response, err := http.Get(a.URL() + "/graphiql/presets.json")
		require.NoError(t, err)
		defer response.Body.Close()
		var tabs []struct{ Title, Query string }
		require.NoError(t, json.NewDecoder(response.Body).Decode(&tabs))
		require.NotEmpty(t, tabs)
		for _, tab := range tabs {
			require.NotEmpty(t, tab.Title)
			for _, operation := range operation.FindAllStringSubmatch(tab.Query, -1) {
				token := a.Tokens().Viewer
				if operation[1] == "mutation" {
					token = a.Tokens().Analyst
				}
				answer := ask(t, a, token, tab.Query, operation[2])
				require.Empty(t, answer.Errors, "%s: %s", tab.Title, operation[2])
				for name, value := range answer.Data {
					require.NotEqual(t, "null", string(value), "%s: %s", tab.Title, name)
					if operation[1] == "mutation" {
						require.Contains(t, string(value), `"userErrors":[]`, "%s: %s", tab.Title, name)
					}
				}
			}
		}
	})
}

// answer is what a query is answered with, indented as the command query does it.
func answer(t *testing.T, a *app.App, token, document string) string {
	t.Helper()
	body, err := json.Marshal(map[string]string{"query": document})
	require.NoError(t, err)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.URL()+"/graphql", bytes.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	var indented bytes.Buffer
	require.NoError(t, json.Indent(&indented, content, "", "  "), string(content))
	return strings.TrimSpace(indented.String()) + "\n"
}

func importManifest(t *testing.T, a *app.App, token, organization string) (status int) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
		a.URL()+"/imports/auto?create=true&org="+organization, strings.NewReader("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: a}\n"))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	return response.StatusCode
}
