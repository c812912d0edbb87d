package audit_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/audit"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

func refusal(account string, organizations ...string) audit.Refusal {
	return audit.Refusal{Account: account, Organizations: organizations, Code: "CLIENT_CREDENTIALS", Endpoint: "token", RequestID: "r1"}
}

// stop ends what writes refusals in its order, in which it writes what is left.
func stop(r *audit.Refusals) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	r.Run(ended)
}

// refusals are the rows of both logs, and how many refusals they tell of by subject.
func (d *desk) refusals(t testing.TB) (rows int, told map[string]int) {
	t.Helper()
	const of = ` SELECT subject, CASE outcome WHEN 'REFUSED' THEN property_values[array_position(property_names, 'refusals')]::int ELSE 1 END AS refusals FROM audit_`
	result, err := d.Super(t).Query(t.Context(), `SELECT subject, sum(refusals)::int AS refusals, count(*)::int AS rows FROM (`+
		of+`entry WHERE action = 'token.refused' UNION ALL`+of+`shared_entry WHERE action = 'token.refused') AS r GROUP BY subject`)
	require.NoError(t, err)
	list, err := pgx.CollectRows(result, pgx.RowToStructByName[struct {
		Subject        string
		Refusals, Rows int
	}])
	require.NoError(t, err)
	told = map[string]int{}
	for _, one := range list {
		rows += one.Rows
		told[one.Subject] = one.Refusals
	}
	return rows, told
}

// TestRefusalsOneByOne: in the log of the account's organizations, with the account; of
// nobody, of all organizations and of too many of them in the server's.
func TestRefusalsOneByOne(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	r := d.log.Refusals()
	many := make([]string, 11)
	for i := range many {
		many[i] = fmt.Sprint("acme", i)
	}
	many[0] = "acme"
	for _, one := range []audit.Refusal{refusal("ci", "acme"), refusal("both", "acme", "rival"), refusal(""), refusal("root"), refusal("many", many...), refusal("unknown", "rival")} {
		r.Note(one)
	}
	require.Empty(t, d.entries(t, acme, audit.Filter{}), "nothing is written on the way of an answer")
	r.Write(t.Context())
	told := func(list []*audit.Entry) (all []string) {
		for _, e := range list {
			require.Equal(t, []any{audit.TokenRefused, audit.Issuer, "r1", epoch}, []any{e.Action, e.Door, e.RequestID, e.At})
			all = append(all, fmt.Sprint(e.Subject, " ", e.Outcome, " ", e.Properties))
		}
		return all
	}
	require.ElementsMatch(t, []string{
		"ci CLIENT_CREDENTIALS [{delegation.service_account ci} {endpoint token}]", "both CLIENT_CREDENTIALS [{delegation.service_account both} {endpoint token}]",
	}, told(d.entries(t, acme, audit.Filter{})))
	require.ElementsMatch(t, []string{
		"both CLIENT_CREDENTIALS [{delegation.service_account both} {endpoint token}]", "unknown CLIENT_CREDENTIALS [{delegation.service_account unknown} {endpoint token}]",
	}, told(d.entries(t, rival, audit.Filter{})), "an account may be called so")
	require.ElementsMatch(t, []string{
		"unknown CLIENT_CREDENTIALS [{endpoint token}]", "root CLIENT_CREDENTIALS [{delegation.service_account root} {endpoint token}]",
		"many CLIENT_CREDENTIALS [{delegation.service_account many} {endpoint token}]",
	}, told(d.shared(t)))
}

