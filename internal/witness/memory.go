package witness

import (
	"context"
	"time"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// Memory is what the readers said of an organization at instants of its clock.
type Memory struct {
	Database     *db.DB
	Organization id.ID
	EachStep     bool // nothing happens unremembered: what was said holds to the last microsecond before the next

	moments []moment
	known   Keys
}

type moment struct {
	at   time.Time
	said Account
}

var queries = db.Parse("witness", `
-- name: workloads
SELECT x.workload_id, coalesce(x.code, '') AS code FROM workload_exposure x WHERE x.organization_id = @organization;

-- name: attested
SELECT DISTINCT b.identity_id FROM scope_baseline b WHERE b.organization_id = @organization;`)

// Remember asks live, and keeps it under the instant to which the clock has come.
func (m *Memory) Remember(ctx context.Context, clock time.Time) error {
	if err := m.learn(ctx); err != nil {
		return err
	}
	said, err := m.ask(ctx, nil)
	m.moments = append(m.moments, moment{clock, said})
	return err
}

// learn gets to know what stands on no list, and is there all the same for who asks
// for it: else it would seem to be unknown now, and known when it is asked again.
func (m *Memory) learn(ctx context.Context) error {
	type row struct {
		WorkloadID id.ID
		Code       string
	}
	snapshot := m.Database.Snapshot()
	defer snapshot.Close(ctx)
	rows, err := db.Select[row](ctx, snapshot.Of(m.Organization), queries.Get("workloads"), nil)
	if err != nil {
		return err
	}
	for _, r := range rows {
		m.known.Add(Keys{Workloads: []id.ID{r.WorkloadID}})
		if r.Code != "" {
			m.known.Add(Keys{Codes: []string{r.Code}})
		}
	}
	// An identity without a path can be vouched for, too.
	attested, err := db.Column[id.ID](ctx, snapshot.Of(m.Organization), queries.Get("attested"), nil)
	m.known.Add(Keys{Identities: attested})
	return err
}

// Contradictions asks everything again, also about what came later: as of each
// instant, and up to when it held. It gives what is answered otherwise at the first
// at which anything is.
func (m *Memory) Contradictions(ctx context.Context) (at time.Time, list []string, err error) {
	for i, then := range m.moments {
		instants := []time.Time{then.at}
		if i+1 < len(m.moments) {
			next := m.moments[i+1].at
			if !next.After(then.at) { // nothing happened, or nothing that takes a place on the clock
				continue
			}
			if last := next.Add(-time.Microsecond); m.EachStep && last.After(then.at) {
				instants = append(instants, last)
			}
		}
		for _, at := range instants {
			now, err := m.ask(ctx, &at)
			if err != nil {
				return at, nil, err
			}
			if list := then.said.Differences(now); len(list) > 0 {
				return at, list, nil
			}
		}
	}
	return time.Time{}, nil, nil
}

func (m *Memory) ask(ctx context.Context, asOf *time.Time) (Account, error) {
	snapshot := m.Database.Snapshot()
	defer snapshot.Close(ctx)
	view := snapshot
	if asOf != nil {
		view = snapshot.At(*asOf)
	}
	return Ask(ctx, view, m.Organization, &m.known)
}
