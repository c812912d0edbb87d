package benchmark

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// growing are the operations that must cost the same however many paths there
// are.
var growing = []string{"clusters overview", "overview: posture, clusters, 50 workloads", "workload in all detail"}

// Growth is what an operation costs in a large organization and in a small one.
// The requests alternate, so that whatever else the machine does slows both.
type Growth struct {
	Name                         string
	Small, Large                 time.Duration // median of a request
	SmallDatabase, LargeDatabase time.Duration // median of the time in its statements
}

// measureGrowth measures the growing operations here and in a small world.
func (s *stand) measureGrowth(ctx context.Context, options Options, r *Result) (err error) {
	small, err := newStand(ctx, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, small.Close(context.WithoutCancel(ctx), false)) }()
	if _, err := small.populate(ctx, World{Paths: options.Beside, Seed: options.Seed, Now: epoch}); err != nil {
		return err
	}
	sides := [2]*side{{stand: small}, {stand: s}}
	for _, one := range sides {
		if one.client, err = one.stand.serve(ctx, 1); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, one.client.stop()) }()
		if one.queries, err = one.client.queries(ctx, one.stand); err != nil {
			return err
		}
	}
	for _, name := range growing {
		asked, err := alternate(ctx, name, options.Requests, sides[:]...)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		growth := Growth{Name: name, Small: asked[0].p50, Large: asked[1].p50, SmallDatabase: asked[0].database, LargeDatabase: asked[1].database}
		say(options, "%s: %s among %d paths, %s among %d", name, growth.Small, options.Beside, growth.Large, options.Paths)
		r.Growth = append(r.Growth, growth)
	}
	r.Beside = options.Beside
	return nil
}

// populate imports a world without measuring it.
func (s *stand) populate(ctx context.Context, world World) (paths int, err error) {
	delivery, err := s.write("world", world)
	if err != nil {
		return 0, err
	}
	report, err := s.deliver(ctx, delivery, epoch)
	if err != nil {
		return 0, err
	}
	return report.Paths.Added, s.settle(ctx)
}

// side is one of those that are compared.
type side struct {
	stand   *stand // nil: a server of somebody else, of whose statements nothing is known
	client  *client
	queries []query
}

func (s *side) body(name string) ([]byte, error) {
	at := slices.IndexFunc(s.queries, func(q query) bool { return q.name == name })
	if at < 0 {
		return nil, errors.New("no such operation")
	}
	return json.Marshal(map[string]any{"query": s.queries[at].document, "variables": s.queries[at].variables})
}

// ask sends a request, and says how long it took and how much of that in statements.
func (s *side) ask(ctx context.Context, body []byte) (took, inside time.Duration, err error) {
	if s.stand != nil {
		s.stand.tracer.start()
	}
	since := now()
	_, err = s.client.post(ctx, body)
	took = now().Sub(since)
	if s.stand != nil {
		for _, statement := range s.stand.tracer.stop() {
			inside += statement.Took
		}
	}
	return took, inside, err
}

// medians are what one side took: for the whole request, and in its statements.
type medians struct{ p50, database time.Duration }

// alternate sends the same operation on each side in turns, so that whatever else the
// machine does slows all of them.
func alternate(ctx context.Context, name string, requests int, sides ...*side) ([]medians, error) {
	took, database := make([][]time.Duration, len(sides)), make([][]time.Duration, len(sides))
	bodies := make([][]byte, len(sides))
	for i, one := range sides {
		var err error
		if bodies[i], err = one.body(name); err != nil {
			return nil, err
		}
	}
	for n := range warmUp + requests {
		for i, one := range sides {
			elapsed, inside, err := one.ask(ctx, bodies[i])
			if err != nil {
				return nil, err
			}
			if n >= warmUp {
				took[i], database[i] = append(took[i], elapsed), append(database[i], inside)
			}
		}
	}
	found := make([]medians, len(sides))
	for i := range sides {
		found[i] = medians{percentile(took[i], 50), percentile(database[i], 50)}
	}
	return found, nil
}

func (r *Result) growthTable(b *strings.Builder) {
	fmt.Fprintf(b, "| operation, p50 in alternation | among %s paths, ms | among %s, ms | ratio | target | in statements, ms | among %s, ms |\n|---|---:|---:|---:|---:|---:|---:|\n",
		thousands(int64(r.Beside)), thousands(int64(r.Paths)), thousands(int64(r.Paths)))
	for _, g := range r.Growth {
		fmt.Fprintf(b, "| %s | %s | %s | %.2f | ≤ 1.3 | %s | %s |\n", g.Name, milliseconds(g.Small), milliseconds(g.Large),
			g.Large.Seconds()/g.Small.Seconds(), milliseconds(g.SmallDatabase), milliseconds(g.LargeDatabase))
	}
}