// TestFloodOfRefusals: what a minute may write is bounded, and the counts are whole.
func TestFloodOfRefusals(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	r := d.log.Refusals()
	flood := func() {
		for n := range 1000 {
			one := refusal("ci", "acme")
			if n%10 == 9 {
				one.Code = "LIMIT_CLIENT_ATTEMPTS"
			}
			r.Note(one)
			r.Note(refusal(""))
			if n%100 == 0 {
				r.Write(t.Context())
			}
		}
	}
	flood()
	rows, _ := d.refusals(t)
	require.Equal(t, 10, rows, "five of each")
	d.clock.Store(61)
	r.Write(t.Context())
	rows, told := d.refusals(t)
	require.Equal(t, 12, rows)
	require.Equal(t, map[string]int{"ci": 1000, "unknown": 1000}, told)
	sums := d.entries(t, acme, audit.Filter{Outcomes: []string{audit.Refused}})
	require.Len(t, sums, 1)
	require.Equal(t, []audit.Property{{Name: "delegation.service_account", Value: "ci"}, {Name: "refusals", Value: "995"},
		{Name: "since", Value: "2026-03-01T12:00:00Z"}, {Name: "until", Value: "2026-03-01T12:00:00Z"},
		{Name: "CLIENT_CREDENTIALS", Value: "895"}, {Name: "LIMIT_CLIENT_ATTEMPTS", Value: "100"}}, sums[0].Properties)
	require.Equal(t, []any{"", epoch.Unix() + 61}, []any{sums[0].RequestID, sums[0].At.Unix()})

	// The next minute has rows of its own; its sums come with the first of another.
	flood()
	d.clock.Store(122)
	r.Note(refusal("ci", "acme"))
	r.Write(t.Context())
	rows, told = d.refusals(t)
	require.Equal(t, 25, rows)
	require.Equal(t, map[string]int{"ci": 2001, "unknown": 2000}, told)
	require.EqualValues(t, 4001, r.Total())
}

// TestFloodOfAccounts: whoever knows many accounts fills no log either. What is
// remembered stays as small when nothing can be written for an hour.
func TestFloodOfAccounts(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	r := d.log.Refusals()
	total := 0
	for minute := range 60 {
		d.clock.Store(int64(60 * minute))
		for account := range 200 {
			for range 10 {
				r.Note(refusal(fmt.Sprint("a", account), "acme"))
				total++
			}
			r.Note(refusal(""))
			total++
		}
		pending, accounts := r.Held()
		require.LessOrEqual(t, pending, 72)
		require.LessOrEqual(t, accounts, 10)
	}
	stop(r)
	rows, told := d.refusals(t)
	require.LessOrEqual(t, rows, 72)
	sum := 0
	for _, refusals := range told {
		sum += refusals
	}
	require.Equal(t, total, sum)
	require.Positive(t, told[audit.Several])
}

// TestManyOrganizations: an account's rows count as many times as it has logs.
func TestManyOrganizations(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	slugs := make([]string, 10)
	for i := range slugs {
		slugs[i] = fmt.Sprint("org", i)
		d.exec(t, `INSERT INTO organization VALUES ($1, $2, $2, now())`, id.Organization(slugs[i]), slugs[i])
	}
	r := d.log.Refusals()
	for range 5 {
		r.Note(refusal("one", slugs...))
		r.Note(refusal("two", slugs...))
	}
	stop(r)
	rows, told := d.refusals(t)
	require.Equal(t, 60+20, rows, "six refusals one by one and two sums")
	require.Equal(t, map[string]int{"one": 50, "two": 50}, told)
}

// TestRefusalsAtOnce: none is forgotten between those who note and who writes.
func TestRefusalsAtOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	r := d.log.Refusals()
	ctx, cancel := context.WithCancel(t.Context())
	var noting, writing sync.WaitGroup
	writing.Go(func() { r.Run(ctx) })
	for worker := range 8 {
		noting.Go(func() {
			for n := range 500 {
				r.Note(refusal(fmt.Sprint("a", n%3), "acme"))
				if worker == 0 && n%50 == 0 {
					d.clock.Add(30)
				}
			}
		})
	}
	noting.Wait()
	cancel()
	writing.Wait()
	_, told := d.refusals(t)
	require.Equal(t, 4000, told["a0"]+told["a1"]+told["a2"], "%v", told)
}

// TestRefusalsWithoutDatabase: at the end the server's log has what no table takes.
func TestRefusalsWithoutDatabase(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	r := d.log.Refusals()
	for range 100 {
		r.Note(refusal("ci", "acme"))
		r.Note(refusal(""))
	}
	d.Close()
	stop(r)
	require.EqualValues(t, 12, d.log.Failures())
	text := strings.ReplaceAll(d.lines.String(), `\"`, `"`)
	require.Equal(t, 12, strings.Count(text, "the audit log could not be written"))
	require.Contains(t, text, `"delegation.service_account":"ci","refusals":"95"`)
}
