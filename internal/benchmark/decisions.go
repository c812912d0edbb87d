package benchmark

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/triage"
)

const (
	cardsPerDesk = 32  // exposures that one person has before them
	besidePaths  = 500 // of each organization but the first
	warmUpTurns  = 8   // of each person: a connection's first decision makes its work tables
)

// Decisions is what the decisions of people cost.
type Decisions struct {
	Moves  []Moves       // one by one, on one connection
	Commit time.Duration // median of a transaction of one row, in alternation with them
	Parts  []Part        // of all of them

	Organizations int
	Rate          float64 // decisions per second on Options.Connections, in one organization
	Spread        float64 // the same over all organizations

	Untouched     time.Duration // median of the clusters before anybody decided anything
	Before, After time.Duration // the same right after a transaction of one row and right after a decision, in alternation
}

// Moves is what decisions of one kind cost.
type Moves struct {
	Name     string
	P50, P99 time.Duration
	Database time.Duration // median of the time that one spends in its statements
	Sent     int           // median of its statements, without those that begin and end the transaction
}

// Part is a statement of decisions.
type Part struct {
	Name  string
	Took  time.Duration // median of what one decision that sends it spends in it
	Total time.Duration // of all decisions
	Sent  int           // by all decisions
	Of    int           // decisions that were measured
}

