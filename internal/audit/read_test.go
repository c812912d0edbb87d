package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/audit"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/page"
)

// fill has n entries made, a few in each second, by three people.
func (d *desk) fill(t testing.TB, n int) {
	t.Helper()
	actions := []string{"mutation.acknowledgeExposure", "mutation.judgeExposures", "import.nmap", "export.ledger"}
	for i := range n {
		d.clock.Store(int64(i / 3))
		made := event(acme, actions[i%len(actions)])
		if i%5 == 0 {
			made.Outcome = "SCOPE_MISSING"
		}
		made.RequestID = fmt.Sprint(i)
		actor := root
		actor.Subject = []string{"ada", "bob", "eve"}[i%3]
		d.log.Record(as(actor), made)
		made.Organization = rival
		d.log.Record(as(actor), made)
	}
}

// TestPages walks the log forwards and backwards under random filters and page sizes:
// every page is a piece of what the filter leaves of the whole.
func TestPages(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.fill(t, 40)
	all := d.entries(t, acme, audit.Filter{})
	require.Len(t, all, 40)
	require.True(t, slices.IsSortedFunc(all, func(a, b *audit.Entry) int {
		if c := b.At.Compare(a.At); c != 0 {
			return c
		}
		return bytes.Compare(b.ID[:], a.ID[:])
	}), "the latest first")
	maybe := func(values ...string) *rapid.Generator[[]string] {
		return rapid.SliceOfN(rapid.SampledFrom(values), 0, 2)
	}
	rapid.Check(t, func(rt *rapid.T) {
		filter := audit.Filter{
			Actions: maybe("mutation.", "mutation.judge", "import.nmap", "i", "x").Draw(rt, "actions"), Subjects: maybe("ada", "bob", "nobody").Draw(rt, "subjects"),
			Outcomes: maybe("done", "SCOPE_MISSING").Draw(rt, "outcomes"),
		}
		if rapid.Bool().Draw(rt, "bounded") {
			from := rapid.IntRange(0, 15).Draw(rt, "from")
			filter.Since, filter.Until = pointer(epoch.Add(time.Duration(from)*time.Second)), pointer(epoch.Add(time.Duration(from+rapid.IntRange(0, 8).Draw(rt, "for"))*time.Second))
		}
		oneOf := func(list []string, passes func(string) bool) bool {
			return len(list) == 0 || slices.ContainsFunc(list, passes)
		}
		want, got := []*audit.Entry{}, []*audit.Entry{}
		for _, e := range all {
			if oneOf(filter.Actions, func(p string) bool { return strings.HasPrefix(e.Action, p) }) && oneOf(filter.Subjects, func(s string) bool { return s == e.Subject }) &&
				oneOf(filter.Outcomes, func(o string) bool { return o == e.Outcome }) &&
				(filter.Since == nil || !e.At.Before(*filter.Since)) && (filter.Until == nil || e.At.Before(*filter.Until)) {
				want = append(want, e)
			}
		}
		snapshot := d.Snapshot()
		defer snapshot.Close(context.Background())
		var reader audit.Reader
		count, err := reader.Count(as(auditor), snapshot, acme, filter)
		require.NoError(rt, err)
		require.Equal(rt, len(want), count)
		size, backward := rapid.IntRange(1, 9).Draw(rt, "size"), rapid.Bool().Draw(rt, "backward")
		request := page.Request{First: &size}
		if backward {
			request = page.Request{Last: &size}
		}
		for {
			p, err := reader.Entries(as(auditor), snapshot, acme, filter, request)
			require.NoError(rt, err)
			require.LessOrEqual(rt, len(p.Rows), size)
			if backward {
				got = append(slices.Clone(p.Rows), got...)
			} else {
				got = append(got, p.Rows...)
			}
			if backward && !p.HasPrevious || !backward && !p.HasNext {
				break
			}
			if backward {
				request.Before = pointer(p.Cursor(p.Rows[0]))
			} else {
				request.After = pointer(p.Cursor(p.Rows[len(p.Rows)-1]))
			}
		}
		require.Equal(rt, want, got)
	})
}

