package redteam

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// pause lies between two questions of the healthy client, which is no load itself.
const pause = 2 * time.Millisecond

const healthyQuery = `{ organization(slug: "acme") { authorityPaths(first: 1) { totalCount nodes { workload { sourceId } destination { name } } } } }`

// meter is a client that asks a small question again and again, and wants the same
// answer each time.
type meter struct {
	client *client
	want   string

	mu    sync.Mutex
	took  []time.Duration
	wrong []string
}

// newMeter asks once: what is answered now is what is wanted from here on.
func newMeter(ctx context.Context, c *client) (*meter, error) {
	m := &meter{client: c}
	answer, err := c.ask(ctx, healthyQuery)
	if err != nil {
		return nil, err
	}
	if answer.status != http.StatusOK || len(answer.codes()) > 0 || !answer.hasData() {
		return nil, fmt.Errorf("the healthy client is answered %s: %.300s", answer, answer.body)
	}
	m.want = string(answer.body)
	return m, nil
}

// run asks until the context ends.
func (m *meter) run(ctx context.Context) {
	for ctx.Err() == nil {
		answer, err := m.client.ask(ctx, healthyQuery)
		if ctx.Err() != nil {
			return
		}
		m.note(answer, err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

func (m *meter) note(answer *answer, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case err != nil:
		m.wrong = append(m.wrong, err.Error())
	case string(answer.body) != m.want:
		m.wrong = append(m.wrong, fmt.Sprintf("%s: %.300s", answer, answer.body))
	default:
		m.took = append(m.took, answer.took)
	}
}

// answered counts the right answers since the last reading.
func (m *meter) answered() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.took) + len(m.wrong)
}

// reading is what the healthy client saw for a while.
type reading struct {
	answers  int
	p50, p99 time.Duration
	wrong    []string
}

// read gives what was seen since the last time.
func (m *meter) read() reading {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := reading{answers: len(m.took), wrong: m.wrong}
	if len(m.took) > 0 {
		slices.Sort(m.took)
		r.p50, r.p99 = m.took[len(m.took)/2], m.took[len(m.took)*99/100]
	}
	m.took, m.wrong = nil, nil
	return r
}

// await waits until there were so many answers since the last reading.
func (m *meter) await(ctx context.Context, count int) error {
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for m.answered() < count {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("the healthy client has had %d of %d answers: %w", m.answered(), count, context.Cause(ctx))
		}
	}
	return nil
}
