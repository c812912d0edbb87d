package kubeaudit

import (
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/record/recordtest"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

func texts(contents ...string) iter.Seq2[File, error] {
	return func(yield func(File, error) bool) {
		for i, content := range contents {
			if !yield(File{fmt.Sprintf("log%d", i+1), strings.NewReader(content)}, nil) {
				return
			}
		}
	}
}

func parse(t testing.TB, contents ...string) (Summary, *recordtest.Collector) {
	t.Helper()
	var out recordtest.Collector
	summary, err := Parse(texts(contents...), Options{Now: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}, &out)
	require.NoError(t, err)
	return summary, &out
}

func shared(t testing.TB, elements ...string) string {
	t.Helper()
	content, err := os.ReadFile(recordtest.SharedData(t, append([]string{"k8s-audit"}, elements...)...))
	require.NoError(t, err)
	return string(content)
}

// runs are the counts by what they are of: namespace/name verb day, with a mark
// where somebody else acted in the name of the account.
func runs(out *recordtest.Collector) map[string]int {
	counts := map[string]int{}
	for _, r := range out.Records {
		if e, ok := r.Fact.(record.Evidence); ok {
			key := e.Identity.SourceID + " " + e.Action + " " + e.Day.Format(time.DateOnly)
			if e.Related {
				key += " related"
			}
			counts[key] += e.Count
		}
	}
	return counts
}

// event is an audit event, changed by pairs of a key and its JSON.
func event(id string, changes ...string) string {
	fields := map[string]string{
		"kind": `"Event"`, "apiVersion": `"audit.k8s.io/v1"`, "level": `"Metadata"`, "auditID": fmt.Sprintf("%q", id),
		"stage": `"ResponseComplete"`, "requestReceivedTimestamp": `"2026-02-03T04:05:06.123456Z"`, "verb": `"get"`,
		"user":           `{"username":"system:serviceaccount:shop:web","groups":["system:serviceaccounts"]}`,
		"objectRef":      `{"resource":"secrets","namespace":"shop","name":"tls","apiVersion":"v1"}`,
		"responseStatus": `{"metadata":{},"code":200}`,
	}
	for i := 0; i < len(changes); i += 2 {
		fields[changes[i]] = changes[i+1]
	}
	var parts []string
	for key, value := range fields {
		if value != "" {
			parts = append(parts, fmt.Sprintf("%q:%s", key, value))
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// TestSharedLogs holds the counts that the data came with.
func TestSharedLogs(t *testing.T) {
	t.Parallel()
	summary, out := parse(t, shared(t, "demo.log"))
	require.Equal(t, Summary{Events: 37, Denied: 11, Others: 25, Accounts: 5, Counted: 1}, summary)
	require.Empty(t, out.Rejections)
	// An administrator tried out what the account may do: all but one call were
	// denied, and none was the account's own.
	require.Equal(t, map[string]int{"ns1/sa1 list 2017-09-11 related": 1}, runs(out))
	at := time.Date(2017, 9, 11, 20, 1, 50, 0, time.UTC)
	account := record.Ref{Kind: record.Identity, SourceID: "ns1/sa1"}
	require.Equal(t, []record.Record{
		{Position: record.Position{File: "log1", Line: 9}, Fact: record.Entity{Ref: account, Basis: record.Inferred, Name: "sa1", SourceType: "ServiceAccount"}},
		{Position: record.Position{File: "log1", Line: 9}, Fact: record.Evidence{Identity: &account, Action: "list",
			Day: time.Date(2017, 9, 11, 0, 0, 0, 0, time.UTC), LastAt: at, Count: 1, Related: true}},
		{Position: record.Position{File: "log1", Line: 9}, Fact: record.Coverage{Kind: record.Execution, Entity: &account, Partial: true,
			From: time.Date(2017, 9, 11, 19, 55, 5, 0, time.UTC), To: time.Date(2017, 9, 11, 20, 29, 4, 0, time.UTC)}},
	}, out.Records)
	require.Equal(t, []record.Warning{{Position: record.Position{File: "log1"}, Code: "CALLS_LEFT_OUT",
		Message: `Of 37 events, 11 were denied, 25 are of somebody who is no service account, such as "system:admin": they are no evidence.`}}, out.Warnings)

	files, err := filepath.Glob(filepath.Join(recordtest.SharedData(t, "k8s-audit", "falco"), "*.json"))
	require.NoError(t, err)
	require.Len(t, files, 11)
	for _, file := range files {
		name := filepath.Base(file)
		summary, out := parse(t, shared(t, "falco", name))
		require.Empty(t, out.Rejections, name)
		switch name {
		case "create_configmap_sensitive_values.json":
			require.Equal(t, Summary{Events: 6, Others: 6}, summary, name)
		case "create_nginx_pod_privileged.json":
			require.Equal(t, Summary{Events: 1, Accounts: 1, Counted: 1}, summary, name)
			require.Equal(t, map[string]int{"kube-system/replicaset-controller create 2018-10-25": 1}, runs(out))
			require.Empty(t, out.Warnings)
		default:
			require.Equal(t, Summary{Events: 1, Others: 1}, summary, name)
			require.Empty(t, out.Records, name)
		}
	}
}

// TestShapesSayTheSame holds that the same events count the same however they
// are sent.
func TestShapesSayTheSame(t *testing.T) {
	t.Parallel()
	log := strings.TrimSpace(shared(t, "demo.log"))
	list := strings.ReplaceAll(log, "\n", ",\n")
	lines := strings.Split(log, "\n")
	want, out := parse(t, log)
	for name, contents := range map[string][]string{
		"a list":      {"[" + list + "]"},
		"EventList":   {`{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[` + list + `]}`},
		"two files":   {strings.Join(lines[:20], "\n"), strings.Join(lines[20:], "\n")},
		"twice":       {log, log},
		"a bit twice": {log, strings.Join(lines[5:12], "\n")},
	} {
		got, again := parse(t, contents...)
		require.Equal(t, want.Counted, got.Counted, name)
		require.Equal(t, runs(out), runs(again), name)
	}
	got, _ := parse(t, log, log)
	require.Equal(t, 1, got.Repeated)
}

func TestACallCountsOnce(t *testing.T) {
	t.Parallel()
	started := event("w", "stage", `"ResponseStarted"`, "verb", `"watch"`)
	summary, out := parse(t, strings.Join([]string{
		event("w", "stage", `"RequestReceived"`, "verb", `"watch"`, "responseStatus", ""), started,
		event("w", "verb", `"watch"`, "stageTimestamp", `"2026-02-04T04:05:06Z"`), // it lasted a day
		event("p", "stage", `"Panic"`, "responseStatus", `{"code":500}`),
		event("a"), event("b"), event("c", "requestReceivedTimestamp", `"2026-02-03T23:59:59.999999Z"`, "stageTimestamp", `"2026-02-04T00:00:01Z"`),
		event("d", "requestReceivedTimestamp", `"2026-02-04T01:59:59+02:00"`), // the third of February in UTC
	}, "\n"))
	require.Equal(t, Summary{Events: 8, Stages: 2, Repeated: 1, Accounts: 6, Counted: 5}, summary)
	require.Equal(t, map[string]int{"shop/web watch 2026-02-03": 1, "shop/web get 2026-02-03": 4}, runs(out))
	require.Len(t, out.Entities(record.Identity), 1)
	got, ok := out.Records[1].Fact.(record.Evidence)
	require.True(t, ok)
	require.Equal(t, time.Date(2026, 2, 3, 23, 59, 59, 999999000, time.UTC), got.LastAt)
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	allow, forbid := `{"authorization.k8s.io/decision":"allow"}`, `{"authorization.k8s.io/decision":"forbid"}`
	for name, test := range map[string]struct {
		status, annotations string
		want                outcome
	}{
		"a success":                       {`{"code":200}`, "", allowed},
		"a stream":                        {`{"code":101}`, "", allowed},
		"nothing found":                   {`{"code":404}`, "", allowed},
		"something in the way":            {`{"code":409}`, "", allowed},
		"not signed in":                   {`{"code":401}`, "", denied},
		"denied":                          {`{"code":403}`, "", denied},
		"denied by the authorizer's word": {`{"code":200}`, forbid, denied},
		"denied by an admission":          {`{"code":403}`, allow, denied},
		"too busy":                        {`{"code":429}`, "", untold},
		"failed":                          {`{"code":500}`, "", untold},
		"failed after it was allowed":     {`{"code":503}`, allow, allowed},
		"no status":                       {"", "", untold},
		"an empty status":                 {`{"metadata":{}}`, "", untold},
		"no status, but allowed":          {"", allow, allowed},
	} {
		summary, out := parse(t, event("a", "responseStatus", test.status, "annotations", test.annotations))
		want := Summary{Events: 1, Accounts: 1}
		switch test.want {
		case allowed:
			want.Counted = 1
		case denied:
			want.Denied = 1
		case untold:
			want.Untold = 1
		}
		require.Equal(t, want, summary, name)
		require.Equal(t, test.want == allowed, len(out.Records) > 0, name)
		require.Equal(t, test.want != allowed, out.Warned("CALLS_LEFT_OUT"), name)
	}
}

func TestWhoActed(t *testing.T) {
	t.Parallel()
	user := func(name string) string { return fmt.Sprintf(`{"username":%q}`, name) }
	for name, test := range map[string]struct {
		user, as string
		want     map[string]int
	}{
		"an account":                     {"system:serviceaccount:shop:web", "", map[string]int{"shop/web get 2026-02-03": 1}},
		"an account with dots":           {"system:serviceaccount:shop:web.v2", "", map[string]int{"shop/web.v2 get 2026-02-03": 1}},
		"a person":                       {"alice", "", map[string]int{}},
		"a component":                    {"system:kube-controller-manager", "", map[string]int{}},
		"a node":                         {"system:node:n1", "", map[string]int{}},
		"nobody":                         {"", "", map[string]int{}},
		"a person as an account":         {"alice", "system:serviceaccount:shop:web", map[string]int{"shop/web get 2026-02-03 related": 1}},
		"an account as a person":         {"system:serviceaccount:shop:web", "alice", map[string]int{"shop/web impersonate 2026-02-03": 1}},
		"an account as another":          {"system:serviceaccount:shop:web", "system:serviceaccount:shop:api", map[string]int{"shop/web impersonate 2026-02-03": 1}},
		"somebody called as an accounts": {"system:serviceaccounts", "", map[string]int{}},
	} {
		changes := []string{"user", user(test.user)}
		if test.as != "" {
			changes = append(changes, "impersonatedUser", user(test.as))
		}
		_, out := parse(t, event("a", changes...))
		require.Empty(t, out.Rejections, name)
		require.Equal(t, test.want, runs(out), name)
	}
}

func TestRejections(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ line, code string }{
		"no time":                        {event("a", "requestReceivedTimestamp", ""), "MISSING_FIELD"},
		"a time that is none":            {event("a", "requestReceivedTimestamp", `"yesterday"`), "BAD_TIME"},
		"a time without a zone":          {event("a", "requestReceivedTimestamp", `"2026-02-03T04:05:06"`), "BAD_TIME"},
		"a time long ago":                {event("a", "requestReceivedTimestamp", `"0001-01-01T00:00:00Z"`), "BAD_TIME"},
		"a time to come":                 {event("a", "requestReceivedTimestamp", `"2026-03-01T00:06:00Z"`), "TIME_IN_FUTURE"},
		"a number for a time":            {event("a", "requestReceivedTimestamp", `1`), "WRONG_TYPE"},
		"no id":                          {event("a", "auditID", ""), "MISSING_FIELD"},
		"no stage":                       {event("a", "stage", ""), "MISSING_FIELD"},
		"a stage that is none":           {event("a", "stage", `"Done"`), "ILLEGAL_VALUE"},
		"no verb":                        {event("a", "verb", ""), "MISSING_FIELD"},
		"a verb that is none":            {event("a", "verb", `"get all"`), "ILLEGAL_VALUE"},
		"another kind":                   {event("a", "kind", `"Pod"`), "ILLEGAL_VALUE"},
		"an event of a namespace":        {event("a", "apiVersion", `"v1"`), "ILLEGAL_VALUE"},
		"a user of another type":         {event("a", "user", `"web"`), "WRONG_TYPE"},
		"a list for a user":              {event("a", "user", `[]`), "WRONG_TYPE"},
		"a status of another type":       {event("a", "responseStatus", `200`), "WRONG_TYPE"},
		"a code of another type":         {event("a", "responseStatus", `{"code":"200"}`), "WRONG_TYPE"},
		"a decision of another type":     {event("a", "annotations", `{"authorization.k8s.io/decision":true}`), "WRONG_TYPE"},
		"an account without a name":      {event("a", "user", `{"username":"system:serviceaccount:shop"}`), "ILLEGAL_VALUE"},
		"an account with three names":    {event("a", "user", `{"username":"system:serviceaccount:shop:web:x"}`), "ILLEGAL_VALUE"},
		"an account with a strange name": {event("a", "user", `{"username":"system:serviceaccount:Shop:../x"}`), "ILLEGAL_VALUE"},
		"NUL in a name":                  {event("a", "user", `{"username":"system:serviceaccount:shop:w\u0000b"}`), "ILLEGAL_VALUE"},
		"a user twice":                   {strings.Replace(event("a"), "{", `{"user":{"username":"alice"},`, 1), "DUPLICATE_KEY"},
		"a name twice":                   {event("a", "user", `{"username":"alice","username":"system:serviceaccount:shop:web"}`), "DUPLICATE_KEY"},
		"a line that is cut off":         {event("a")[:40], "NOT_JSON"},
	} {
		summary, out := parse(t, event("good")+"\n"+test.line+"\n"+event("better"))
		require.Len(t, out.Rejections, 1, name)
		require.Equal(t, test.code, out.Rejections[0].Code, "%s: %s", name, out.Rejections[0].Reason)
		require.Equal(t, record.Position{File: "log1", Line: 2}, out.Rejections[0].Position, name)
		require.Equal(t, Summary{Events: 2, Accounts: 2, Counted: 2}, summary, name)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ text, code string }{
		"nothing":                  {"", "AUDIT_EMPTY"},
		"blank lines":              {"\n\n", "AUDIT_EMPTY"},
		"a list that is cut off":   {"[" + event("a"), "AUDIT_TRUNCATED"},
		"gzip":                     {"\x1f\x8b", "AUDIT_NOT_TEXT"},
		"text":                     {"hello", "AUDIT_NOT_JSON"},
		"a list of something else": {`{"kind":"EventList","items":3}`, "AUDIT_NOT_EVENTS"},
	} {
		var out recordtest.Collector
		_, err := Parse(texts(test.text), Options{}, &out)
		var fault *problem.Error
		require.ErrorAs(t, err, &fault, name)
		require.Equal(t, test.code, fault.Code, name)
		require.Empty(t, out.Records, name)
	}
	summary, out := parse(t, `{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[]}`)
	require.Zero(t, summary)
	require.Empty(t, out.Records)
}

// FuzzParse holds that whatever the log is, the answer is a typed fault or counts
// that a sync can take: each of an account, said once, of no more calls than
// there are events.
func FuzzParse(f *testing.F) {
	f.Add(event("a")+"\n"+event("b"), event("a"))
	f.Add("["+event("a", "user", `{"username":"alice"}`, "impersonatedUser", `{"username":"system:serviceaccount:a:b"}`)+"]", "")
	f.Add(`{"kind":"EventList","items":[`+event("a", "stage", `"Panic"`)+`]}`, "{}")
	for _, changes := range [][]string{{"responseStatus", `{"code":403}`}, {"annotations", `{"authorization.k8s.io/decision":"allow"}`}, {"verb", `"*"`}} {
		f.Add(event("x", changes...), "\x00")
	}
	f.Fuzz(func(t *testing.T, one, other string) {
		var out recordtest.Collector
		summary, err := Parse(texts(one, other), Options{}, &out)
		if err != nil {
			require.Equal(t, problem.Invalid, problem.KindOf(err))
			return
		}
		counted := 0
		said, known := map[string]bool{}, map[string]bool{}
		for _, r := range out.Records {
			require.NotEmpty(t, r.File)
			require.Positive(t, r.Line)
			switch fact := r.Fact.(type) {
			case record.Entity:
				require.Equal(t, record.Inferred, fact.Basis)
				require.False(t, known[fact.SourceID], "%s is said twice", fact.SourceID)
				known[fact.SourceID] = true
			case record.Evidence:
				require.True(t, known[fact.Identity.SourceID], "of somebody who is not known")
				key := fmt.Sprint(*fact.Identity, fact.Action, fact.Day, fact.Related)
				require.False(t, said[key], "%s is said twice", key)
				said[key] = true
				require.Nil(t, fact.Workload)
				require.Nil(t, fact.Resource)
				require.Regexp(t, `^[a-z0-9.-]+/[a-z0-9.-]+$`, fact.Identity.SourceID)
				require.Equal(t, fact.Day, fact.LastAt.Truncate(24*time.Hour))
				counted += fact.Count
			case record.Coverage:
				require.True(t, fact.Partial)
				require.False(t, fact.To.Before(fact.From))
			default:
				t.Fatalf("a log says %T", fact)
			}
		}
		require.Equal(t, summary.Counted, counted)
		require.Equal(t, summary.Events, summary.Stages+summary.Repeated+summary.Denied+summary.Untold+summary.Others+summary.Counted)
	})
}
