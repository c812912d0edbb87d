package triage

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/ledger/book"
)

// Rebuild reads off the ledger again what people say of each exposure, writes what
// the tables say otherwise, and brings everything that counts it to that. The
// projections are what was found before and after: what is left after are rows that
// the ledger knows and the tables do not have, and former versions, which the role
// that serves cannot rewrite.
//
// It is the operator's tool, and takes the scope to operate.
func (s *Service) Rebuild(ctx context.Context, organization id.ID) (before, after *book.Projection, err error) {
	if err := access.Require(ctx, organization, access.Operate); err != nil {
		return nil, nil, err
	}
	err = s.paths.Decide(ctx, organization, nil, func(tx *db.Tx, d *authority.Decision) (err error) {
		if before, err = s.paths.Ledger().Rebuild(ctx, tx); err != nil {
			return err
		}
		paths, err := mend(ctx, tx, before.Differences)
		if err != nil {
			return err
		}
		if err := d.Follow(ctx, tx.Pipeline(), paths); err != nil {
			return err
		}
		after, err = s.paths.Ledger().Rebuild(ctx, tx)
		return err
	})
	return before, after, err
}

// mend writes what the ledger says of exposures, and names their paths.
func mend(ctx context.Context, tx *db.Tx, differences []book.Difference) (touched []id.ID, err error) {
	var paths []id.ID
	var types, dispositions []int16
	var ordinals []int
	var seqs []*int64
	var resolved []*time.Time
	for _, diff := range differences {
		if diff.Version > 0 || diff.Absent {
			continue
		}
		var seq *int64
		if diff.Want.DecidedSeq > 0 {
			seq = &diff.Want.DecidedSeq
		}
		paths, types, ordinals = append(paths, diff.PathID), append(types, diff.Type), append(ordinals, diff.Ordinal)
		dispositions, seqs, resolved = append(dispositions, diff.Want.Disposition), append(seqs, seq), append(resolved, diff.Want.ResolvedAt)
	}
	if len(paths) == 0 {
		return nil, nil
	}
	_, err = db.Exec(ctx, tx, decideQueries.Get("mend"), pgx.StrictNamedArgs{
		"paths": paths, "types": types, "ordinals": ordinals, "dispositions": dispositions, "seqs": seqs, "resolved": resolved})
	return slices.Compact(paths), err
}
