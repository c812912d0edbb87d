package authority

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// check rejects what only the whole delivery and the database can tell:
// records said twice, and references to nothing.
func (d *delivery) check(ctx context.Context) error {
	if err := d.derived.analyze(ctx, "analyze_stage"); err != nil {
		return err
	}
	duplicates, err := db.Select[faultRow](ctx, d.tx.Local(), syncQueries.Get("reject_duplicates"), nil)
	if err != nil {
		return err
	}
	for _, r := range duplicates {
		d.rejectRow(r, "DUPLICATE_RECORD", fmt.Sprintf("this %s record is said twice in the delivery; the first one stands", r.What))
	}
	d.complete = d.complete && len(duplicates) == 0

	dangling, err := db.Select[faultRow](ctx, d.tx, syncQueries.Get("reject_dangling"),
		pgx.StrictNamedArgs{"source": d.source, "complete": d.complete, "nil": id.Nil})
	if err != nil {
		return err
	}
	for _, r := range dangling {
		missing := "an entity"
		if _, isEdge := edgeEnds[record.EdgeKind(r.What)]; isEdge {
			missing = "an entity to start from"
			if r.FromKnown {
				missing = "an entity to end at"
			}
		}
		d.rejectRow(r, "DANGLING_REFERENCE",
			fmt.Sprintf("this %s record names %s that neither this delivery nor another source asserts", r.What, missing))
	}
	d.complete = d.complete && len(dangling) == 0
	if err := d.refuseIfStrict(); err != nil {
		return err
	}
	return d.lowerCoverage(ctx)
}

// faultRow is a staged record that does not hold against the others.
type faultRow struct {
	What      string
	File      int32
	Line      int32
	EntityID  id.ID // whom it speaks about; nil where that is nobody in particular
	FromKnown bool  // of an edge that dangles: its beginning does not
}

func (d *delivery) rejectRow(r *faultRow, code, reason string) {
	d.stage.rejects.add(record.Rejection{Position: d.stage.position(r.File, r.Line), Code: code, Reason: reason})
	d.stage.doubt(r.EntityID)
}

// lowerCoverage makes the coverage of what rejected records touched partial.
func (d *delivery) lowerCoverage(ctx context.Context) error {
	if d.stage.rejects.count == 0 {
		return nil
	}
	// What the source claimed before is in doubt as well.
	if _, err := d.exec(ctx, "carry_coverage", pgx.StrictNamedArgs{"source": d.source}); err != nil {
		return err
	}
	slices.SortFunc(d.stage.touched, func(a, b id.ID) int { return slices.Compare(a[:], b[:]) })
	entities := slices.Compact(d.stage.touched)
	if entities == nil {
		entities = []id.ID{}
	}
	if _, err := db.Exec(ctx, d.tx.Local(), syncQueries.Get("lower_coverage"),
		pgx.StrictNamedArgs{"everything": d.stage.blind, "entities": entities}); err != nil {
		return err
	}
	if d.stage.blind {
		return nil
	}
	_, err := db.Exec(ctx, d.tx.Local(), syncQueries.Get("lower_entity_coverage"), pgx.StrictNamedArgs{"entities": entities, "nil": id.Nil})
	return err
}
