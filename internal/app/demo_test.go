package app_test

import (
	"bufio"
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
	"slices"
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
	"github.com/exposuregraph/exposuregraph/internal/ledger/book"
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

// interrupter ends a context when the server has taken the step of the demo at an
// instant.
type interrupter struct {
	slog.Handler
	cancel context.CancelFunc
	at     time.Time
}

func (i *interrupter) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(attr slog.Attr) bool {
		if r.Message == "demo step" && attr.Key == "at" && attr.Value.Time().Equal(i.at) {
			i.cancel()
		}
		return true
	})
	return nil
}

func (*interrupter) Enabled(context.Context, slog.Level) bool { return true }

// happenings are how often something happens in the history.
type happenings struct{ deliveries, judgements, entries int }

func count(steps []demo.Step) (n happenings) {
	for _, step := range steps {
		switch {
		case step.Delivery != nil:
			n.deliveries++
		case step.Decision == nil:
			n.judgements++
		default:
			switch what := step.Decision.What.(type) {
			case demo.Judged:
				n.entries++
			case demo.JudgedMany:
				n.entries += len(what.Exposures)
			case demo.Undone:
				n.entries += len(what.Of.What.(demo.JudgedMany).Exposures)
			default: // is judged by at once
				n.entries++
				n.judgements++
			}
		}
	}
	n.entries += n.deliveries + n.judgements // for each a snapshot is kept
	return n
}

