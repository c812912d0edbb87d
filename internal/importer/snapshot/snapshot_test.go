package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// collector keeps everything that a parse gives out.
type collector struct {
	records    []record.Record
	rejections []record.Rejection
	warnings   []record.Warning
}

func (c *collector) Record(r record.Record) error { c.records = append(c.records, r); return nil }
func (c *collector) Reject(r record.Rejection) error {
	c.rejections = append(c.rejections, r)
	return nil
}
func (c *collector) Warn(w record.Warning) error { c.warnings = append(c.warnings, w); return nil }

const headerLine = `{"kind":"header","format":"exposuregraph-snapshot","version":1}`

var now = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// framed puts lines of some kinds between a header and the trailer that fits.
func framed(kind string, bodies ...string) string {
	return headerLine + "\n" + strings.Join(bodies, "\n") + "\n" +
		fmt.Sprintf(`{"kind":"trailer","records":%d,"counts":{%q:%d}}`, len(bodies), kind, len(bodies)) + "\n"
}

func TestExample(t *testing.T) {
	t.Parallel()
	example, err := os.ReadFile("testdata/example.ndjson")
	require.NoError(t, err)

	var got collector
	var header Header
	err = Options{Now: now}.Parse("example.ndjson", bytes.NewReader(example), func(h Header) error {
		require.Empty(t, got.records, "the header comes first")
		header = h
		return nil
	}, &got)
	require.NoError(t, err)
	require.Empty(t, got.rejections)
	require.Empty(t, got.warnings)
	require.Len(t, got.records, 21)
	require.Equal(t, Header{Version: 1, Source: "platform-export", System: "platform-eu",
		ObservedAt: time.Date(2026, 3, 2, 6, 0, 0, 0, time.UTC)}, header)

	t.Run("is what the writer writes", func(t *testing.T) {
		t.Parallel()
		var out bytes.Buffer
		w := NewWriter(&out, header)
		for _, r := range got.records {
			require.NoError(t, w.Write(r))
		}
		require.NoError(t, w.Close())
		require.Equal(t, string(example), out.String())
	})
	t.Run("shows every kind", func(t *testing.T) {
		t.Parallel()
		for _, kind := range recordKinds {
			require.Contains(t, string(example), `{"kind":"`+kind+`"`)
		}
	})
	t.Run("stands in the documentation", func(t *testing.T) {
		t.Parallel()
		require.Contains(t, documentation(t), "```ndjson\n"+string(example)+"```\n")
	})
	t.Run("means what it says", func(t *testing.T) {
		t.Parallel()
		at := func(line int, fact record.Fact) {
			require.Equal(t, record.Record{Position: record.Position{File: "example.ndjson", Line: line}, Fact: fact}, got.records[line-2])
		}
		workload := record.Ref{Kind: record.Workload, SourceID: "invoice-sync"}
		identity := record.Ref{Kind: record.Identity, SourceID: "svc-invoice"}
		resource := record.Ref{Kind: record.Resource, SourceID: "billing-db"}
		role := record.Ref{Kind: record.Role, SourceID: "billing-writer"}
		at(2, record.Entity{
			Ref: workload, Basis: record.Inventory, Name: "Invoice sync", Status: record.Active,
			Environment: "production", OwnerTeam: "finance-systems", BusinessTier: "tier-1",
			ExecutionMode: record.Autonomous, ArtifactIdentifier: "sha256:6b1f0c0d", SourceType: "ScheduledJob",
			CreatedAt: time.Date(2024, 11, 5, 9, 12, 0, 0, time.UTC),
			Labels:    map[string]string{"cost-center": "4711", "region": "eu-west-1"},
		})
		at(4, record.Entity{Ref: record.Ref{Kind: record.Identity, System: "crm", SourceID: "invoice-reader"}, Basis: record.Inventory, Name: "Invoice reader"})
		at(10, record.Edge{Kind: record.HasRole, From: identity, To: role, Scope: "finance"})
		at(12, record.Edge{Kind: record.Grants, From: role, To: record.Ref{Kind: record.Resource, SourceID: "shared-exports"},
			Scope: "finance", Actions: []string{"read"}, Ineffective: true})
		at(15, record.Edge{Kind: record.Authenticates, From: identity,
			To: record.Ref{Kind: record.Identity, System: "crm", SourceID: "invoice-reader"}, Protocol: "oauth2", TargetSystem: "crm"})
		at(18, record.Endpoint{Workload: workload, Kind: record.HostnameEndpoint, Value: "invoices.example.com", Port: 443})
		at(19, record.Evidence{Workload: &workload, Identity: &identity, Resource: &resource, Action: "update",
			Day: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), LastAt: time.Date(2026, 3, 1, 23, 40, 10, 0, time.UTC), Count: 96})
		at(21, record.Coverage{Kind: record.Execution, From: time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC),
			To: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC), MaxAge: 7 * 24 * time.Hour})
		at(22, record.Coverage{Kind: record.Ownership, Entity: &workload, Partial: true})
	})
}

func documentation(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../../docs/formats/snapshot.md")
	require.NoError(t, err)
	return string(text)
}

// Every code and every field has its place in the documentation.
func TestDocumentation(t *testing.T) {
	t.Parallel()
	text := documentation(t)
	source, err := os.ReadFile("fault.go")
	require.NoError(t, err)
	codes := regexp.MustCompile(`(?m)^\tcode\w+\s+= "([A-Z_0-9]+)"(.*)$`).FindAllStringSubmatch(string(source), -1)
	require.Greater(t, len(codes), 30)
	for _, code := range codes {
		if !strings.Contains(code[2], "the writer's") {
			require.Contains(t, text, "| `"+code[1]+"` |")
		}
	}
	for _, file := range []string{"decode.go", "frame.go"} {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, field := range regexp.MustCompile(`(?:case|key ==) "(\w+)"`).FindAllStringSubmatch(string(source), -1) {
			require.Contains(t, text, "`"+field[1]+"`")
		}
	}
}

