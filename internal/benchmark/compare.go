package benchmark

import (
	"context"
	"fmt"
	"strings"
)

// Server is one that runs already, with a world of records in the organization "bench".
type Server struct{ URL, Token string }

// Compare asks two servers the same in turns, for example one of before a change and one
// of after it, and gives a table of what each took.
func Compare(ctx context.Context, before, after Server, options Options) (table string, err error) {
	options = options.orDefault()
	var sides []*side
	for _, s := range []Server{before, after} {
		sides = append(sides, &side{client: &client{url: strings.TrimSuffix(s.URL, "/") + "/graphql", token: s.Token}, queries: steady()})
	}
	var b strings.Builder
	b.WriteString("| operation, p50 in alternation | before, ms | after, ms | ratio |\n|---|---:|---:|---:|\n")
	for _, q := range steady() {
		asked, err := alternate(ctx, q.name, options.Requests, sides...)
		if err != nil {
			return "", fmt.Errorf("%s: %w", q.name, err)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %.2f |\n", q.name, milliseconds(asked[0].p50), milliseconds(asked[1].p50), asked[1].p50.Seconds()/asked[0].p50.Seconds())
	}
	return b.String(), nil
}