// TestAccess: the scope is the first thing that is asked for, of every method.
func TestAccess(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.fill(t, 1)
	own := d.entries(t, acme, audit.Filter{})[0]
	admin := access.Actor{Subject: "adm", Role: access.Admin, AllOrganizations: true, Scopes: []access.Scope{access.View}}
	for name, test := range map[string]struct {
		actor                access.Actor
		ofAcme, ofNone, file string
	}{
		"an auditor": {auditor, "", "ADMIN_REQUIRED", ""}, "a member": {operator, "SCOPE_MISSING", "ADMIN_REQUIRED", "SCOPE_MISSING"},
		"a stranger": {stranger, "ORGANIZATION_NOT_FOUND", "ADMIN_REQUIRED", "ORGANIZATION_NOT_FOUND"},
		"root":       {root, "", "", ""}, "an administrator": {admin, "SCOPE_MISSING", "SCOPE_MISSING", "SCOPE_MISSING"},
	} {
		snapshot := d.Snapshot()
		t.Cleanup(func() { snapshot.Close(context.Background()) }) // a pool with an open snapshot does not close
		var reader audit.Reader
		requireCode := func(want string, err error) {
			t.Helper()
			if want == "" {
				require.NoError(t, err, name)
				return
			}
			require.Equal(t, want, code(err), name)
		}
		_, err := reader.Entries(as(test.actor), snapshot, acme, audit.Filter{}, page.Request{})
		requireCode(test.ofAcme, err)
		_, err = reader.Count(as(test.actor), snapshot, acme, audit.Filter{})
		requireCode(test.ofAcme, err)
		_, err = reader.ByID(as(test.actor), snapshot, acme, own.ID)
		requireCode(test.ofAcme, err)
		_, err = reader.Shared(as(test.actor), snapshot, audit.Filter{}, page.Request{})
		requireCode(test.ofNone, err)
		_, err = reader.CountShared(as(test.actor), snapshot, audit.Filter{})
		requireCode(test.ofNone, err)
		_, err = reader.SharedByID(as(test.actor), snapshot, own.ID)
		requireCode(test.ofNone, err)
		_, err = (&audit.Library{DB: d.DB}).Export(as(test.actor), "acme", nil, nil, io.Discard)
		requireCode(test.file, err)
		snapshot.Close(context.Background())
	}
	require.Nil(t, look(t, d, func(s *db.Snapshot) (*audit.Entry, error) {
		return new(audit.Reader).ByID(as(root), s, rival, own.ID)
	}), "an entry of another organization is none")
	_, err := (&audit.Library{DB: d.DB}).Export(as(root), "unborn", nil, nil, io.Discard)
	require.Equal(t, "ORGANIZATION_NOT_FOUND", code(err))
}

func TestFiltersAreChecked(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	snapshot := d.Snapshot()
	defer snapshot.Close(context.Background())
	for want, filter := range map[string]audit.Filter{
		"INTERVAL_EMPTY": {Since: pointer(epoch), Until: pointer(epoch.Add(-1))}, "FILTER_TOO_LARGE": {Subjects: make([]string, 101)},
		"INVALID_TEXT": {Actions: []string{"a\x00"}},
	} {
		_, err := new(audit.Reader).Entries(as(root), snapshot, acme, filter, page.Request{})
		require.Equal(t, want, code(err))
		_, err = new(audit.Reader).CountShared(as(root), snapshot, filter)
		require.Equal(t, want, code(err))
	}
	first, err := new(audit.Reader).Entries(as(root), snapshot, rival, audit.Filter{}, page.Request{})
	require.NoError(t, err)
	cursor := first.Cursor(&audit.Entry{At: epoch, ID: acme})
	_, err = new(audit.Reader).Entries(as(root), snapshot, acme, audit.Filter{}, page.Request{After: &cursor})
	require.Equal(t, "CURSOR_OF_ANOTHER_LIST", code(err))
}

// TestExportIsTheList: line by line, the other way round, whole and of a time.
func TestExportIsTheList(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.fill(t, 20)
	library := &audit.Library{DB: d.DB}
	for name, filter := range map[string]audit.Filter{
		"whole": {}, "of a time": {Since: pointer(epoch.Add(2 * time.Second)), Until: pointer(epoch.Add(5 * time.Second))}, "empty": {Since: pointer(epoch.AddDate(1, 0, 0))},
	} {
		var out bytes.Buffer
		written, err := library.Export(as(auditor), "acme", filter.Since, filter.Until, &out)
		require.NoError(t, err)
		want := d.entries(t, acme, filter)
		slices.Reverse(want)
		require.Len(t, want, written, name)
		var lines strings.Builder
		for _, e := range want {
			lines.WriteString(e.Line("acme") + "\n")
		}
		require.Equal(t, lines.String(), out.String(), name)
	}
	_, err := library.Export(as(auditor), "acme", pointer(epoch), pointer(epoch.Add(-1)), io.Discard)
	require.Equal(t, "INTERVAL_EMPTY", code(err))
}

func TestLine(t *testing.T) {
	t.Parallel()
	e := audit.Entry{OrganizationID: acme, ID: rival, At: epoch, Subject: `a"<b>`, Action: "import.nmap", Outcome: "done", Door: audit.HTTP, RequestID: "r",
		Properties: []audit.Property{{Name: "z", Value: "1"}, {Name: "a", Value: `"&`}}, Touched: []string{"x"}}
	require.Equal(t, `{"id":"`+e.GlobalID()+`","organization":"acme","at":"2026-03-01T12:00:00Z","subject":"a\"<b>","action":"import.nmap","outcome":"done","door":"http","requestId":"r","properties":{"z":"1","a":"\"&"},"touched":["x"]}`, e.Line("acme"))
	var read map[string]any
	require.NoError(t, json.Unmarshal([]byte(e.Line("acme")), &read))
}

