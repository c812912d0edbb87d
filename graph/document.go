package graph

import (
	"context"
	"errors"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/exposuregraph/exposuregraph/graph/generated"
	"github.com/exposuregraph/exposuregraph/graph/limit"
	"github.com/exposuregraph/exposuregraph/graph/persisted"
	"github.com/exposuregraph/exposuregraph/internal/access"
)

// documentCache bounds the bytes of the parsed documents that are kept.
const documentCache = 32 << 20

// nodeSize is about what a node of a parsed document takes: a field with its position,
// its name and its place in the list of its siblings.
const nodeSize = 400

// newDocumentCache keeps parsed documents. They are many times their text: a field of
// two letters is a node of hundreds of bytes.
func newDocumentCache() *persisted.Cache[*ast.QueryDocument] {
	return persisted.NewCache(documentCache, func(text string, document *ast.QueryDocument) int64 {
		return int64(len(text)) + nodeSize*int64(limit.Measure(document).Nodes)
	})
}

// LoadDocuments reads the documents that a server is to run, and no others, from a file
// or a folder. Each must be one that the server would run with these limits.
func LoadDocuments(path string, limits limit.Limits) (*persisted.Documents, error) {
	schema := generated.NewExecutableSchema(generated.Config{}).Schema()
	limited := limit.New(limits, nil)
	return persisted.Load(path, func(document string) error {
		if err := limited.MutateOperationParameters(context.Background(), &graphql.RawParams{Query: document}); err != nil {
			return errors.New(err.Message)
		}
		parsed, errs := gqlparser.LoadQueryWithRules(schema, document, nil)
		switch {
		case len(errs) > 0:
			return errors.New(errs[0].Message)
		case len(parsed.Operations) == 0:
			return errors.New("the document has no operation")
		}
		return nil
	})
}

// rights are whose documents are known to one another.
func rights(ctx context.Context) string {
	actor, _ := access.From(ctx)
	return actor.Rights()
}
