package app

import (
	"context"
	"embed"
	"fmt"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/exposuregraph/exposuregraph/graph"
	"github.com/exposuregraph/exposuregraph/graph/limit"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/posture"
	"github.com/exposuregraph/exposuregraph/internal/server"
	"github.com/exposuregraph/exposuregraph/internal/triage"
	"github.com/exposuregraph/exposuregraph/internal/web"
)

//go:embed examples/*.graphql
var exampleFiles embed.FS

// thenDays is how many days before the demo's date the tab about the past looks.
const thenDays = 14

// examples are the tabs that GraphiQL opens with: the documents of the folder in
// the order of their names, each titled by its first line. One that asks for an
// instant is given one that the demo of the date has.
func examples(date time.Time) []web.Tab {
	entries, err := exampleFiles.ReadDir("examples")
	if err != nil {
		panic(err) // the binary was built without them
	}
	tabs := make([]web.Tab, 0, len(entries))
	for _, entry := range entries {
		document, err := exampleFiles.ReadFile(path.Join("examples", entry.Name()))
		if err != nil {
			panic(err)
		}
		title, _, _ := strings.Cut(strings.TrimPrefix(string(document), "# "), "\n")
		tab := web.Tab{Title: title, Query: string(document)}
		if strings.Contains(tab.Query, "$then: ") {
			tab.Variables = fmt.Sprintf("{\n  \"then\": %q\n}", date.AddDate(0, 0, -thenDays).Format(time.RFC3339))
		}
		tabs = append(tabs, tab)
	}
	return tabs
}

// GraphQLConfig says what may be asked of the API, beside what a token allows.
type GraphQLConfig struct {
	Introspection graph.Introspection // who may read the schema; empty: whoever has a token

	TrustedDocuments string   // file or folder of the only documents that are run; empty: all are
	OwnDocuments     []string // of the program, which are trusted beside them
}

// loadDocuments reads the trusted documents, before anything is started.
func (a *App) loadDocuments(ctx context.Context) (err error) {
	config := a.config.GraphQL
	if config.TrustedDocuments == "" {
		return nil
	}
	if a.documents, err = graph.LoadDocuments(config.TrustedDocuments, limit.Limits{}); err != nil {
		return err
	}
	a.config.Logger.InfoContext(ctx, "only trusted documents are run", "documents", a.documents.Len())
	a.documents.Add(server.Documents()...)
	a.documents.Add(config.OwnDocuments...)
	return nil
}

// graphQL is the handler of the API; the server puts its guard before it.
func (a *App) graphQL() http.Handler {
	config := graph.Config{
		DB: a.db, Organizations: a.organizations, Paths: a.authority, Exposures: &exposure.Reader{}, Clusters: &posture.Reader{},
		Triage: triage.New(a.db, a.authority, a.config.Now), RequestID: server.RequestID, Log: a.config.Logger,
		Stream: a.stream, Streams: a.streams, Board: a.board, Audit: a.audit,
		Introspection: a.config.GraphQL.Introspection, Documents: a.documents,
	}
	if a.ledger.Key != nil {
		config.LedgerKey = a.ledger.Key.PublicKey()
	}
	return graph.NewHandler(config)
}