// measureDecisions has people judge the exposures of the organization.
func (s *stand) measureDecisions(ctx context.Context, options Options, r *Result) (err error) {
	d := &Decisions{Organizations: options.Organizations}
	everywhere, err := s.organizations(ctx, options)
	if err != nil {
		return err
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	// One connection, and nothing that another may have left on it.
	alone, err := db.Open(ctx, s.postgres.RuntimeURL(""), db.Options{MaxConns: 1, Tracer: s.tracer})
	if err != nil {
		return err
	}
	defer alone.Close()
	desks, err := s.desks(ctx, alone, "alone", s.organization)
	if err != nil {
		return err
	}
	if err := s.measureClusters(ctx, options, alone, desks[0], d); err != nil {
		return err
	}
	say(options, "clusters overview: %s before a decision, %s right after", d.Before, d.After)
	if err := s.measureDecision(ctx, options, alone, desks[0], d); err != nil {
		return err
	}
	for _, m := range d.Moves {
		say(options, "%s: %s, a transaction of one row: %s", m.Name, m.P50, d.Commit)
	}

	here := slices.Repeat([]id.ID{s.organization}, options.Connections)
	if desks, err = s.desks(ctx, s.db, "here", here...); err != nil {
		return err
	}
	if d.Rate, err = rateOf(ctx, desks, options.Load); err != nil {
		return err
	}
	for i := range here {
		here[i] = everywhere[i%len(everywhere)]
	}
	if desks, err = s.desks(ctx, s.db, "everywhere", here...); err != nil {
		return err
	}
	if d.Spread, err = rateOf(ctx, desks, options.Load); err != nil {
		return err
	}
	say(options, "decisions per second: %.0f in one organization, %.0f over %d", d.Rate, d.Spread, len(everywhere))
	r.Decisions = d
	return nil
}

// organizations fills the others beside the first, and gives them all.
func (s *stand) organizations(ctx context.Context, options Options) ([]id.ID, error) {
	all := []id.ID{s.organization}
	delivery, err := s.write("beside", World{Paths: min(besidePaths, options.Paths), Seed: options.Seed, Now: epoch})
	if err != nil {
		return nil, err
	}
	for n := 1; n < options.Organizations; n++ {
		slug := fmt.Sprintf("%s-%d", organizationSlug, n)
		if _, err := s.deliverTo(ctx, slug, delivery, s.now()); err != nil {
			return nil, fmt.Errorf("%s: %w", slug, err)
		}
		all = append(all, id.Organization(slug))
	}
	return all, nil
}

// desk is where somebody judges exposures and takes it back, in turns.
type desk struct {
	name         string
	triage       *triage.Service
	organization id.ID
	cards        []card
	turns        int
	seq          int64 // of the last decision, in the ledger
}

// card is an exposure, and the version that it has come to.
type card struct {
	PathID  id.ID
	Type    rule.Type
	Ordinal int
	Version int
}

// desks gives one for each of the organizations named; no two have an exposure in
// common.
func (s *stand) desks(ctx context.Context, pool *db.DB, name string, organizations ...id.ID) ([]*desk, error) {
	judge := triage.New(pool, authority.New(pool, s.assessor(), s.now, s.log()).WithSurface(s.surface()), s.now)
	dealt := map[id.ID]int{}
	desks := make([]*desk, len(organizations))
	for i, organization := range organizations {
		rows, err := s.super.Query(ctx, limits.Get("open_exposures").SQL, organization, dealt[organization], cardsPerDesk)
		if err != nil {
			return nil, err
		}
		cards, err := pgx.CollectRows(rows, pgx.RowToStructByName[card])
		if err != nil {
			return nil, fmt.Errorf("open exposures: %w", err)
		}
		if len(cards) == 0 {
			return nil, errors.New("there are too few open exposures for everybody to judge some")
		}
		dealt[organization] += len(cards)
		desks[i] = &desk{name: fmt.Sprintf("%s-%d", name, i), triage: judge, organization: organization, cards: cards}
	}
	return desks, nil
}

// The turns of a desk with an exposure. What is acknowledged counts as before in
// what a workload comes to; what is false does not.
var (
	actions = []triage.Action{triage.Acknowledge, triage.Unacknowledge, triage.MarkFalsePositive, triage.UnmarkFalsePositive}
	kinds   = []string{"acknowledge, unacknowledge", "mark as false positive, unmark"} // each of two actions
)

// next is what the next turn does, and its kind.
func (d *desk) next() (action triage.Action, kind int) {
	n := d.turns % len(actions)
	return actions[n], n / 2
}

// turn makes the next decision.
func (d *desk) turn(ctx context.Context) error {
	card := &d.cards[d.turns/len(actions)%len(d.cards)]
	action, _ := d.next()
	reason := triage.FalsePositiveReason("")
	if action == triage.MarkFalsePositive {
		reason = triage.Other
	}
	d.turns++
	outcome, err := d.triage.Judge(access.With(ctx, operator), d.organization,
		exposure.Key{PathID: card.PathID, Type: card.Type, Ordinal: card.Ordinal},
		triage.Command{Action: action, ExpectedVersion: card.Version, Reason: reason, Justification: "The team knows, and has taken it on.",
			IdempotencyKey: fmt.Sprintf("%s-%d", d.name, d.turns)})
	if err == nil {
		card.Version, d.seq = outcome.Version, outcome.Seq
	}
	return err
}

// measureDecision measures a decision, and beside each a transaction of one row.
func (s *stand) measureDecision(ctx context.Context, options Options, pool *db.DB, desk *desk, d *Decisions) error {
	type measured struct {
		took, inside []time.Duration
		counts       []int
	}
	byKind, whole := make([]measured, len(kinds)), measured{}
	var commits []time.Duration
	var all [][]statement
	for n := range warmUp + len(kinds)*options.Requests {
		_, kind := desk.next()
		s.tracer.startFramed()
		since := now()
		err := desk.turn(ctx)
		elapsed := now().Sub(since)
		sent := s.tracer.stop()
		if err != nil {
			return fmt.Errorf("a decision: %w", err)
		}
		since = now()
		if err := s.commit(ctx, pool, n); err != nil {
			return fmt.Errorf("a transaction of one row: %w", err)
		}
		commit := now().Sub(since)
		if n < warmUp {
			continue
		}
		var database time.Duration
		count := 0
		for _, one := range sent {
			database += one.Took
			if !one.Framing {
				count++
			}
		}
		for _, m := range []*measured{&byKind[kind], &whole} {
			m.took, m.inside, m.counts = append(m.took, elapsed), append(m.inside, database), append(m.counts, count)
		}
		all, commits = append(all, sent), append(commits, commit)
	}
	for i, m := range append(byKind, whole) {
		slices.Sort(m.counts)
		d.Moves = append(d.Moves, Moves{append(kinds, "all four, in turns")[i], percentile(m.took, 50), percentile(m.took, 99), percentile(m.inside, 50), m.counts[len(m.counts)/2]})
	}
	d.Commit, d.Parts = percentile(commits, 50), partsOf(all)
	return nil
}

// commit is what a decision cannot leave out: one row, durable, in a transaction
// of the organization.
func (s *stand) commit(ctx context.Context, pool *db.DB, n int) error {
	return pool.Tenant(ctx, s.organization, func(tx *db.Tx) error {
		_, err := db.Exec(ctx, tx, limits.Get("commit"), pgx.StrictNamedArgs{"key": fmt.Sprint("commit ", n), "digest": make([]byte, 32), "at": s.now()})
		return err
	})
}

// partsOf gives the statements of decisions by name, the slowest over all first.
func partsOf(decisions [][]statement) []Part {
	took := map[string][]time.Duration{}
	sent := map[string]int{}
	for _, statements := range decisions {
		for _, one := range breakdown(statements) {
			took[one.Name] = append(took[one.Name], one.Took)
		}
		for _, one := range statements {
			sent[one.Name]++
		}
	}
	parts := make([]Part, 0, len(took))
	for name, each := range took {
		part := Part{Name: name, Took: percentile(each, 50), Sent: sent[name], Of: len(decisions)}
		for _, one := range each {
			part.Total += one
		}
		parts = append(parts, part)
	}
	slices.SortFunc(parts, func(a, b Part) int { return cmp.Or(cmp.Compare(b.Total, a.Total), cmp.Compare(a.Name, b.Name)) })
	return parts
}

// measureClusters asks for the clusters before and right after decisions.
func (s *stand) measureClusters(ctx context.Context, options Options, pool *db.DB, desk *desk, d *Decisions) (err error) {
	c, err := s.serve(ctx, 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	body, err := json.Marshal(map[string]any{"query": clustersDocument})
	if err != nil {
		return err
	}
	var untouched, before, after []time.Duration
	ask := func(n int, took *[]time.Duration) error {
		since := now()
		_, err := c.post(ctx, body)
		if n >= warmUp {
			*took = append(*took, now().Sub(since))
		}
		return err
	}
	for n := range warmUp + options.Requests {
		if err := ask(n, &untouched); err != nil {
			return err
		}
	}
	for n := range warmUp + options.Requests {
		// Whatever else has run makes a request slower; the difference is the decision's.
		if err := errors.Join(s.commit(ctx, pool, -1-n), ask(n, &before), desk.turn(ctx), ask(n, &after)); err != nil {
			return fmt.Errorf("clusters after a decision: %w", err)
		}
	}
	d.Untouched, d.Before, d.After = percentile(untouched, 50), percentile(before, 50), percentile(after, 50)
	return nil
}

// rateOf has everybody decide at once, each on a connection.
func rateOf(ctx context.Context, desks []*desk, decisions int) (float64, error) {
	all := func(next func(desk *desk) bool) error {
		errs := make([]error, len(desks))
		var people sync.WaitGroup
		for i, desk := range desks {
			people.Go(func() {
				for errs[i] == nil && next(desk) {
					errs[i] = desk.turn(ctx)
				}
			})
		}
		people.Wait()
		return errors.Join(errs...)
	}
	if err := all(func(desk *desk) bool { return desk.turns < warmUpTurns }); err != nil {
		return 0, err
	}
	var made atomic.Int64
	since := now()
	err := all(func(*desk) bool { return made.Add(1) <= int64(decisions) })
	return float64(decisions) / now().Sub(since).Seconds(), err
}

func (r *Result) decisionTable(b *strings.Builder) {
	d := r.Decisions
	fmt.Fprintf(b, "| decision on one exposure | p50 ms | p99 ms | statements | in statements ms | commit of one row, in alternation, ms | ratio | target | all of them together/s (%d) | over %d organizations |\n"+
		"|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n", r.Connections, d.Organizations)
	for _, m := range d.Moves {
		fmt.Fprintf(b, "| %s | %s | %s | %d | %s | %s | %s | ≤ 10 | %s | %s |\n", m.Name, milliseconds(m.P50), milliseconds(m.P99), m.Sent,
			milliseconds(m.Database), milliseconds(d.Commit), times(m.P50, d.Commit), thousands(rounded(d.Rate)), thousands(rounded(d.Spread)))
	}
	b.WriteString("\n| operation, p50 in alternation | before any decision, ms | right after a transaction of one row, ms | right after a decision, ms | ratio | target |\n|---|---:|---:|---:|---:|---:|\n")
	fmt.Fprintf(b, "| clusters overview | %s | %s | %s | %.2f | ≤ 1.1 |\n", milliseconds(d.Untouched), milliseconds(d.Before), milliseconds(d.After),
		d.After.Seconds()/d.Before.Seconds())
}

func rounded(rate float64) int64 { return int64(math.Round(rate)) }

// decisionBreakdown says where the time of decisions goes. What is sent together is
// answered together: its time stands with the last of it.
func (r *Result) decisionBreakdown(b *strings.Builder) {
	b.WriteString("\na decision; each statement's mean, then its median where it is sent, and how often:\n")
	for _, one := range r.Decisions.Parts {
		fmt.Fprintf(b, "%9.3f ms %9.3f ms %6.2f ×  %s\n", one.Total.Seconds()*1e3/float64(one.Of), one.Took.Seconds()*1e3, float64(one.Sent)/float64(one.Of), one.Name)
	}
}
