package benchmark

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Past is what a question costs that is asked as of an instant, beside the same
// question about now, in alternation.
type Past struct {
	Name      string
	Now, Then time.Duration // median of a request
	Target    int           // how many times as long the past may take
}

// pastQuestions are those that are asked of both. The mark takes the instant.
var pastQuestions = []struct {
	name, document string
	target         int
}{
	{"overview: posture, clusters", `query($at: DateTime) { organization(slug: "` + organizationSlug + `") {
		posture(asOf: $at) { activePaths dormantPaths totalExecutions30d ownershipInvalidCount identityCounts { activeAutonomous dormantAuthority } workloadCounts { autonomous unclassified } }
		riskClusters(asOf: $at) { nodes { key label severity priority urgency verdict pathCount identityCount workloadCount totalExecution30d sensitiveDomains } } } }`, 10},
	{"20 members of a cluster", `query($at: DateTime) { organization(slug: "` + organizationSlug + `") { riskCluster(key: "orphaned-sensitive", asOf: $at) {
		authorityPaths(first: 20) { nodes { ` + scalars + ` } } } } }`, 5},
}

// measurePast asks them after a sync that changed one edge in a hundred.
func (s *stand) measurePast(ctx context.Context, options Options, f *Feed) (err error) {
	then := s.now()
	s.advance(24 * time.Hour)
	delivery, err := s.write("changed", World{Paths: options.Paths, Seed: options.Seed, Now: epoch, Changed: true})
	if err != nil {
		return err
	}
	if _, err := s.deliver(ctx, delivery, s.now()); err != nil {
		return err
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	c, err := s.serve(ctx, 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	for _, q := range pastQuestions {
		var took [2][]time.Duration
		for n := range warmUp + options.Requests {
			for i, at := range []*time.Time{nil, &then} {
				body, err := json.Marshal(map[string]any{"query": q.document, "variables": map[string]any{"at": at}})
				if err != nil {
					return err
				}
				since := now()
				answer, err := c.post(ctx, body)
				elapsed := now().Sub(since)
				switch {
				case err != nil:
					return fmt.Errorf("%s: %w", q.name, err)
				case strings.Contains(string(answer), `"nodes":[]`):
					return fmt.Errorf("%s: an empty answer: %.300s", q.name, answer)
				case n >= warmUp:
					took[i] = append(took[i], elapsed)
				}
			}
		}
		p := Past{Name: q.name, Now: percentile(took[0], 50), Then: percentile(took[1], 50), Target: q.target}
		f.Past = append(f.Past, p)
		say(options, "%s: %s now, %s then", p.Name, p.Now, p.Then)
	}
	return nil
}