// meter counts what comes and looks at the heap on the way.
type meter struct {
	bytes int
	most  uint64
	every int
}

func (m *meter) Write(p []byte) (int, error) {
	m.bytes += len(p)
	if m.every++; m.every%20 == 0 {
		var stats runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&stats)
		m.most = max(m.most, stats.HeapAlloc)
	}
	return len(p), nil
}

// TestExportIsStreamed hands out a log of some fifty megabytes.
func TestExportIsStreamed(t *testing.T) {
	audit.SetPageRows(500)
	defer audit.SetPageRows(3)
	d := newDesk(t)
	d.exec(t, `INSERT INTO audit_entry SELECT $1, gen_random_uuid(), now() + n * interval '1 ms', repeat('s', 500), 'import.nmap', 'done', 'http', 'r',
		array_fill('n'::text, ARRAY[24]), array_fill(repeat('v', 250), ARRAY[24]), '{}' FROM generate_series(1, 8000) n`, acme)
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	m := &meter{}
	written, err := (&audit.Library{DB: d.DB}).Export(as(auditor), "acme", nil, nil, m)
	require.NoError(t, err)
	require.Equal(t, 8000, written)
	require.Greater(t, m.bytes, 48<<20)
	require.Positive(t, m.most)
	require.Less(t, int64(m.most)-int64(before.HeapAlloc), int64(16<<20), "what is held does not grow with the log")
}

// TestAuditPredicatesAlone asks every statement before and after a rival with the same
// rows moved in, with row level security off; and writes.
func TestAuditPredicatesAlone(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.fill(t, 5)
	d.log.Token(t.Context(), audit.TokenEvent{Subject: "svc", Action: audit.TokenIssued, Outcome: audit.Done, Door: audit.Issuer})
	d.exec(t, `ALTER TABLE audit_entry DISABLE ROW LEVEL SECURITY`)
	entry, shared := d.entries(t, acme, audit.Filter{})[0].ID, d.shared(t)[0].ID
	samples := map[string]map[string]any{
		"entries_page": {"limit": 100}, "count_entries": {}, "entry_by_id": {"id": entry}, "entries_after": {"at": time.Time{}, "id": id.Nil, "rows": 100},
		"organization": {}, "shared_page": {"limit": 100}, "count_shared": {}, "shared_by_id": {"id": shared},
	}
	ask := func() map[string][]string {
		answers := map[string][]string{}
		snapshot := d.Snapshot()
		defer snapshot.Close(context.Background())
		for _, query := range audit.Queries.All() {
			name := strings.TrimPrefix(query.Name, "audit.")
			if name == "append" || name == "append_shared" {
				continue
			}
			args, ok := samples[name]
			require.True(t, ok, "%s has no sample arguments here", query.Name)
			q := snapshot.Of(acme)
			if strings.Contains(name, "shared") {
				q = snapshot.Shared()
			}
			whole := db.Query{Name: query.Name, SQL: "/* " + query.Name + " */ SELECT to_jsonb(q)::text FROM (" + query.SQL + ") q"}
			rows, err := db.Column[string](t.Context(), q, whole, args)
			require.NoError(t, err, query.Name)
			require.NotEmpty(t, rows, "%s: no answer proves nothing", query.Name)
			slices.Sort(rows)
			answers[query.Name] = rows
		}
		return answers
	}
	before := ask()
	d.exec(t, `SET session_replication_role = replica`)
	d.exec(t, `ALTER TABLE audit_entry DISABLE TRIGGER ALL`)
	d.exec(t, `DELETE FROM audit_entry WHERE organization_id = $1`, rival)
	d.exec(t, `INSERT INTO audit_entry SELECT (jsonb_populate_record(x, jsonb_build_object('organization_id', $1::uuid, 'subject', 'rival'))).* FROM audit_entry x WHERE organization_id = $2`, rival, acme)
	d.exec(t, `ALTER TABLE audit_entry ENABLE TRIGGER ALL`)
	require.Equal(t, before, ask())
	theirs := func() []*audit.Entry { return d.entries(t, rival, audit.Filter{}) }
	rivals := theirs()
	require.Len(t, rivals, 5)
	d.log.Record(as(operator), event(acme, "mutation.more"))
	require.Len(t, d.entries(t, acme, audit.Filter{}), 6)
	require.Equal(t, rivals, theirs(), "writing leaves the rival's rows")
}