func TestFileFaults(t *testing.T) {
	t.Parallel()
	workload := `{"kind":"workload","id":"a"}` + "\n"
	trailer := `{"kind":"trailer","records":1,"counts":{"workload":1}}` + "\n"
	head := headerLine + "\n"
	cases := []struct {
		name, input string
		code        string
		line        int
		says        string // in the message
	}{
		{"nothing", "", codeEmpty, 0, "at least a header and a trailer"},
		{"blank lines only", "\n \r\n\n", codeEmpty, 3, ""},
		{"byte order mark only", "\xef\xbb\xbf", codeEmpty, 0, ""},
		{"gzip", "\x1f\x8b\x08\x00\x00\x00\x00\x00", codeNotText, 1, "gzip -dc"},
		{"zstd", "\x28\xb5\x2f\xfd\x04\x00", codeNotText, 1, "zstd -dc"},
		{"xz", "\xfd7zXZ\x00", codeNotText, 1, "xz -dc"},
		{"zip", "PK\x03\x04\x14\x00", codeNotText, 1, "zip"},
		{"utf-16", "\xff\xfe{\x00\"\x00", codeNotText, 1, "UTF-16"},
		{"yaml", "apiVersion: v1\nkind: Pod\n", codeHeaderMissing, 1, "does not begin with the header"},
		{"list", "[]\n", codeHeaderMissing, 1, "a list"},
		{"indented JSON", "{\n  \"kind\": \"header\"\n}\n", codeHeaderMissing, 1, "one line"},
		{"binary", "\x00\x01\x02\xff\n", codeHeaderMissing, 1, "not UTF-8"},
		{"record first", workload + trailer, codeHeaderMissing, 1, "not a header"},
		{"kind of the header twice", `{"kind":"header","kind":"header"}` + "\n", codeHeaderMissing, 1, ""},
		{"no format", `{"kind":"header","version":1}` + "\n" + trailer, codeHeaderInvalid, 1, "no format"},
		{"other format", `{"kind":"header","format":"sarif","version":1}` + "\n", codeHeaderInvalid, 1, `"exposuregraph-snapshot"`},
		{"no version", `{"kind":"header","format":"exposuregraph-snapshot"}` + "\n", codeHeaderInvalid, 1, "no version"},
		{"version as text", `{"kind":"header","format":"exposuregraph-snapshot","version":"1"}` + "\n", codeHeaderInvalid, 1, "a number"},
		{"later version", `{"kind":"header","format":"exposuregraph-snapshot","version":2,"new":true}` + "\n", codeVersion, 1, "reads version 1"},
		{"unknown field of the header", strings.Replace(head, "}", `,"tenant":"x"}`, 1), codeHeaderInvalid, 1, `"tenant"`},
		{"key of the header twice", strings.Replace(head, "}", `,"system":"x","system":"y"}`, 1), codeHeaderInvalid, 1, `"system" occurs twice`},
		{"bad time in the header", strings.Replace(head, "}", `,"observedAt":"yesterday"}`, 1), codeHeaderInvalid, 1, "RFC 3339"},
		{"future header", strings.Replace(head, "}", `,"observedAt":"2026-03-02T12:05:01Z"}`, 1), codeTimeInFuture, 1, "future"},
		{"second header", head + workload + head + trailer, codeHeaderRepeated, 3, "one by one"},
		{"cut header", head[:30], codeTruncated, 1, "cut off"},
		{"cut record", head + workload + workload[:12], codeTruncated, 3, "cut off"},
		{"cut between records", head + workload[:len(workload)-1], codeTruncated, 2, "cut off"},
		{"cut trailer", head + workload + trailer[:len(trailer)-3], codeTruncated, 3, ""},
		{"no trailer", head + workload, codeTrailerMissing, 2, "send all of it"},
		{"header alone", head, codeTrailerMissing, 1, ""},
		{"trailer without counts", head + workload + `{"kind":"trailer","records":1}` + "\n", codeTrailerInvalid, 3, "no counts"},
		{"trailer without records", head + workload + `{"kind":"trailer","counts":{"workload":1}}` + "\n", codeTrailerInvalid, 3, "no records"},
		{"trailer with a fraction", head + workload + `{"kind":"trailer","records":1.0,"counts":{"workload":1}}` + "\n", codeTrailerInvalid, 3, "whole number"},
		{"unknown field of the trailer", head + workload + `{"kind":"trailer","records":1,"counts":{"workload":1},"sum":1}` + "\n", codeTrailerInvalid, 3, `"sum"`},
		{"too many said", head + workload + `{"kind":"trailer","records":2,"counts":{"workload":2}}` + "\n", codeCountsDiffer, 3, `"workload": 2 said, 1 read`},
		{"too few said", head + workload + workload + trailer, codeCountsDiffer, 4, `"workload": 1 said, 2 read`},
		{"other kind said", head + workload + `{"kind":"trailer","records":1,"counts":{"owner":1}}` + "\n", codeCountsDiffer, 3, `"owner": 1 said, 0 read; "workload": 0 said, 1 read`},
		{"total differs", head + workload + `{"kind":"trailer","records":3,"counts":{"workload":1}}` + "\n", codeCountsDiffer, 3, "records: 3 said, 1 read"},
		{"sum differs beside a broken line", head + workload + "{\n" + `{"kind":"trailer","records":2,"counts":{"workload":1}}` + "\n", codeCountsDiffer, 4, "add up to 1"},
		{"one broken line for two missing", head + "{\n" + `{"kind":"trailer","records":1,"counts":{"workload":1,"owner":1}}` + "\n", codeCountsDiffer, 3, "add up to 2"},
		{"record after the trailer", head + workload + trailer + workload, codeDataAfterTrailer, 4, "nothing may follow"},
		{"two snapshots", head + workload + trailer + head + workload + trailer, codeDataAfterTrailer, 4, ""},
		{"garbage after the trailer", head + workload + trailer + "\x00", codeDataAfterTrailer, 4, ""},
		{"long line", head + workload + `{"kind":"workload","id":"` + strings.Repeat("x", maxLine) + `"}` + "\n" + trailer, codeLineTooLong, 3, "1048576 bytes"},
		{"long line without an end", head + strings.Repeat("x", maxLine+1), codeLineTooLong, 2, ""},
		{"long header", strings.Repeat(" ", maxLine+1), codeLineTooLong, 1, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := Options{Now: now}.Parse("f.ndjson", iotest.HalfReader(strings.NewReader(c.input)), nil, &collector{})
			var fault *problem.Error
			require.ErrorAs(t, err, &fault)
			require.Equal(t, c.code, fault.Code, fault.Message)
			require.Equal(t, problem.Invalid, fault.Kind)
			require.Equal(t, "f.ndjson", fault.File)
			require.Equal(t, c.line, fault.Line, fault.Message)
			require.Contains(t, fault.Message, c.says)
		})
	}
}

