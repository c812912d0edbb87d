package authority

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
)

// mergeLane merges what the delivery speaks of: assets, or entities.
func (d *delivery) mergeLane(ctx context.Context) (changes int64, err error) {
	if d.request.Scan {
		return d.mergeScan(ctx)
	}
	if err := d.check(ctx); err != nil {
		return 0, err
	}
	return d.merge(ctx)
}

// merge makes the delivery's statements the source's statements and counts
// what differed.
func (d *delivery) merge(ctx context.Context) (changes int64, err error) {
	said := pgx.StrictNamedArgs{"source": d.source, "complete": d.complete}
	voice := pgx.StrictNamedArgs{"source": d.source}
	dated := pgx.StrictNamedArgs{"source": d.source, "at": d.at}

	if !d.ready {
		if err := openWork(ctx, d.tx, d.service.assessor, d.derived.Few); err != nil {
			return 0, err
		}
	}
	p := d.tx.Pipeline()
	p.Local().Exec(syncQueries.Get("clear_work"), nil)
	p.Local().Exec(syncQueries.Get("plan_anew"), nil)
	exec := func(name string, args pgx.StrictNamedArgs) *int64 { return p.Exec(syncQueries.Get(name), args) }
	entities, edges := exec("diff_entities", said), exec("diff_edges", said)
	egresses, coverages, evidence := exec("diff_egress", said), exec("diff_coverage", said), exec("diff_evidence", voice)
	endpoints := exec("diff_endpoints", said)
	if err := p.Send(ctx); err != nil {
		return 0, err
	}
	changes = *entities + *edges + *egresses + *coverages + *evidence + *endpoints
	if changes == 0 {
		return 0, nil
	}
	if err := d.warnOfLoss(ctx, *entities); err != nil {
		return 0, err
	}
	// However few records there are: a complete delivery takes back what it leaves out.
	if err := d.derived.Filled(ctx, d.tx, &changes); err != nil {
		return 0, err
	}
	if d.derived.Few {
		p.Local().Exec(syncQueries.Get("plan_once"), nil)
	}
	if err := d.derived.analyze(ctx, "analyze_diff"); err != nil {
		return 0, err
	}
	if changes > bulk {
		if err := d.tx.Script(ctx, syncQueries.Get("prefer_hash_joins")); err != nil {
			return 0, err
		}
	}
	steps := []struct {
		differing *int64
		name      string
		args      pgx.StrictNamedArgs
	}{
		{entities, "keep_assertion_versions", dated},
		{entities, "retract_entities", voice},
		{entities, "assert_entities", dated},
		{edges, "remember_identities", nil},
		{edges, "keep_edge_versions", dated},
		{edges, "retract_edges", voice},
		{edges, "assert_edges", dated},
		{egresses, "retract_egress", voice},
		{egresses, "assert_egress", voice},
		{endpoints, "end_endpoints", dated},
		{endpoints, "add_endpoints", dated},
		{coverages, "keep_coverage_versions", dated},
		{coverages, "retract_coverage", voice},
		{coverages, "assert_coverage", dated},
		{evidence, "assert_evidence", dated},
	}
	for _, step := range steps {
		if *step.differing > 0 {
			exec(step.name, step.args)
		}
	}
	return changes, p.Send(ctx)
}

// warnOfLoss says so when a complete delivery takes back most of what the
// source said: more often a broken connector than a demolition.
func (d *delivery) warnOfLoss(ctx context.Context, entities int64) error {
	if !d.complete || entities == 0 || d.previous.LastCompleteAt == nil {
		return nil
	}
	type loss struct{ Gone, Before int64 }
	count, err := db.First[loss](ctx, d.tx, syncQueries.Get("count_loss"), pgx.StrictNamedArgs{"source": d.source})
	if err != nil {
		return err
	}
	if count.Gone*2 > count.Before {
		d.warn("REMOVES_MOST", "this complete delivery takes back %d of the %d entities that the source asserted; if the source saw only a part, import it with --partial",
			count.Gone, count.Before)
	}
	return nil
}
