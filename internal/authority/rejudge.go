package authority

import (
	"context"
	"time"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// Touch names what is judged again, with all of its paths.
type Touch struct {
	reason string // as in the table touched, see sync.sql
	id     id.ID
}

// TouchWorkload has a workload judged again.
func TouchWorkload(workload id.ID) Touch { return Touch{"context", workload} }

// TouchIdentity has an identity judged again.
func TouchIdentity(identity id.ID) Touch { return Touch{"activity", identity} }

// Rejudge judges what an analyst's word touches, at its own place on the
// organization's clock. Prepare writes the word and names what follows from it;
// an error of it undoes everything. The window stays, so that nothing but the
// word makes a difference. Whether the caller sees what the word is about is for
// prepare to ask.
func (s *Service) Rejudge(ctx context.Context, organization id.ID, cause Cause, prepare func(tx *db.Tx, at time.Time) ([]Touch, error)) (*Evaluation, error) {
	if _, err := access.Admit(ctx, organization, access.Investigate); err != nil {
		return nil, err
	}
	return s.judge(ctx, organization, judging{cause: cause, prepare: prepare})
}

// touch adds to what a transaction derives again.
func touch(ctx context.Context, tx *db.Tx, touches []Touch) (int64, error) {
	var rows db.Rows
	for _, t := range touches {
		rows.Add(t.reason, t.id)
	}
	return tx.CopyRows(ctx, "touched", []string{"reason", "id"}, &rows)
}
