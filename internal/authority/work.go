package authority

import (
	"context"

	"github.com/exposuregraph/exposuregraph/db"
)

// small are so many rows of a work table that the statements of a sync take the
// plans that others before it took. A plan that was made for a few rows looks up by
// an index what belongs to each in the organization's tables, which is right for
// any few hundred, and joins work tables by hashing them, which is right for any
// number.
const small = 500

// openStage makes the tables that a delivery is staged in, and has plans made once.
// Ready says that a small change before this one left all tables, these and those to
// work in, as this one takes them. What is still in them is to be cleared before they
// are filled.
func openStage(ctx context.Context, tx *db.Tx) (ready bool, err error) {
	here, err := db.Column[bool](ctx, tx.Local(), syncQueries.Get("begin_work"), nil)
	if err != nil || here[0] {
		return true, err
	}
	for _, script := range []string{"forget_work", "create_stage"} {
		if err := tx.Script(ctx, syncQueries.Get(script)); err != nil {
			return false, err
		}
	}
	return false, nil
}

// openWork makes the tables to work in. A delivery that says nothing new goes without
// them.
func openWork(ctx context.Context, tx *db.Tx, assessor Assessor, few bool) error {
	if err := tx.Script(ctx, syncQueries.Get("create_work")); err != nil {
		return err
	}
	if err := assessor.CreateWork(ctx, tx); err != nil || !few {
		return err
	}
	return tx.Script(ctx, syncQueries.Get("keep_work"))
}

// Filled is told how many rows a statement has put into a work table. Where they are
// more than few, all that follows is planned anew, with statistics.
//
// How much there is to do shows only on the way: ten records can take back a hundred
// thousand, and one role can lead to as many paths. So it is asked wherever a table
// is full whose size does not follow from those before it.
func (a *Assessment) Filled(ctx context.Context, tx *db.Tx, rows ...*int64) error {
	if !a.Few {
		return nil
	}
	for _, n := range rows {
		a.Few = a.Few && *n <= a.small
	}
	if a.Few {
		return nil
	}
	for _, script := range []string{"work_memory", "analyze_work"} {
		if err := tx.Script(ctx, syncQueries.Get(script)); err != nil {
			return err
		}
	}
	return nil
}
