package redteam

import (
	"context"
	"slices"
	"time"
)

// Row is one way in which clients hurt a server.
type Row struct {
	Number string
	Name   string
	Checks []Check

	// Together has the checks run at the same time: those that mostly wait.
	Together bool
}

// Check is one attack of a row.
type Check struct {
	Request string // in short, for people

	// Run attacks and gives the answer in short. The error says in what way it is not
	// the one that it must be.
	Run func(ctx context.Context, a *Attack) (answer string, err error)

	// Once is of a check that waits long or changes something: it does not run again
	// and again to have more healthy answers beside it.
	Once bool
}

// Scale is how much of each attack there is.
type Scale struct {
	Documents   int // distinct ones, sent to fill a cache
	Large       int // of them, of some 200 kB each
	Sockets     int // opened by one caller
	Silent      int // opened by nobody in particular, who never says who it is
	Operations  int // begun on one of them
	Messages    int // sent on one of them
	Slow        int // connections that send a byte a second
	Pairs       int // of questions whose times are compared
	Healthy     int // answers beside each row, at least
	Quiet       int // answers that nothing stands beside, to compare with
	Patience    int // by how much the bounds on time are stretched
	LatencyOver int // times the quiet p99 that the p99 beside a row may be
	Floor       time.Duration
	Memory      int64 // bytes resident, at most
}

// Full is what `make redteam` does.
func Full() Scale {
	return Scale{
		Documents: 100_000, Large: 2_000, Sockets: 1_000, Silent: 1_000, Operations: 1_000, Messages: 10_000, Slow: 500, Pairs: 400,
		Healthy: 300, Quiet: 1_500, Patience: 1, LatencyOver: 3, Floor: 5 * time.Millisecond, Memory: 256 << 20,
	}
}

// Quick is what a test does: the same rows with less of each, and bounds on time that
// a machine with much else to do keeps.
func Quick() Scale {
	return Scale{
		Documents: 3_000, Large: 400, Sockets: 520, Silent: 40, Operations: 200, Messages: 1_000, Slow: 50, Pairs: 60,
		Healthy: 10, Quiet: 50, Patience: 40, LatencyOver: 50, Floor: 2 * time.Second, Memory: 256 << 20,
	}
}

// Rows are all of them, in the order in which they run.
func Rows() []Row {
	return slices.Concat(documentRows(), requestRows(), secretRows(), valueRows(), floodRows(), identityRows(), tenantRows(), persistedRows(), socketRows())
}
