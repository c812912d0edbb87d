package redteam

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	startTime = 3 * time.Minute  // for a server to start, and to take the data
	rowTime   = 10 * time.Minute // for one row, whose checks have bounds of their own
	rounds    = 400              // of a row, for the healthy answers beside it
	tries     = 4                // of a row beside which the healthy client waited
)

// Outcome is what became of a check.
type Outcome struct {
	Request, Answer string
	Err             error
}

// Result is what became of a row.
type Result struct {
	Row      Row
	Outcomes []Outcome
	Reading  Reading
	Memory   int64 // peak, in bytes
	Err      error // of the healthy client, the memory or the process
}

// Reading is what the healthy client saw beside a row.
type Reading struct {
	Answers  int
	P50, P99 time.Duration
	Ratio    float64 // of the p99 to the quiet one
}

// Passed says whether all of a row is as it must be.
func (r *Result) Passed() bool {
	for _, o := range r.Outcomes {
		if o.Err != nil {
			return false
		}
	}
	return r.Err == nil
}

// Report is what became of all rows.
type Report struct {
	Scale   Scale
	Quiet   Reading
	Results []*Result
	Memory  int64 // peak of all, in bytes
	Worst   float64
	Ended   error // of the server, when it was told to
}

// Passed says whether all is as it must be.
func (r *Report) Passed() bool {
	for _, row := range r.Results {
		if !row.Passed() {
			return false
		}
	}
	return r.Ended == nil
}

// Run attacks a server on the database with the rows, and tells of each as soon as it
// is known. Rows that fail are no error.
func Run(ctx context.Context, database Database, rows []Row, scale Scale, out io.Writer) (report *Report, err error) {
	starting, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	a, err := stage(starting, database, scale)
	if err != nil {
		return nil, err
	}
	report = &Report{Scale: scale}
	p := printer{out}
	func() {
		defer func() { report.Ended = a.close(context.WithoutCancel(ctx)) }()
		err = a.attack(ctx, rows, report, p)
	}()
	if err != nil {
		return report, err
	}
	p.verdict(report)
	return report, nil
}

func (a *Attack) attack(ctx context.Context, rows []Row, report *Report, p printer) error {
	healthy, err := a.somebody(ctx, "healthy", 12*time.Hour, acme)
	if err != nil {
		return err
	}
	m, err := newMeter(ctx, healthy)
	if err != nil {
		return err
	}
	asking, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { m.run(asking) })
	defer running.Wait()
	defer stop()

	if _, err := a.quietly(ctx, m, a.Quiet/4); err != nil { // the first ones meet empty caches
		return err
	}
	quiet, err := a.quietly(ctx, m, a.Quiet)
	if err != nil {
		return err
	}
	report.Quiet = Reading{quiet.answers, quiet.p50, quiet.p99, 1}
	p.begin(report)
	for _, row := range rows {
		result := a.row(ctx, row, m, report.Quiet.P99)
		report.Results = append(report.Results, result)
		report.Memory = max(report.Memory, result.Memory)
		report.Worst = max(report.Worst, result.Reading.Ratio)
		p.row(result)
		if ctx.Err() != nil || a.victim.alive() != nil {
			break // what follows would say nothing
		}
	}
	return ctx.Err()
}

// quietly is what the healthy client sees while nobody else asks.
func (a *Attack) quietly(ctx context.Context, m *meter, answers int) (reading, error) {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	m.read()
	if err := m.await(ctx, answers); err != nil {
		return reading{}, err
	}
	r := m.read()
	if len(r.wrong) > 0 {
		return r, fmt.Errorf("nobody attacks, and the healthy client is answered: %s", r.wrong[0])
	}
	return r, nil
}

// row attacks until there are enough healthy answers beside it. If the healthy client
// had to wait, that is compared with what it sees at this time while nobody attacks, a
// few times: another program on the machine may be the reason, but an attack that delays
// others does so each time.
func (a *Attack) row(ctx context.Context, row Row, m *meter, quiet time.Duration) *Result {
	ctx, cancel := context.WithTimeout(ctx, rowTime)
	defer cancel()
	result := &Result{Row: row}
	a.victim.most()
	late := error(nil)
	for attempt := range tries {
		beside := quiet
		if attempt > 0 {
			now, err := a.quietly(ctx, m, a.Healthy)
			if err != nil {
				result.Err = err
				break
			}
			beside = max(quiet, now.p99)
		}
		late = a.once(ctx, row, m, beside, result, attempt == 0)
		if late == nil || !result.Passed() {
			break
		}
	}
	if err := a.victim.alive(); err != nil {
		result.Err = err
	}
	if result.Err == nil {
		result.Err = late
	}
	if result.Err == nil && result.Memory > a.Memory {
		result.Err = fmt.Errorf("the server holds %d MiB, and may hold %d", result.Memory>>20, a.Memory>>20)
	}
	return result
}

// once attacks once, or until there are enough healthy answers, and says if they came
// too late.
func (a *Attack) once(ctx context.Context, row Row, m *meter, quiet time.Duration, result *Result, first bool) error {
	m.read()
	a.round(ctx, row, result, true)
	for i := 0; i < rounds && m.answered() < a.Healthy && result.Passed() && again(row); i++ {
		a.round(ctx, row, result, false)
	}
	if err := m.await(ctx, a.Healthy); err != nil { // of a row that does not run again
		return err
	}
	r := m.read()
	result.Memory = max(result.Memory, a.victim.most())
	if len(r.wrong) > 0 {
		result.Err = fmt.Errorf("the healthy client was answered %d times otherwise, first: %s", len(r.wrong), r.wrong[0])
	}
	if ratio := float64(r.p99) / float64(quiet); first || ratio < result.Reading.Ratio {
		result.Reading = Reading{r.answers, r.p50, r.p99, ratio}
	}
	if bound := a.bound(quiet); r.p99 > bound {
		return fmt.Errorf("the p99 of the healthy client is %s, and may be %s", short(r.p99), short(bound))
	}
	return nil
}

// bound is what the p99 beside a row may be.
func (s Scale) bound(quiet time.Duration) time.Duration {
	return max(quiet*time.Duration(s.LatencyOver), quiet+s.Floor)
}

// again says whether anything of the row runs a second time.
func again(row Row) bool {
	for _, check := range row.Checks {
		if !check.Once {
			return true
		}
	}
	return false
}

// round runs the checks, all of them or those that may run again and again. An outcome
// that failed stays.
func (a *Attack) round(ctx context.Context, row Row, result *Result, all bool) {
	if result.Outcomes == nil {
		result.Outcomes = make([]Outcome, len(row.Checks))
	}
	var running sync.WaitGroup
	defer running.Wait()
	for i, check := range row.Checks {
		if !all && check.Once {
			continue
		}
		run := func() {
			answer, err := check.Run(ctx, a)
			if dead := a.victim.alive(); dead != nil {
				err = dead
			}
			if o := &result.Outcomes[i]; o.Err == nil {
				*o = Outcome{check.Request, answer, err}
			}
		}
		if row.Together {
			running.Go(run)
			continue
		}
		run()
		if errors.Is(ctx.Err(), context.Canceled) {
			return
		}
	}
}
