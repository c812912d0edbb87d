package audit

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Whoever guesses must not fill the log. So the rows that refusals take in a minute are
// bounded, and so is what is remembered of them: maxSingleRows, and of what is beyond
// that maxCounted accounts with maxRefusalLogs rows each and two more.
const (
	maxSingles     = 5  // refusals of an account that are told one by one
	maxSingleRows  = 60 // rows of all that are told one by one
	maxCounted     = 10 // accounts that are counted apart
	maxRefusalLogs = 10 // organizations in whose logs one refusal stands
)

// refusalTick is how often it is looked whether a minute is over.
const refusalTick = time.Second

// The subjects of refusals that are nobody's alone.
const (
	Unknown = "unknown" // no account that there is: a name may be a secret that was pasted into the wrong field
	Several = "several" // accounts beyond those that are counted apart
)

// Refusal is that the issuer of tokens refused something.
type Refusal struct {
	Account       string   // empty: none that there is
	Organizations []string // slugs that the account is for; none: all
	Code          string   // of the error; of those that the program has
	Endpoint      string   // where it was asked for: token or revoke
	RequestID     string
}

// Refusals keeps what the issuer of tokens refused. It is written by Run and never on
// the way of an answer, which must not tell by its time whether there is an account. It
// is safe for concurrent use.
type Refusals struct {
	log   *Log
	total atomic.Int64
	wake  chan struct{}

	mu      sync.Mutex
	minute  time.Time
	rows    int               // told one by one in this minute
	tallies map[string]*tally // by account
	unknown *tally
	several *tally
	pending []TokenEvent // to be written
}

// tally is what a minute had of an account.
type tally struct {
	account       string
	subject       string
	organizations []string
	singles       int
	rest          int64 // that are not told one by one
	codes         map[string]int64
	since, until  time.Time // of the rest
}

// Refusals makes what writes refusals to the log.
func (l *Log) Refusals() *Refusals {
	r := &Refusals{log: l, wake: make(chan struct{}, 1)}
	r.reset()
	return r
}

// Total counts the refusals that were noted.
func (r *Refusals) Total() int64 { return r.total.Load() }

// Note keeps a refusal. It waits for nothing and does the same for all accounts.
func (r *Refusals) Note(refusal Refusal) {
	r.total.Add(1)
	logs := refusal.Organizations
	if len(logs) > maxRefusalLogs {
		logs = nil // the server's
	}
	now := r.log.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn(now)
	c := r.tallyOf(refusal.Account, logs)
	if rows := max(len(logs), 1); c.singles < maxSingles && r.rows+rows <= maxSingleRows {
		c.singles++
		r.rows += rows
		r.pending = append(r.pending, refusal.event(logs))
		select {
		case r.wake <- struct{}{}:
		default: // it is awake already
		}
		return
	}
	c.add(refusal.Code, now)
}

func (r *Refusals) tallyOf(account string, logs []string) *tally {
	c, known := r.tallies[account]
	switch {
	case account == "":
		return r.unknown
	case known:
		return c
	case len(r.tallies) >= maxCounted:
		return r.several
	}
	c = &tally{account: account, subject: account, organizations: logs, codes: map[string]int64{}}
	r.tallies[account] = c
	return c
}

func (c *tally) add(code string, at time.Time) {
	if c.rest == 0 {
		c.since = at
	}
	c.rest++
	c.until = at
	c.codes[code]++
}

// turn begins a minute where another is over. While something waits to be written none
// begins, so that a database that is slow has no more wait.
func (r *Refusals) turn(now time.Time) {
	if minute := now.Truncate(time.Minute); !minute.Equal(r.minute) && len(r.pending) == 0 {
		r.end()
		r.minute = minute
	}
}

// end has what was only counted written.
func (r *Refusals) end() {
	for _, account := range slices.Sorted(maps.Keys(r.tallies)) {
		r.sum(r.tallies[account])
	}
	r.sum(r.unknown)
	r.sum(r.several)
	r.reset()
}

func (r *Refusals) reset() {
	r.rows, r.tallies = 0, map[string]*tally{}
	r.unknown = &tally{subject: Unknown, codes: map[string]int64{}}
	r.several = &tally{subject: Several, codes: map[string]int64{}}
}

func (r *Refusals) sum(c *tally) {
	if c.rest > 0 {
		r.pending = append(r.pending, c.event())
	}
}

func (r *Refusal) event(logs []string) TokenEvent {
	event := refused(r.Account, Unknown, logs)
	event.Outcome, event.RequestID = r.Code, r.RequestID
	event.Properties = append(event.Properties, Property{"endpoint", r.Endpoint})
	return event
}

func (c *tally) event() TokenEvent {
	event := refused(c.account, c.subject, c.organizations)
	event.Outcome = Refused
	event.Properties = append(event.Properties, Property{"refusals", strconv.FormatInt(c.rest, 10)},
		Property{"since", c.since.UTC().Format(time.RFC3339)}, Property{"until", c.until.UTC().Format(time.RFC3339)})
	for _, code := range slices.Sorted(maps.Keys(c.codes)) {
		event.Properties = append(event.Properties, Property{code, strconv.FormatInt(c.codes[code], 10)})
	}
	return event
}

// refused is what entries of one refusal and of many have in common. Only an account
// that there is has the property, whatever it is called.
func refused(account, nobody string, logs []string) TokenEvent {
	event := TokenEvent{Subject: nobody, Action: TokenRefused, Door: Issuer, Organizations: logs}
	if account != "" {
		event.Subject, event.Properties = account, []Property{{"delegation.service_account", account}}
	}
	return event
}

// Run writes until the context ends, and then what is left.
func (r *Refusals) Run(ctx context.Context) {
	ticker := time.NewTicker(refusalTick)
	defer ticker.Stop()
	for {
		select {
		case <-r.wake:
		case <-ticker.C:
		case <-ctx.Done():
			r.flush(ctx)
			return
		}
		r.write(ctx)
	}
}

// write writes what waits.
func (r *Refusals) write(ctx context.Context) {
	for _, event := range r.take(func() { r.turn(r.log.now()) }) {
		r.log.Token(ctx, event)
	}
}

// flush writes all that there is. After an entry that could not be written the others go
// to the server's log at once: a database that is gone must not hold up the end.
func (r *Refusals) flush(ctx context.Context) {
	var gone error
	put := func(ctx context.Context, entry *Entry) (found bool, err error) {
		if gone == nil {
			found, gone = r.log.store(ctx, entry)
		}
		return found, gone
	}
	for _, event := range r.take(r.end) {
		r.log.token(ctx, event, put)
	}
}

// take gives what waits, after something was done with the lock held.
func (r *Refusals) take(first func()) (events []TokenEvent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first()
	events, r.pending = r.pending, nil
	return events
}
