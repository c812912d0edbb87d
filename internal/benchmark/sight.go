package benchmark

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/access"
)

// sighted are the callers: one without attribute filters; one whose filters let all
// workloads through, which shows what the filters cost; one who sees a part.
var sighted = []access.Attributes{{}, {Environment: environments}, {Environment: []string{"staging"}}}

// Sight is what an operation costs callers who see all, all through filters, and a part.
// The requests alternate.
type Sight struct {
	Name             string
	Whole, All, Part time.Duration
}

func (s *stand) measureSight(ctx context.Context, options Options, r *Result) (err error) {
	all, err := s.serve(ctx, 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, all.stop()) }()
	var sides []*side
	for _, attributes := range sighted {
		caller := *all
		if caller.token, err = s.token(ctx, organizationSlug, attributes); err != nil {
			return err
		}
		sides = append(sides, &side{s, &caller, steady()})
	}
	for _, q := range steady() {
		asked, err := alternate(ctx, q.name, options.Requests, sides...)
		if err != nil {
			return fmt.Errorf("%s: %w", q.name, err)
		}
		sight := Sight{Name: q.name, Whole: asked[0].p50, All: asked[1].p50, Part: asked[2].p50}
		say(options, "%s: %s; through filters all %s, a part %s", q.name, sight.Whole, sight.All, sight.Part)
		r.Sight = append(r.Sight, sight)
	}
	return nil
}

func (r *Result) sightTable(b *strings.Builder) {
	b.WriteString("| operation, p50 in alternation | without filters, ms | filters that let all through, ms | ratio | a part, ms | ratio |\n|---|---:|---:|---:|---:|---:|\n")
	for _, s := range r.Sight {
		fmt.Fprintf(b, "| %s | %s | %s | %.2f | %s | %.2f |\n", s.Name, milliseconds(s.Whole), milliseconds(s.All), s.All.Seconds()/s.Whole.Seconds(),
			milliseconds(s.Part), s.Part.Seconds()/s.Whole.Seconds())
	}
}
