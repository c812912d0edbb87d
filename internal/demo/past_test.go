package demo_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/witness"
)

// moment is what the readers said after a step of the history.
type moment struct {
	at   time.Time
	said witness.Account
}

// ask asks the readers, live or as of an instant.
func (w world) ask(t *testing.T, keys *witness.Keys, asOf *time.Time) witness.Account {
	t.Helper()
	snapshot := w.Snapshot()
	defer func() { snapshot.Close(context.Background()) }()
	if asOf != nil {
		snapshot = snapshot.At(*asOf)
	}
	account, err := witness.Ask(w.ctx, snapshot, id.Organization("demo"), keys)
	require.NoError(t, err)
	return account
}

// comparePast asks everything again, as of the instants at which it was answered
// and of the last before something else happened.
func (w world) comparePast(t *testing.T) {
	t.Helper()
	known := &witness.Keys{}
	w.ask(t, known, nil)
	for i, then := range w.said {
		keys := *known
		at := then.at
		if i%2 == 1 && i+1 < len(w.said) {
			at = w.said[i+1].at.Add(-time.Microsecond)
		}
		differences := then.said.Differences(w.ask(t, &keys, &at))
		require.Empty(t, differences, "as of %s", at)
	}
}
