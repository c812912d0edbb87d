package redteam

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestVerdict: whatever fails, the row and all of it do, and say so.
func TestVerdict(t *testing.T) {
	t.Parallel()
	good := func() *Report {
		return &Report{Scale: Full(), Results: []*Result{
			{Row: Row{Number: "1", Name: "one"}, Outcomes: []Outcome{{Request: "a", Answer: "400"}}},
			{Row: Row{Number: "2", Name: "two"}, Outcomes: []Outcome{{Request: "b", Answer: "413"}, {Request: "c", Answer: "200"}}},
		}}
	}
	require.True(t, good().Passed())
	fault := errors.New("a fault")
	for name, spoil := range map[string]func(*Report){
		"a check":            func(r *Report) { r.Results[1].Outcomes[1].Err = fault },
		"the healthy client": func(r *Report) { r.Results[1].Err = fault },
	} {
		report := good()
		spoil(report)
		require.False(t, report.Passed(), name)
		var out bytes.Buffer
		p := printer{&out}
		for _, result := range report.Results {
			p.row(result)
		}
		p.verdict(report)
		require.Contains(t, out.String(), "! a fault", name)
		require.Contains(t, out.String(), "1 rows pass, FAIL: 2", name)
	}
	report := good()
	report.Ended = fault
	require.False(t, report.Passed())
}

func TestBoundOfLatency(t *testing.T) {
	t.Parallel()
	s := Scale{LatencyOver: 3, Floor: 5 * time.Millisecond}
	require.Equal(t, 6*time.Millisecond, s.bound(time.Millisecond))
	require.Equal(t, 30*time.Millisecond, s.bound(10*time.Millisecond))
}

// TestWantsAreNotMetByAnything: a check that nothing fails shows nothing.
func TestWantsAreNotMetByAnything(t *testing.T) {
	t.Parallel()
	refusal := &answer{status: 400, body: []byte(`{"errors":[{"message":"too many","extensions":{"code":"LIMIT_ALIASES"}}]}`)}
	data := &answer{status: 200, body: []byte(`{"data":{"viewer":{"subject":"x"}}}`)}
	fault := &answer{status: 200, body: []byte(`{"errors":[{"message":"panic: no rule","extensions":{"code":"INTERNAL"}}],"data":null}`)}
	require.NoError(t, is(400, "LIMIT_ALIASES")(refusal))
	require.Error(t, is(422, "LIMIT_ALIASES")(refusal))
	require.Error(t, is(400, "LIMIT_DEPTH")(refusal))
	require.Error(t, is(200, "")(data))
	require.NoError(t, noData(refusal))
	require.Error(t, noData(data))
	require.NoError(t, noFault(refusal))
	require.Error(t, noFault(fault))
	require.Error(t, discreet(fault))
	require.Error(t, discreet(data))
	require.NoError(t, discreet(refusal))
	require.Error(t, begins("LIMIT_DEPTH")(refusal))
	require.Error(t, without("subject")(data))
	require.Error(t, below(10)(data))
	require.Error(t, refusedAs(400, 413)(data))
}
