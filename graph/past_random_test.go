package graph_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// histories is how many TestHistoryOfAnswers lives through in a round; of them rapid
// plays one in five under -short.
const histories = 5

func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", strconv.Itoa(histories)); err != nil {
		panic(err)
	}
	dbtest.Main(m)
}

// rounds of histories. EXPOSUREGRAPH_SOAK is the least number of histories.
func rounds(t *testing.T) int {
	t.Helper()
	soak := os.Getenv("EXPOSUREGRAPH_SOAK")
	if soak == "" {
		return 1
	}
	n, err := strconv.Atoi(soak)
	require.NoError(t, err, "EXPOSUREGRAPH_SOAK is a number of histories")
	return (n + histories - 1) / histories
}

// TestHistoryOfAnswers lives through random histories of two sources, people who
// decide, and time that goes by, and keeps what the server answers in between: of
// each moment some of the documents. At the end of a history each answer is asked for
// again, as of its moment, and the bytes are the same.
func TestHistoryOfAnswers(t *testing.T) {
	t.Parallel()
	p := newTape(t)
	lived, asked, changed := 0, 0, map[string]bool{}
	for range rounds(t) {
		rapid.Check(t, func(rt *rapid.T) {
			lived++
			p.begin(t, fmt.Sprintf("history-%d", lived))
			l := &life{tape: p}
			l.deliver(rt, l.inventory(), smallEstate().facts(), nil)
			l.remember(rt, "first")
			for range rapid.IntRange(4, 12).Draw(rt, "steps") {
				l.step(rt)
			}
			asked += l.compare(rt, changed)
		})
	}
	t.Logf("%d histories, %d answers asked for again, steps after which one differs: %v", lived, asked, slices.Sorted(maps.Keys(changed)))
	require.Positive(t, asked)
	require.True(t, testing.Short() || len(changed) > 0, "answers that never change prove nothing")
}

// life is a history on its way.
type life struct {
	*tape
	said []record.Fact // by the inventory, last
}

func (l *life) inventory() authority.SyncRequest {
	return authority.SyncRequest{Source: "inventory", System: "snapshot"}
}

// estate is what the inventory says next: what it said first, with some changes.
func (l *life) estate(rt *rapid.T) []record.Fact {
	e := smallEstate()
	for _, edit := range rapid.SliceOfNDistinct(rapid.SampledFrom(edits), 0, 4, func(e edit) string { return e.name }).Draw(rt, "edits") {
		edit.do(e)
	}
	l.said = e.facts()
	return l.said
}

func (l *life) step(rt *rapid.T) {
	l.clock.Add(int64(time.Duration(rapid.IntRange(0, 40*24).Draw(rt, "hours")) * time.Hour))
	step := rapid.SampledFrom([]string{"delivery", "delivery", "delivery", "second", "decision", "decision", "time", "meanwhile", "again", "late", "partial", "gone"}).Draw(rt, "step")
	request := l.inventory()
	switch step {
	case "delivery":
		l.deliver(rt, request, l.estate(rt), nil)
	case "second":
		second := authority.SyncRequest{Source: "cmdb", System: "snapshot"}
		l.deliver(rt, second, cmdb(rapid.SampledFrom([]string{"payments", "platform", ""}).Draw(rt, "team")), nil)
	case "decision":
		l.judge(rt)
	case "time":
		_, err := l.paths.Reevaluate(access.With(context.Background(), root), id.Organization(l.slug), authority.ByTime, nil)
		require.NoError(rt, err)
	case "meanwhile":
		l.deliver(rt, request, l.estate(rt), func() {
			l.judge(rt)
			l.remember(rt, "decision")
		})
	case "again":
		l.deliver(rt, request, l.said, nil)
	case "late":
		request.ObservedAt = epoch.Add(time.Minute)
		l.deliver(rt, request, nil, nil)
	case "partial":
		request.Partial = true
		facts := l.estate(rt)
		l.deliver(rt, request, facts[:rapid.IntRange(0, len(facts)).Draw(rt, "facts")], nil)
	case "gone":
		l.deliver(rt, request, []record.Fact{}, nil)
		l.said = nil
	}
	l.remember(rt, step)
}

// remember keeps the answers to one document of five, to others each time.
func (l *life) remember(rt *rapid.T, step string) {
	which := rapid.IntRange(0, 4).Draw(rt, "documents")
	l.takeOf(rt, step, func(document int) bool { return document%5 == which })
}

// compare asks for everything again, and notes after which steps answers differ.
func (l *life) compare(rt *rapid.T, changed map[string]bool) (asked int) {
	end := rapid.Bool().Draw(rt, "end")
	last := make([]string, len(l.documents))
	for i, one := range l.takes {
		for n, answer := range one.answers {
			if answer == "" {
				continue
			}
			asked++
			require.Equal(rt, answer, l.again(rt, n, i, end), "%s, %s, as of %s: %s", l.slug, one.step, one.instant, l.documents[n])
			if last[n] != "" && last[n] != answer {
				changed[one.step] = true
			}
			last[n] = answer
		}
	}
	return asked
}