// TestDemo starts servers that are interrupted in the middle of the history, one
// that tells the rest, and one that finds everything there.
func TestDemo(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	steps := demo.History(demoDate)
	happens := count(steps)
	attested := slices.IndexFunc(steps, func(step demo.Step) bool {
		if step.Decision == nil {
			return false
		}
		_, is := step.Decision.What.(demo.Attested)
		return is
	})
	for _, last := range []demo.Step{steps[7], steps[attested]} {
		interrupted := demoConfig(database)
		ctx, cancel := context.WithCancel(t.Context())
		interrupted.Logger = slog.New(&interrupter{slog.DiscardHandler, cancel, last.At})
		_, err := app.New(ctx, interrupted)
		require.Error(t, err)
		require.ErrorIs(t, ctx.Err(), context.Canceled)
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
		require.Equal(t, happens.deliveries+happens.judgements, told.PostureSnapshots.TotalCount, "each step happened once")
		require.Equal(t, happens.entries, ledgerSize(t, a), "and so did each decision")
		require.Equal(t, happens.deliveries, told.Syncs.TotalCount)
		require.Equal(t, happens.deliveries, told.Syncs.Nodes[0].Version)
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
	require.JSONEq(t, fmt.Sprintf(`{"syncs":{"totalCount":%d}}`, happens.deliveries+1), string(answer.Data["organization"]))
}

func ledgerSize(t *testing.T, a *app.App) int {
	t.Helper()
	answer := ask(t, a, a.Tokens().Admin, `{ organization(slug: "demo") { ledger { size } } }`)
	require.Empty(t, answer.Errors)
	var found struct{ Ledger struct{ Size int } }
	require.NoError(t, json.Unmarshal(answer.Data["organization"], &found))
	return found.Ledger.Size
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
var operation = regexp.MustCompile(`(?m)^(query|mutation|subscription) (\w+)`)

// listed is a document of docs/operations in the list of its folder.
var listed = regexp.MustCompile(`\[([a-z-]+)\]\(([a-z-]+)\.graphql\)`)

// What of an answer is another one each time: hashes of the ledger, which says when
// the demo was told, what is signed, and what the server's clock says.
var (
	hash    = regexp.MustCompile(`"[0-9a-f]{64}"`)
	signed  = regexp.MustCompile(`"exposuregraph[/+][^"]+"`) // notes, and the keys that sign them
	instant = regexp.MustCompile(`"\d{4}-\d\d-\d\dT[0-9:.]+Z"`)
)

// masked is an answer without what is another one each time.
func masked(answer string) string {
	answer = hash.ReplaceAllString(answer, `"a hash"`)
	answer = signed.ReplaceAllString(answer, `"signed"`)
	return instant.ReplaceAllStringFunc(answer, func(text string) string {
		at, err := time.Parse(`"`+time.RFC3339Nano+`"`, text)
		if err != nil || at.After(demoDate) {
			return `"now"`
		}
		return text
	})
}

// TestExamplesAreAnswered asks the documents that we show, on the demo: the tabs
// of GraphiQL, and those of docs/operations, whose answers stand beside them.
func TestExamplesAreAnswered(t *testing.T) {
	t.Parallel()
	c := demoConfig(dbtest.New(t))
	folder := t.TempDir()
	c.LedgerKey, c.CheckpointDir = filepath.Join(folder, "ledger.key"), filepath.Join(folder, "checkpoints")
	_, _, err := book.MakeKey(c.LedgerKey)
	require.NoError(t, err)
	a, _ := start(t, c)
	require.Eventually(t, func() bool {
		files, _ := filepath.Glob(filepath.Join(c.CheckpointDir, "demo", "*.checkpoint"))
		return len(files) > 0
	}, 20*time.Second, 50*time.Millisecond, "the ledger is signed soon after the start")

	t.Run("operations", func(t *testing.T) {
		list, err := os.ReadFile("../../docs/operations/README.md")
		require.NoError(t, err)
		var names []string
		for _, link := range listed.FindAllStringSubmatch(string(list), -1) {
			require.Equal(t, link[1], link[2])
			names = append(names, link[1])
		}
		documents, err := filepath.Glob("../../docs/operations/*.graphql")
		require.NoError(t, err)
		require.NotEmpty(t, documents)
		require.Len(t, names, len(documents), "README.md lists each document once")
		for _, name := range names { // in the order of the list, in which what changes the demo comes last
			file := "../../docs/operations/" + name
			query, err := os.ReadFile(file + ".graphql")
			require.NoError(t, err)
			answer := answer(t, a, a.Tokens().Admin, string(query))
			require.NotContains(t, answer, `"errors"`, name)
			require.NotRegexp(t, `"userErrors": \[\s*\{`, answer, name)
			require.Contains(t, string(list), "("+name+".json)", "README.md does not list it")
			want, err := os.ReadFile(file + ".json")
			if *update && (err != nil || masked(string(want)) != masked(answer)) {
				require.NoError(t, os.WriteFile(file+".json", []byte(answer), 0o644))
				want = []byte(answer)
			}
			require.NotEmpty(t, want, "%s has no answer: run the test with -update", name)
			require.Equal(t, masked(string(want)), masked(answer), "%s: if this is meant to change, run the test with -update", name)
		}
	})

	// After the others: one of them judges.
	t.Run("tabs", func(t *testing.T) {
		response, err := http.Get(a.URL() + "/graphiql/presets.json")
		require.NoError(t, err)
		defer response.Body.Close()
		var tabs []struct{ Title, Query, Variables string }
		require.NoError(t, json.NewDecoder(response.Body).Decode(&tabs))
		require.NotEmpty(t, tabs)
		for _, tab := range tabs {
			require.NotEmpty(t, tab.Title)
			for _, operation := range operation.FindAllStringSubmatch(tab.Query, -1) {
				token := a.Tokens().Viewer
				switch operation[1] {
				case "mutation":
					token = a.Tokens().Analyst
				case "subscription":
					requireLive(t, a, token, tab.Query, operation[2])
					continue
				}
				answer := askWith(t, a, token, tab.Query, operation[2], tab.Variables)
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

// requireLive asks for a stream of the feed: something comes, and then a heartbeat.
func requireLive(t *testing.T, a *app.App, token, document, operation string) {
	t.Helper()
	body, err := json.Marshal(map[string]string{"query": document, "operationName": operation})
	require.NoError(t, err)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.URL()+"/graphql", bytes.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "text/event-stream")
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	events := 0
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		require.NotContains(t, data, `"errors"`, operation)
		if strings.Contains(data, `"heartbeat":true`) {
			require.Positive(t, events, operation)
			return
		}
		events++
	}
	t.Fatalf("%s ends without a heartbeat", operation)
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