func TestRecordFaults(t *testing.T) {
	t.Parallel()
	entity := func(kind record.EntityKind, id string) *record.Ref { return &record.Ref{Kind: kind, SourceID: id} }
	a := entity(record.Workload, "a")
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	many := func(n int, item string) string { return strings.TrimSuffix(strings.Repeat(item+",", n), ",") }
	numbered := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"k%d":""`, i)
		}
		return b.String()[1:]
	}
	cases := []struct {
		line   string
		code   string
		entity *record.Ref
		says   string
	}{
		// Not to be read.
		{`{"kind":"workload","id":"a"`, codeNotJSON, nil, "comma or }"},
		{`{"kind":"workload","id":"a}`, codeNotJSON, nil, "does not end"},
		{`{"kind":"workload","id":"a"} x`, codeNotJSON, nil, "more text"},
		{`{"kind":"workload" "id":"a"}`, codeNotJSON, nil, "column 20"},
		{`{"kind":"workload",}`, codeNotJSON, nil, "key in quotes"},
		{`{kind:"workload"}`, codeNotJSON, nil, "key in quotes"},
		{`{"kind" "workload"}`, codeNotJSON, nil, "colon"},
		{`{"kind":}`, codeNotJSON, nil, "value is expected"},
		{`{"kind":`, codeNotJSON, nil, "too early"},
		{`{"kind":tru}`, codeNotJSON, nil, "value is expected"},
		{`{"kind":"workload","id":"\x"}`, codeNotJSON, nil, "escape"},
		{`{"kind":"workload","id":"\u12g4"}`, codeNotJSON, nil, "hexadecimal"},
		{`{"kind":"workload","id":"\u12`, codeNotJSON, nil, "hexadecimal"},
		{`{"kind":"x` + strings.Repeat("é", 500) + `"}`, codeUnknownKind, nil, "é\"…"},
		{`{"kind":"workload","id":"\`, codeNotJSON, nil, "does not end"},
		{`{"n":01}`, codeNotJSON, nil, "does not begin with 0"},
		{`{"n":-}`, codeNotJSON, nil, "digit"},
		{`{"n":1.}`, codeNotJSON, nil, "digit"},
		{`{"n":1e}`, codeNotJSON, nil, "digit"},
		{`{"n":[1 2]}`, codeNotJSON, nil, "comma or ]"},
		{`[{"kind":"workload","id":"a"}]`, codeNotJSON, nil, "a list"},
		{`"workload"`, codeNotJSON, nil, "a string"},
		{"\x00\x01\x02", codeNotJSON, nil, ""},
		{"{\"kind\":\"workload\",\"id\":\"a\",\x00\"name\":\"b\"}", codeNotJSON, nil, "column 29"},
		{"{\"kind\":\"workload\",\"id\":\"a\xff\"}", codeNotUTF8, nil, ""},
		{"\x80\x81", codeNotUTF8, nil, ""},
		{`{"kind":"workload","id":"a","labels":` + nested(8) + `}`, codeTooDeep, nil, "8 levels"},
		{nested(100000), codeTooDeep, nil, "8 levels"},
		{`{"kind":"workload","id":"a","labels":[` + many(9000, "0") + `]}`, codeTooMany, nil, "8192 values"},
		{`{"kind":"workload","id":"a","labels":{` + numbered(200) + `}}`, codeTooMany, nil, "128 fields"},

		// To be read, but not to be trusted.
		{`{"kind":"workload","id":"a","name":"x","name":"x"}`, codeDuplicateKey, a, `"name" occurs twice`},
		{`{"kind":"workload","id":"a","n\u0061me":"x","name":"y"}`, codeDuplicateKey, a, `"name" occurs twice`},
		{`{"kind":"workload","id":"a","id":"b"}`, codeDuplicateKey, nil, `"id"`},
		{`{"kind":"workload","kind":"owner","id":"a"}`, codeDuplicateKey, nil, `"kind"`},
		{`{"kind":"workload","id":"a","labels":{"x":"1","x":"2"}}`, codeDuplicateKey, a, `"x"`},
		{`{"kind":"runs_as","workload":{"id":"a","id":"b"},"identity":"b"}`, codeDuplicateKey, nil, `"id"`},
		{`{"kind":"workload","id":"a","name":"x\u0000y"}`, codeControlCharacter, a, "U+0000"},
		{`{"kind":"workload","id":"a","name":"\b\f\r\t"}`, codeControlCharacter, a, "U+0008"},
		{`{"kind":"workload","id":"a","name":"x\ny"}`, codeControlCharacter, a, "U+000A"},
		{"{\"kind\":\"workload\",\"id\":\"a\",\"name\":\"x\x00y\"}", codeControlCharacter, a, "U+0000"},
		{"{\"kind\":\"workload\",\"id\":\"a\",\"name\":\"x\ty\"}", codeControlCharacter, a, "U+0009"},
		{"{\"kind\":\"workload\",\"id\":\"a\",\"name\":\"x\u007f\"}", codeControlCharacter, a, "U+007F"},
		{"{\"kind\":\"workload\",\"id\":\"a\",\"name\":\"x\u0085\"}", codeControlCharacter, a, "U+0085"},
		{`{"kind":"workload","id":"a\u0007"}`, codeControlCharacter, nil, "U+0007"},
		{`{"kind":"workload","id":"a","labels":{"\u0000":"x"}}`, codeControlCharacter, a, "U+0000"},
		{`{"kind":"workload","id":"a","name":"\ud800"}`, codeLoneSurrogate, a, `\ud800`},
		{`{"kind":"workload","id":"a","name":"\udc00\ud800"}`, codeLoneSurrogate, a, `\udc00`},
		{`{"kind":"workload","id":"a","name":"\ud800\u0041"}`, codeLoneSurrogate, a, `\ud800`},

		// Kinds and fields.
		{`{}`, codeMissingField, nil, "no kind"},
		{`{"kind":null}`, codeMissingField, nil, "no kind"},
		{`{"kind":""}`, codeMissingField, nil, "empty"},
		{`{"kind":7}`, codeWrongType, nil, `"kind" is a number`},
		{`{"kind":"pod","id":"a"}`, codeUnknownKind, nil, "workload, identity, resource"},
		{`{"kind":"` + strings.Repeat("é", 500) + `"}`, codeUnknownKind, nil, "…"},
		{`{"kind":"workload","id":"a","colour":"red"}`, codeUnknownField, a, `"colour"`},
		{`{"kind":"workload","id":"a","colour":null}`, codeUnknownField, a, `"colour"`},
		{`{"kind":"workload","id":"a","Name":"x"}`, codeUnknownField, a, `"Name"`},
		{`{"kind":"workload","id":"a","sensitivity":"restricted"}`, codeUnknownField, a, `"sensitivity"`},
		{`{"kind":"resource","id":"a","executionMode":"autonomous"}`, codeUnknownField, entity(record.Resource, "a"), `"executionMode"`},
		{`{"kind":"role","id":"a","lastActiveAt":"2026-01-01T00:00:00Z"}`, codeUnknownField, entity(record.Role, "a"), `"lastActiveAt"`},
		{`{"kind":"runs_as","workload":"a","identity":"b","scope":"*"}`, codeUnknownField, a, `"scope"`},
		{`{"kind":"has_role","identity":"a","role":"b","scope":"*","actions":["x"]}`, codeUnknownField, entity(record.Identity, "a"), `"actions"`},
		{`{"kind":"runs_as","workload":{"id":"a","name":"x"},"identity":"b"}`, codeUnknownField, nil, `"workload" has no field "name"`},
		{`{"kind":"workload"}`, codeMissingField, nil, "no id"},
		{`{"kind":"workload","id":""}`, codeMissingField, nil, "no id"},
		{`{"kind":"workload","id":null}`, codeMissingField, nil, "no id"},
		{`{"kind":"workload","id":7}`, codeWrongType, nil, `"id" is a number; it must be a string`},
		{`{"kind":"workload","id":"a","name":["x"]}`, codeWrongType, a, `"name" is a list`},
		{`{"kind":"workload","id":"a","labels":"x"}`, codeWrongType, a, "an object"},
		{`{"kind":"workload","id":"a","labels":{"x":1}}`, codeWrongType, a, `label "x" is a number`},
		{`{"kind":"workload","id":"a","labels":{"x":null}}`, codeWrongType, a, "null"},
		{`{"kind":"workload","id":"a","labels":{"":"x"}}`, codeIllegalValue, a, "empty key"},
		{`{"kind":"workload","id":"a","status":"gone"}`, codeIllegalValue, a, "active, disabled, removed"},
		{`{"kind":"workload","id":"a","executionMode":"cron"}`, codeIllegalValue, a, "autonomous, operator_assisted, human_triggered, triggered"},
		{`{"kind":"workload","id":"a","basis":"guess"}`, codeIllegalValue, a, "mapping, inventory, manifest, inferred"},
		{`{"kind":"owner","id":"a","ownerType":"robot"}`, codeIllegalValue, entity(record.Owner, "a"), "individual, group"},
		{"{\"kind\":\"workload\",\"id\":\"a\",\"status\":\"bloc\u212aed\"}", codeIllegalValue, a, "active"},

		// Lengths.
		{`{"kind":"workload","id":"` + strings.Repeat("x", 1025) + `"}`, codeTooLong, nil, "1025 bytes; the limit is 1024"},
		{`{"kind":"workload","id":"a","name":"` + strings.Repeat("é", 257) + `"}`, codeTooLong, a, "514 bytes; the limit is 512"},
		{`{"kind":"workload","id":"a","system":"` + strings.Repeat("x", 513) + `"}`, codeTooLong, nil, "512"},
		{`{"kind":"workload","id":"a","artifactIdentifier":"` + strings.Repeat("x", 4097) + `"}`, codeTooLong, a, "4096"},
		{`{"kind":"workload","id":"a","labels":{"x":"` + strings.Repeat("x", 513) + `"}}`, codeTooLong, a, "512"},
		{`{"kind":"workload","id":"a","labels":{"` + strings.Repeat("x", 513) + `":"x"}}`, codeTooLong, a, "512"},
		{`{"kind":"workload","id":"a","labels":{` + numbered(65) + `}}`, codeTooMany, a, "65 entries; the limit is 64"},
		{`{"kind":"grants","role":"r","scope":"*","resource":"x","actions":[` + many(1025, `"a"`) + `]}`, codeTooMany, entity(record.Role, "r"), "1025 entries; the limit is 1024"},
		{`{"kind":"grants","role":"r","scope":"*","resource":"x","actions":["` + strings.Repeat("x", 513) + `"]}`, codeTooLong, entity(record.Role, "r"), "512"},

		// References and edges.
		{`{"kind":"runs_as","workload":"a"}`, codeMissingField, a, "no identity"},
		{`{"kind":"runs_as","identity":"a"}`, codeMissingField, nil, "no workload"},
		{`{"kind":"runs_as","workload":"a","identity":{"system":"x"}}`, codeMissingField, a, `"identity" has no id`},
		{`{"kind":"runs_as","workload":"a","identity":7}`, codeWrongType, a, `{"system", "id"}`},
		{`{"kind":"runs_as","workload":"a","identity":{"kind":"workload","id":"b"}}`, codeWrongKind, a, "must be one of identity"},
		{`{"kind":"runs_as","workload":"a","identity":{"kind":"pod","id":"b"}}`, codeIllegalValue, a, "workload, identity"},
		{`{"kind":"owned_by","subject":"a","owner":"o"}`, codeWrongType, nil, `{"kind", "id"}`},
		{`{"kind":"owned_by","subject":{"id":"a"},"owner":"o"}`, codeMissingField, nil, `"subject" has no kind`},
		{`{"kind":"owned_by","subject":{"kind":"role","id":"a"},"owner":"o"}`, codeWrongKind, nil, "workload, identity, resource"},
		{`{"kind":"owned_by","subject":{"kind":"workload","system":"s","id":"a"},"owner":{"kind":"identity","id":"o"}}`, codeWrongKind,
			&record.Ref{Kind: record.Workload, System: "s", SourceID: "a"}, "one of owner"},
		{`{"kind":"created_by","subject":{"kind":"resource","id":"a"},"creator":{"kind":"owner","id":"o"}}`, codeWrongKind, nil, "workload, identity"},
		{`{"kind":"created_by","subject":{"kind":"workload","id":"a"},"creator":{"kind":"role","id":"o"}}`, codeWrongKind, a, "owner, identity"},
		{`{"kind":"authenticates","from":{"kind":"owner","id":"a"},"identity":"b"}`, codeWrongKind, nil, "workload, identity"},
		{`{"kind":"has_role","identity":"a","role":"b"}`, codeMissingField, entity(record.Identity, "a"), "no scope"},
		{`{"kind":"grants","role":"r","resource":"x","actions":["get"]}`, codeMissingField, entity(record.Role, "r"), "no scope"},
		{`{"kind":"grants","role":"r","scope":"*","resource":"x","actions":[]}`, codeNoActions, entity(record.Role, "r"), "at least one"},
		{`{"kind":"grants","role":"r","scope":"*","resource":"x"}`, codeNoActions, entity(record.Role, "r"), "at least one"},
		{`{"kind":"grants","role":"r","scope":"*","resource":"x","actions":"get"}`, codeWrongType, entity(record.Role, "r"), "a list"},
		{`{"kind":"grants","role":"r","scope":"*","resource":"x","actions":[""]}`, codeIllegalValue, entity(record.Role, "r"), "empty"},
		{`{"kind":"grants","role":"r","scope":"*","resource":"x","actions":["get",1]}`, codeWrongType, entity(record.Role, "r"), "a number"},
		{`{"kind":"grants","role":"r","scope":"*","resource":"x","actions":["get"],"effective":"no"}`, codeWrongType, entity(record.Role, "r"), "a boolean"},

		// Egress.
		{`{"kind":"egress","workload":"a","host":"h","category":"none"}`, codeIllegalValue, a, "internal, external, llm"},
		{`{"kind":"egress","workload":"a","category":"llm"}`, codeMissingField, a, "no host"},
		{`{"kind":"egress","workload":"a","host":"h"}`, codeMissingField, a, "no category"},
		{`{"kind":"egress","host":"h","category":"llm"}`, codeMissingField, nil, "no workload"},
		{`{"kind":"egress","workload":"a","host":"h","category":"llm","port":1}`, codeUnknownField, a, `"port"`},

		// Endpoints.
		{`{"kind":"endpoint","workload":"a","basis":"image","value":"h"}`, codeIllegalValue, a, "mapping, ingress, hostname, address"},
		{`{"kind":"endpoint","workload":"a","basis":"address","value":"203.0.113.999"}`, codeIllegalValue, a, "no name of a host"},
		{`{"kind":"endpoint","workload":"a","basis":"hostname","value":"https://h"}`, codeIllegalValue, a, "no name of a host"},
		{`{"kind":"endpoint","workload":"a","value":"h"}`, codeMissingField, a, "no basis"},
		{`{"kind":"endpoint","workload":"a","basis":"hostname"}`, codeMissingField, a, "no value"},
		{`{"kind":"endpoint","basis":"hostname","value":"h"}`, codeMissingField, nil, "no workload"},
		{`{"kind":"endpoint","workload":"a","basis":"hostname","value":"h","port":0}`, codeOutOfRange, a, "65535"},
		{`{"kind":"endpoint","workload":"a","basis":"hostname","value":"h","host":"h"}`, codeUnknownField, a, `"host"`},

		// Evidence.
		{`{"kind":"evidence","day":"2026-03-01","count":1}`, codeNoSubject, nil, "workload, an identity or both"},
		{`{"kind":"evidence","resource":"r","day":"2026-03-01","count":1}`, codeNoSubject, nil, "a resource alone"},
		{`{"kind":"evidence","workload":"a","count":1}`, codeMissingField, a, "no day"},
		{`{"kind":"evidence","workload":"a","day":"2026-03-01"}`, codeMissingField, a, "no count"},
		{`{"kind":"evidence","workload":"a","day":"2026-02-29","count":1}`, codeBadDay, a, "2026-01-31"},
		{`{"kind":"evidence","workload":"a","day":"2026-03-01T00:00:00Z","count":1}`, codeBadDay, a, ""},
		{`{"kind":"evidence","workload":"a","day":"0001-01-01","count":1}`, codeBadDay, a, "leave the field out"},
		{`{"kind":"evidence","workload":"a","day":"2026-03-03","count":1}`, codeTimeInFuture, a, "future"},
		{`{"kind":"evidence","workload":"a","day":"2026-03-01","count":0}`, codeOutOfRange, a, "between 1 and 9007199254740992"},
		{`{"kind":"evidence","workload":"a","day":"2026-03-01","count":-1}`, codeOutOfRange, a, ""},
		{`{"kind":"evidence","workload":"a","day":"2026-03-01","count":9007199254740993}`, codeOutOfRange, a, ""},
		{`{"kind":"evidence","workload":"a","day":"2026-03-01","count":` + strings.Repeat("9", 400) + `}`, codeOutOfRange, a, "…"},
		{`{"kind":"evidence","workload":"a","day":"2026-03-01","count":1.5}`, codeWrongType, a, "whole number"},
		{`{"kind":"evidence","workload":"a","day":"2026-03-01","count":"1"}`, codeWrongType, a, "a number"},
		{`{"kind":"evidence","workload":"a","day":"2026-03-01","count":1e3}`, codeWrongType, a, "whole number"},
		{`{"kind":"evidence","identity":"i","day":"2026-03-01","count":1,"lastAt":"2026-03-02T00:00:00Z"}`, codeLastAtOffDay, entity(record.Identity, "i"), "2026-03-01 (UTC)"},

		// Coverage and times.
		{`{"kind":"coverage","completeness":"complete"}`, codeMissingField, nil, "no evidence"},
		{`{"kind":"coverage","evidence":"execution"}`, codeMissingField, nil, "no completeness"},
		{`{"kind":"coverage","evidence":"paths","completeness":"complete"}`, codeIllegalValue, nil, "ownership, execution, egress, binding, roles"},
		{`{"kind":"coverage","evidence":"roles","completeness":"full"}`, codeIllegalValue, nil, "complete, partial"},
		{`{"kind":"coverage","evidence":"execution","completeness":"complete","from":"2026-03-02T00:00:00Z","to":"2026-03-01T00:00:00Z"}`, codeWindowReversed, nil, "before it begins"},
		{`{"kind":"coverage","evidence":"execution","completeness":"complete","maxAgeDays":0}`, codeOutOfRange, nil, "36500"},
		{`{"kind":"coverage","evidence":"execution","completeness":"complete","maxAgeDays":36501}`, codeOutOfRange, nil, ""},
		{`{"kind":"coverage","evidence":"execution","completeness":"x","entity":{"kind":"workload","id":"a"}}`, codeIllegalValue, a, ""},
		{`{"kind":"coverage","evidence":"execution","completeness":"complete","entity":"a"}`, codeWrongType, nil, "one of workload, identity"},
		{`{"kind":"workload","id":"a","createdAt":"2026-03-02"}`, codeBadTime, a, "RFC 3339"},
		{`{"kind":"workload","id":"a","createdAt":"2026-03-02T08:00:00"}`, codeBadTime, a, "RFC 3339"},
		{`{"kind":"workload","id":"a","createdAt":1767225600}`, codeWrongType, a, "a string"},
		{`{"kind":"workload","id":"a","createdAt":"0001-01-01T00:00:00Z"}`, codeBadTime, a, "leave the field out"},
		{`{"kind":"workload","id":"a","createdAt":"9999-12-31T23:59:59-23:00"}`, codeBadTime, a, ""},
		{`{"kind":"workload","id":"a","createdAt":"2026-03-02T12:05:01Z"}`, codeTimeInFuture, a, "future"},
		{`{"kind":"coverage","evidence":"execution","completeness":"complete","to":"2026-03-03T00:00:00Z"}`, codeTimeInFuture, nil, "future"},
	}
	seen := make(map[string]bool)
	for i, c := range cases {
		seen[c.code] = true
		t.Run(fmt.Sprintf("%03d %s", i, c.code), func(t *testing.T) {
			t.Parallel()
			kind := "unreadable"
			if found := regexp.MustCompile(`^\{"kind":"(\w+)"`).FindStringSubmatch(c.line); found != nil {
				kind = found[1]
			}
			// Between two good lines, which are both read.
			good := `{"kind":"role","id":"good"}`
			input := headerLine + "\n" + good + "\n" + c.line + "\n" + good + "\n"
			if kind == "role" {
				input += `{"kind":"trailer","records":3,"counts":{"role":3}}`
			} else {
				input += fmt.Sprintf(`{"kind":"trailer","records":3,"counts":{"role":2,%q:1}}`, kind)
			}
			var got collector
			require.NoError(t, Options{Now: now}.Parse("f.ndjson", strings.NewReader(input), nil, &got))
			require.Len(t, got.records, 2)
			require.Len(t, got.rejections, 1)
			r := got.rejections[0]
			require.Equal(t, record.Position{File: "f.ndjson", Line: 3}, r.Position)
			require.Equal(t, c.code, r.Code, r.Reason)
			require.Equal(t, c.entity, r.Entity)
			require.Contains(t, r.Reason, c.says)
			require.Less(t, len(r.Reason), 600, "a reason does not echo hostile input")
		})
	}
	t.Run("every code has a case", func(t *testing.T) {
		t.Parallel()
		source, err := os.ReadFile("fault.go")
		require.NoError(t, err)
		_, records, _ := strings.Cut(string(source), "faults of a record")
		for _, code := range regexp.MustCompile(`= "([A-Z_0-9]+)"`).FindAllStringSubmatch(records, -1) {
			require.True(t, seen[code[1]], code[1])
		}
	})
}

func TestWhatIsAccepted(t *testing.T) {
	t.Parallel()
	only := func(t *testing.T, line string) record.Fact {
		t.Helper()
		kind := regexp.MustCompile(`"kind"\s*:\s*"(\w+)"`).FindStringSubmatch(line)[1]
		var got collector
		require.NoError(t, Options{Now: now}.Parse("f", strings.NewReader(framed(kind, line)), nil, &got))
		require.Empty(t, got.rejections)
		require.Len(t, got.records, 1)
		return got.records[0].Fact
	}
	inventory := func(kind record.EntityKind, id string) record.Entity {
		return record.Entity{Ref: record.Ref{Kind: kind, SourceID: id}, Basis: record.Inventory}
	}
	t.Run("upper case", func(t *testing.T) {
		t.Parallel()
		want := inventory(record.Workload, "a")
		want.Status, want.ExecutionMode, want.Basis = record.Active, record.OperatorAssisted, record.Manifest
		require.Equal(t, want, only(t, `{"kind":"WORKLOAD","id":"a","status":"ACTIVE","executionMode":"OPERATOR_ASSISTED","basis":"MANIFEST"}`))
		require.Equal(t, record.Coverage{Kind: record.Roles, Partial: true}, only(t, `{"kind":"coverage","evidence":"ROLES","completeness":"PARTIAL"}`))
	})
	t.Run("strings beside each other", func(t *testing.T) {
		t.Parallel()
		for _, long := range []string{"x", strings.Repeat("x", maxArtifact)} { // of lines that are kept as a whole, and not
			want := inventory(record.Workload, "née a")
			want.System, want.Name, want.Environment, want.OwnerTeam = "c\"d", "\u2028", "prod\\", "team"
			want.ArtifactIdentifier, want.Labels = long, map[string]string{"k\"": "v", "l": "é", "m": ""}
			require.Equal(t, want, only(t, `{"kind":"workload", "id":"née a","system":"c\"d","artifactIdentifier":"`+long+
				`","name":"\u2028","environment":"prod\\","labels":{"k\"":"v","l":"\u00e9","m":""},"ownerTeam":"team"}`))
		}
	})
	t.Run("null and empty say nothing", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, inventory(record.Workload, "a"), only(t,
			`{"kind":"workload","id":"a","name":null,"status":"","createdAt":"","executionMode":null,"labels":null,"basis":null,"system":""}`))
		require.Equal(t, record.Edge{Kind: record.Declares, From: record.Ref{Kind: record.Workload, SourceID: "a"},
			To: record.Ref{Kind: record.Resource, SourceID: "b"}}, only(t, `{"kind":"declares","workload":"a","resource":"b","actions":[]}`))
		require.False(t, only(t, `{"kind":"grants","role":"a","scope":"*","resource":"b","actions":["x"],"effective":null}`).(record.Edge).Ineffective)
	})
	t.Run("kind last, spaces, escapes", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, inventory(record.Role, "a/\"\\😀é"), only(t, ` { "id" : "\u0061\/\"\\\ud83d\uDE00é" , "kind" : "role" } `))
	})
	t.Run("references in every form", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, record.Edge{Kind: record.RunsAs, From: record.Ref{Kind: record.Workload, SourceID: "a"},
			To: record.Ref{Kind: record.Identity, System: "s", SourceID: "b"}},
			only(t, `{"kind":"runs_as","workload":{"kind":"workload","id":"a"},"identity":{"system":"s","id":"b"}}`))
	})
	t.Run("times", func(t *testing.T) {
		t.Parallel()
		want := inventory(record.Owner, "a")
		want.LastActiveAt = time.Date(2026, 3, 2, 12, 5, 0, 0, time.UTC)
		require.Equal(t, want, only(t, `{"kind":"owner","id":"a","lastActiveAt":"2026-03-02T14:05:00+02:00"}`), "five minutes ahead are a difference of clocks")
		require.Equal(t, 1<<53, only(t, `{"kind":"evidence","identity":"a","day":"2026-03-02","count":9007199254740992}`).(record.Evidence).Count)
		var got collector
		require.NoError(t, Parse("f", strings.NewReader(framed("owner", `{"kind":"owner","id":"a","lastActiveAt":"2999-01-01T00:00:00Z"}`)), nil, &got))
		require.Len(t, got.records, 1, "without a now there is no future")
	})
	t.Run("limits", func(t *testing.T) {
		t.Parallel()
		require.Len(t, only(t, `{"kind":"role","id":"`+strings.Repeat("x", 1024)+`"}`).(record.Entity).SourceID, 1024)
		actions := strings.TrimSuffix(strings.Repeat(`"`+strings.Repeat("x", 200)+`",`, 1024), ",")
		require.Len(t, only(t, `{"kind":"grants","role":"a","scope":"*","resource":"b","actions":[`+actions+`]}`).(record.Edge).Actions, 1024)
		require.NoError(t, Parse("f", strings.NewReader(headerLine+strings.Repeat(" ", maxLine-len(headerLine))+"\n"+`{"kind":"trailer","records":0,"counts":{}}`), nil, &collector{}))
	})
	t.Run("frames", func(t *testing.T) {
		t.Parallel()
		for name, input := range map[string]string{
			"CRLF and blank lines":    strings.ReplaceAll(framed("role", `{"kind":"role","id":"a"}`), "\n", "\r\n\r\n"),
			"byte order mark":         "\xef\xbb\xbf" + framed("role", `{"kind":"role","id":"a"}`),
			"no line end at the end":  strings.TrimSuffix(framed("role", `{"kind":"role","id":"a"}`), "\n"),
			"unknown kind counted":    framed("shiny", `{"kind":"shiny"}`),
			"broken line counted":     framed("role", `{"kind":"ro`),
			"broken line, other kind": framed("owner", "\x00"),
		} {
			for step, r := range []io.Reader{strings.NewReader(input), iotest.OneByteReader(strings.NewReader(input)), iotest.DataErrReader(strings.NewReader(input))} {
				var got collector
				require.NoError(t, Parse("f", r, nil, &got), "%s %d", name, step)
				require.Equal(t, 1, len(got.records)+len(got.rejections), name)
			}
		}
	})
	t.Run("many unknown kinds", func(t *testing.T) {
		t.Parallel()
		var lines []string
		for i := range 1000 {
			lines = append(lines, fmt.Sprintf(`{"kind":"k%d"}`, i))
		}
		require.NoError(t, Parse("f", strings.NewReader(headerLine+"\n"+strings.Join(lines, "\n")+"\n"+
			fmt.Sprintf(`{"kind":"trailer","records":1000,"counts":{%s"z":936}}`, firstKinds(64))), nil, &collector{}))
	})
}

