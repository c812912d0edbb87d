package authority_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// A small delivery leaves the session's plans and tables as the next one takes them.
// What is much, whatever it came from, is planned with statistics.
func TestSmallSyncsKeepTheirPlans(t *testing.T) {
	t.Parallel()
	b := setup(t)
	anew := func(request authority.SyncRequest, facts ...record.Fact) (statements []string, report *authority.SyncReport) {
		b.advance(time.Hour)
		request.ObservedAt = time.UnixMicro(b.clock.Load()).UTC()
		b.Statements.Reset()
		report = b.sync(t, request, facts...)
		for _, name := range b.Statements.Sent() {
			if _, statement, _ := strings.Cut(name, "."); strings.HasPrefix(statement, "analyze_") || strings.HasPrefix(statement, "create_") || statement == "forget_work" {
				statements = append(statements, name)
			}
		}
		return statements, report
	}
	few := func(action string) []record.Fact {
		return []record.Fact{workload("w"), identity("i"), role("r"), resource("d", "restricted"), runsAs("w", "i"), hasRole("i", "r", "*"), grants("r", "*", "d", action)}
	}
	anew(authority.SyncRequest{Source: "few"}, few("get")...)
	statements, report := anew(authority.SyncRequest{Source: "few"}, few("list")...)
	require.Equal(t, 1, report.Paths.Changed)
	require.Empty(t, statements)

	// 200 identities that hold one role, and a workload each.
	var many []record.Fact
	for n := range 200 {
		w, i := fmt.Sprintf("w%d", n), fmt.Sprintf("i%d", n)
		many = append(many, workload(w), identity(i), runsAs(w, i), hasRole(i, "r", "*"))
	}
	many = append(many, role("r"), resource("d0", "restricted"), resource("d1", "restricted"), resource("d2", "restricted"),
		grants("r", "*", "d0", "get"), grants("r", "*", "d1", "get"), grants("r", "*", "d2", "get"))
	statements, report = anew(authority.SyncRequest{Source: "many"}, many...)
	require.Equal(t, 803, report.Paths.Added, "with what each source says of the role of the other")
	require.Contains(t, statements, "authority.analyze_work")
	require.Contains(t, statements, "authority.analyze_stage")

	statements, report = anew(authority.SyncRequest{Source: "few"}, few("delete")...)
	require.Equal(t, 201, report.Paths.Changed)
	require.Contains(t, statements, "authority.analyze_work", "one role touches all that hold it")
	require.NotContains(t, statements, "authority.analyze_stage")

	anew(authority.SyncRequest{Source: "other"}, workload("v"))
	statements, _ = anew(authority.SyncRequest{Source: "other"}, workload("u"))
	require.Empty(t, statements, "what was much is forgotten")

	statements, report = anew(authority.SyncRequest{Source: "many"}, workload("w0"))
	require.Equal(t, 803, report.Paths.Removed)
	require.Contains(t, statements, "authority.analyze_work", "few records take back all that the source said")
	require.Contains(t, statements, "authority.analyze_diff")
	require.NotContains(t, statements, "authority.analyze_stage")
}
