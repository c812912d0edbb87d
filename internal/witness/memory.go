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

// Remember asks live, and keeps it under the instant to which the clock has come.
func (m *Memory) Remember(ctx context.Context, clock time.Time) error {
	said, err := m.ask(ctx, nil)
	m.moments = append(m.moments, moment{clock, said})
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
