package authority

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
)

// merge makes the delivery's statements the source's statements and counts
// what differed.
func (d *delivery) merge(ctx context.Context) (changes int64, err error) {
	if err := d.tx.Script(ctx, syncQueries.Get("create_work")); err != nil {
		return 0, err
	}
	said := pgx.StrictNamedArgs{"source": d.source, "complete": d.complete}
	voice := pgx.StrictNamedArgs{"source": d.source}
	dated := pgx.StrictNamedArgs{"source": d.source, "at": d.at}

	entities, err := d.exec(ctx, "diff_entities", said)
	if err != nil {
		return 0, err
	}
	edges, err := d.exec(ctx, "diff_edges", said)
	if err != nil {
		return 0, err
	}
	egresses, err := d.exec(ctx, "diff_egress", said)
	if err != nil {
		return 0, err
	}
	coverages, err := d.exec(ctx, "diff_coverage", said)
	if err != nil {
		return 0, err
	}
	evidence, err := d.exec(ctx, "diff_evidence", voice)
	if err != nil {
		return 0, err
	}
	changes = entities + edges + egresses + coverages + evidence
	if changes == 0 {
		return 0, nil
	}
	if err := d.warnOfLoss(ctx, entities); err != nil {
		return 0, err
	}
	if err := d.tx.Script(ctx, syncQueries.Get("analyze_diff")); err != nil {
		return 0, err
	}
	if changes > bulk {
		if err := d.tx.Script(ctx, syncQueries.Get("prefer_hash_joins")); err != nil {
			return 0, err
		}
	}
	steps := []struct {
		skip bool
		name string
		args pgx.StrictNamedArgs
	}{
		{entities == 0, "keep_assertion_versions", dated},
		{entities == 0, "retract_entities", voice},
		{entities == 0, "assert_entities", dated},
		{edges == 0, "remember_identities", nil},
		{edges == 0, "keep_edge_versions", dated},
		{edges == 0, "retract_edges", voice},
		{edges == 0, "assert_edges", dated},
		{egresses == 0, "retract_egress", voice},
		{egresses == 0, "assert_egress", voice},
		{coverages == 0, "keep_coverage_versions", dated},
		{coverages == 0, "retract_coverage", voice},
		{coverages == 0, "assert_coverage", dated},
		{evidence == 0, "assert_evidence", dated},
	}
	for _, step := range steps {
		if step.skip {
			continue
		}
		if _, err := d.exec(ctx, step.name, step.args); err != nil {
			return 0, err
		}
	}
	return changes, nil
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