func firstKinds(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"k%d":1,`, i)
	}
	return b.String()
}

var errStop = errors.New("stop")

// stopper ends a parse.
type stopper struct{ collector }

func (*stopper) Record(record.Record) error    { return errStop }
func (*stopper) Reject(record.Rejection) error { return errStop }

func TestErrorsOfOthers(t *testing.T) {
	t.Parallel()
	input := framed("role", `{"kind":"role","id":"a"}`)
	require.ErrorIs(t, Parse("f", strings.NewReader(input), func(Header) error { return errStop }, &collector{}), errStop)
	require.ErrorIs(t, Parse("f", strings.NewReader(input), nil, &stopper{}), errStop)
	require.ErrorIs(t, Parse("f", strings.NewReader(framed("x", "{")), nil, &stopper{}), errStop)

	// Wherever the input breaks, its error comes through.
	for cut := range len(input) {
		broken := func(cause error) error {
			return Parse("f", io.MultiReader(strings.NewReader(input[:cut]), iotest.ErrReader(cause)), nil, &collector{})
		}
		require.ErrorIs(t, broken(errStop), errStop)
		err := broken(io.ErrUnexpectedEOF)
		var fault *problem.Error
		require.ErrorAs(t, err, &fault, "cut at %d", cut)
		require.Equal(t, codeTruncated, fault.Code)
	}
}

// A snapshot that was cut anywhere is a fault of the file.
func TestEveryCut(t *testing.T) {
	t.Parallel()
	example, err := os.ReadFile("testdata/example.ndjson")
	require.NoError(t, err)
	for cut := range len(example) - 1 {
		err := Parse("f", bytes.NewReader(example[:cut]), nil, &collector{})
		var fault *problem.Error
		require.ErrorAs(t, err, &fault, "cut at %d", cut)
	}
}

// counter looks at the heap from time to time and keeps nothing.
type counter struct {
	records, rejections int
	peak                uint64
}

func (c *counter) Record(record.Record) error {
	if c.records++; c.records%100_000 == 0 {
		c.peak = max(c.peak, live())
	}
	return nil
}
func (c *counter) Reject(record.Rejection) error { c.rejections++; return nil }
func (c *counter) Warn(record.Warning) error     { return nil }

func live() uint64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// Not parallel: it measures the heap of the whole process.
func TestMemoryIsBounded(t *testing.T) {
	const size = 50 << 20
	r, w := io.Pipe()
	go func() {
		long := []byte(`{"kind":"workload","id":"a","name":"` + strings.Repeat("x", maxLine/2) + "\"}\n")
		line := []byte(`{"kind":"has_role","identity":"svc-invoice","role":"billing-writer","scope":"finance"}` + "\n")
		flat := []byte(`{"kind":"x","x":[` + strings.TrimSuffix(strings.Repeat("0,", maxLine/3), ",") + "]}\n")
		_, _ = io.WriteString(w, headerLine+"\n")
		_, _ = w.Write(long)
		_, _ = w.Write(flat)
		batch := bytes.Repeat(line, 1000)
		for sent := 0; sent < size; sent += len(batch) {
			_, _ = w.Write(batch)
		}
		_ = w.CloseWithError(errStop)
	}()
	before := live()
	var got counter
	require.ErrorIs(t, Parse("f", r, nil, &got), errStop)
	require.Greater(t, got.records, size/100)
	require.Equal(t, 2, got.rejections)
	require.Less(t, got.peak, before+20<<20)
}
