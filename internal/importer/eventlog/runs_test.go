package eventlog

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/record/recordtest"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

func TestRuns(t *testing.T) {
	t.Parallel()
	a := record.Ref{Kind: record.Identity, SourceID: "a"}
	b := record.Ref{Kind: record.Identity, System: "s", SourceID: "b"}
	w := record.Ref{Kind: record.Workload, SourceID: "w"}
	day := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	line := func(n int) record.Position { return record.Position{File: "f", Line: n} }
	var runs Runs
	add := func(run Run, at time.Time, n int) {
		runs.Note(at)
		require.NoError(t, runs.Add(run, at, line(n)))
	}
	add(Run{Identity: b, Action: "get"}, day.Add(time.Hour), 1)
	add(Run{Identity: a, Action: "get"}, day.Add(23*time.Hour), 2)
	add(Run{Identity: a, Action: "get"}, day.Add(3*time.Hour), 3) // logs need not be in order
	add(Run{Identity: a, Action: "get"}, day.Add(24*time.Hour), 4)
	add(Run{Identity: a, Action: "get", Related: true}, day.Add(4*time.Hour), 5)
	add(Run{Identity: a, Workload: w, Action: "get"}, day.Add(-time.Nanosecond), 6)

	var got recordtest.Collector
	require.NoError(t, runs.Emit(&got))
	first, last := day.Add(-time.Nanosecond), day.Add(24*time.Hour)
	want := []record.Record{
		{Position: line(2), Fact: record.Evidence{Identity: &a, Action: "get", Day: day, LastAt: day.Add(23 * time.Hour), Count: 2}},
		{Position: line(5), Fact: record.Evidence{Identity: &a, Action: "get", Day: day, LastAt: day.Add(4 * time.Hour), Count: 1, Related: true}},
		{Position: line(4), Fact: record.Evidence{Identity: &a, Action: "get", Day: last, LastAt: last, Count: 1}},
		{Position: line(6), Fact: record.Evidence{Workload: &w, Identity: &a, Action: "get", Day: day.AddDate(0, 0, -1), LastAt: first, Count: 1}},
		{Position: line(1), Fact: record.Evidence{Identity: &b, Action: "get", Day: day, LastAt: day.Add(time.Hour), Count: 1}},
		{Position: line(2), Fact: record.Coverage{Kind: record.Execution, Entity: &a, Partial: true, From: first, To: last}},
		{Position: line(1), Fact: record.Coverage{Kind: record.Execution, Entity: &b, Partial: true, From: first, To: last}},
		{Position: line(6), Fact: record.Coverage{Kind: record.Execution, Entity: &w, Partial: true, From: first, To: last}},
	}
	require.Equal(t, want, got.Records)
}

func TestIDsAreBounded(t *testing.T) {
	t.Parallel()
	runs := Runs{Prefix: "LOG", maxIDs: 2}
	for _, test := range []struct {
		id   string
		want bool
	}{{"a", true}, {"b", true}, {"a", false}} {
		got, err := runs.New(test.id, record.Position{})
		require.NoError(t, err)
		require.Equal(t, test.want, got)
	}
	_, err := runs.New("c", record.Position{File: "f", Line: 7})
	var fault *problem.Error
	require.ErrorAs(t, err, &fault)
	require.Equal(t, "LOG_TOO_LARGE", fault.Code)
	require.Equal(t, 7, fault.Line)
}
