package snapshot

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// Generators of everything that the format can carry.

var (
	// Ranges of what is no control character, with what JSON has to escape.
	runes   = rapid.OneOf(rapid.RuneFrom([]rune(`"\/<>& a:|*{}[]`)), rapid.RuneFrom([]rune("é\u00a0\u2028\u200f\ufeff\ufffd\U0001f600")), rapid.RuneFrom([]rune("abcXYZ019-_.")))
	word    = rapid.StringOfN(runes, 1, 40, maxName)
	words   = rapid.OneOf(rapid.Just(""), word)
	ids     = rapid.StringOfN(runes, 1, 60, maxID)
	moments = rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.Bool().Draw(t, "unsaid") {
			return time.Time{}
		}
		return time.Unix(rapid.Int64Range(1, 4_000_000_000).Draw(t, "second"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanosecond")).UTC()
	})
	days = rapid.Custom(func(t *rapid.T) time.Time {
		return time.Unix(86400*rapid.Int64Range(1, 40_000).Draw(t, "day"), 0).UTC()
	})
	actionLists = rapid.SliceOfN(word, 1, 5)
)

func refs(kinds []record.EntityKind) *rapid.Generator[record.Ref] {
	return rapid.Custom(func(t *rapid.T) record.Ref {
		return record.Ref{Kind: rapid.SampledFrom(kinds).Draw(t, "kind"), System: words.Draw(t, "system"), SourceID: ids.Draw(t, "id")}
	})
}

func maybe(kinds []record.EntityKind) *rapid.Generator[*record.Ref] {
	return rapid.Ptr(refs(kinds), true)
}

func orNone[T ~string](values []T) *rapid.Generator[T] {
	return rapid.SampledFrom(append([]T{""}, values...))
}

func entities() *rapid.Generator[record.Fact] {
	return rapid.Custom(func(t *rapid.T) record.Fact {
		e := record.Entity{
			Ref:          refs(entityKinds).Draw(t, "ref"),
			Basis:        record.Basis(rapid.IntRange(1, 4).Draw(t, "basis")), //nolint:gosec // one of four
			Name:         words.Draw(t, "name"),
			Status:       orNone(statuses).Draw(t, "status"),
			Environment:  words.Draw(t, "environment"),
			OwnerTeam:    words.Draw(t, "team"),
			BusinessTier: words.Draw(t, "tier"),
			SourceType:   words.Draw(t, "type"),
			CreatedAt:    moments.Draw(t, "created"),
		}
		switch e.Kind {
		case record.Workload:
			e.ExecutionMode = orNone(executionModes).Draw(t, "mode")
			e.ArtifactIdentifier = words.Draw(t, "artifact")
		case record.Identity:
			e.LastActiveAt = moments.Draw(t, "active")
		case record.Resource:
			e.DataDomain, e.Sensitivity = words.Draw(t, "domain"), words.Draw(t, "sensitivity")
		case record.Owner:
			e.OwnerType = orNone(ownerTypes).Draw(t, "ownerType")
			e.Title, e.LastActiveAt = words.Draw(t, "title"), moments.Draw(t, "active")
		}
		if labels := rapid.MapOfN(word, words, 0, 5).Draw(t, "labels"); len(labels) > 0 {
			e.Labels = labels
		}
		return e
	})
}

func edges() *rapid.Generator[record.Fact] {
	return rapid.Custom(func(t *rapid.T) record.Fact {
		e := record.Edge{Kind: rapid.SampledFrom([]record.EdgeKind{record.RunsAs, record.HasRole, record.Grants,
			record.OwnedBy, record.CreatedBy, record.Authenticates, record.Declares}).Draw(t, "edge")}
		ends := ties[e.Kind]
		e.From, e.To = refs(ends.fromKind).Draw(t, "from"), refs(ends.toKind).Draw(t, "to")
		switch e.Kind {
		case record.HasRole:
			e.Scope = ids.Draw(t, "scope")
		case record.Grants:
			e.Scope, e.Actions, e.Ineffective = ids.Draw(t, "scope"), actionLists.Draw(t, "actions"), rapid.Bool().Draw(t, "ineffective")
		case record.Authenticates:
			e.Protocol, e.TargetSystem = words.Draw(t, "protocol"), words.Draw(t, "target")
		case record.Declares:
			if rapid.Bool().Draw(t, "verbs") {
				e.Actions = actionLists.Draw(t, "actions")
			}
		}
		return e
	})
}

func observations() *rapid.Generator[record.Fact] {
	return rapid.Custom(func(t *rapid.T) record.Fact {
		switch rapid.IntRange(0, 3).Draw(t, "observation") {
		case 0:
			return record.Egress{Workload: refs(onlyWorkload).Draw(t, "workload"), Host: word.Draw(t, "host"), Category: rapid.SampledFrom(categories).Draw(t, "category")}
		case 1:
			return record.Endpoint{Workload: refs(onlyWorkload).Draw(t, "workload"), Kind: rapid.SampledFrom(endpointKinds).Draw(t, "basis"),
				Value: rapid.SampledFrom([]string{"shop.example.com", "*.example.com", "203.0.113.7", "2001:db8::1"}).Draw(t, "place"),
				Port:  rapid.IntRange(0, 65535).Draw(t, "port")}
		case 2:
			e := record.Evidence{
				Workload: maybe(onlyWorkload).Draw(t, "workload"), Identity: maybe(onlyIdentity).Draw(t, "identity"),
				Resource: maybe(onlyResource).Draw(t, "resource"), Action: words.Draw(t, "action"), Day: days.Draw(t, "day"),
				Count: rapid.IntRange(1, maxCount).Draw(t, "count"), Related: rapid.Bool().Draw(t, "related"),
			}
			if e.Workload == nil && e.Identity == nil {
				e.Identity = &record.Ref{Kind: record.Identity, SourceID: "i"}
			}
			if rapid.Bool().Draw(t, "lastAt") {
				e.LastAt = e.Day.Add(time.Duration(rapid.Int64Range(0, int64(day)-1).Draw(t, "time")))
			}
			return e
		}
		c := record.Coverage{
			Kind: rapid.SampledFrom(evidenceKinds).Draw(t, "kind"), Entity: maybe(entityKinds).Draw(t, "entity"),
			Partial: rapid.Bool().Draw(t, "partial"), From: moments.Draw(t, "from"), To: moments.Draw(t, "to"),
			MaxAge: time.Duration(rapid.IntRange(0, maxMaxAgeDays).Draw(t, "age")) * day,
		}
		if c.To.Before(c.From) && !c.To.IsZero() {
			c.From, c.To = c.To, c.From
		}
		return c
	})
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		header := Header{Version: 1, Source: words.Draw(t, "source"), System: words.Draw(t, "system"),
			ObservedAt: moments.Draw(t, "observed"), Partial: rapid.Bool().Draw(t, "partial")}
		facts := rapid.SliceOfN(rapid.OneOf(entities(), edges(), observations()), 0, 20).Draw(t, "facts")

		var out bytes.Buffer
		w := NewWriter(&out, header)
		for _, fact := range facts {
			require.NoError(t, w.Write(record.Record{Fact: fact}))
		}
		require.NoError(t, w.Close())

		var got collector
		var back Header
		require.NoError(t, Parse("f", &out, func(h Header) error { back = h; return nil }, &got))
		require.Empty(t, got.rejections)
		require.Equal(t, header, back)
		require.Len(t, got.records, len(facts))
		for i, r := range got.records {
			require.Equal(t, i+2, r.Line)
			require.Equal(t, facts[i], r.Fact)
		}
	})
}

func TestWriterTakesWhatMeansTheSame(t *testing.T) {
	t.Parallel()
	local := time.FixedZone("CET", 3600)
	var out bytes.Buffer
	w := NewWriter(&out, Header{ObservedAt: time.Date(2026, 3, 2, 1, 0, 0, 0, local)})
	require.NoError(t, w.Write(record.Record{Fact: record.Entity{
		Ref: record.Ref{Kind: record.Owner, SourceID: "o"}, LastActiveAt: time.Date(2026, 3, 2, 1, 0, 0, 0, local), Labels: map[string]string{},
	}}))
	require.NoError(t, w.Close())
	require.Equal(t, `{"kind":"header","format":"exposuregraph-snapshot","version":1,"observedAt":"2026-03-02T00:00:00Z"}
{"kind":"owner","id":"o","lastActiveAt":"2026-03-02T00:00:00Z"}
{"kind":"trailer","records":1,"counts":{"owner":1}}
`, out.String())
}

func TestWriterRefuses(t *testing.T) {
	t.Parallel()
	workload := record.Ref{Kind: record.Workload, SourceID: "a"}
	identity := record.Ref{Kind: record.Identity, SourceID: "b"}
	cases := []struct {
		name string
		fact record.Fact
		code string
	}{
		{"nothing", nil, codeRecordUnwritable},
		{"a pointer", &record.Egress{}, codeRecordUnwritable},
		{"no kind", record.Entity{}, codeMissingField},
		{"a kind that is a frame", record.Entity{Ref: record.Ref{Kind: "trailer", SourceID: "a"}}, codeUnknownKind},
		{"an unknown edge", record.Edge{Kind: "knows", From: workload, To: identity}, codeRecordUnwritable},
		{"a basis that is none", record.Entity{Ref: workload, Basis: 9}, codeIllegalValue},
		{"an attribute of another kind", record.Entity{Ref: workload, Sensitivity: "restricted"}, codeUnknownField},
		{"a scope that the edge has not", record.Edge{Kind: record.RunsAs, From: workload, To: identity, Scope: "*"}, codeUnknownField},
		{"the wrong kind", record.Edge{Kind: record.RunsAs, From: identity, To: identity}, codeWrongKind},
		{"an enumeration in capitals", record.Entity{Ref: workload, Status: "ACTIVE"}, codeRecordUnwritable},
		{"broken text", record.Entity{Ref: workload, Name: "a\xff"}, codeNotUTF8},
		{"a NUL", record.Entity{Ref: workload, Name: "a\x00"}, codeControlCharacter},
		{"a time of day for a day", record.Evidence{Workload: &workload, Day: now, Count: 1}, codeRecordUnwritable},
		{"half a day", record.Coverage{Kind: record.Roles, MaxAge: 36 * time.Hour}, codeRecordUnwritable},
		{"no count", record.Evidence{Workload: &workload, Day: now.Truncate(day)}, codeOutOfRange},
		{"a kind of a reference that the field implies", record.Evidence{Workload: &identity, Day: now.Truncate(day), Count: 1}, codeWrongKind},
		{"a long line", record.Edge{Kind: record.Declares, From: workload, To: record.Ref{Kind: record.Resource, SourceID: "r"},
			Actions: strings.Split(strings.Repeat(strings.Repeat("x", 500)+" ", 3000), " ")[:3000]}, codeLineTooLong},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			w := NewWriter(&out, Header{})
			err := w.Write(record.Record{Fact: c.fact})
			var fault *problem.Error
			require.ErrorAs(t, err, &fault)
			require.Equal(t, c.code, fault.Code, fault.Message)
			// It goes on without the record.
			require.NoError(t, w.Write(record.Record{Fact: record.Entity{Ref: workload}}))
			require.NoError(t, w.Close())
			var got collector
			require.NoError(t, Parse("f", &out, nil, &got))
			require.Len(t, got.records, 1)
		})
	}
}

func TestWriterHeaderAndClose(t *testing.T) {
	t.Parallel()
	for code, header := range map[string]Header{
		codeVersion:       {Version: 2},
		codeHeaderInvalid: {System: strings.Repeat("x", 513)},
		codeNotUTF8:       {Source: "\xff"},
	} {
		w := NewWriter(io.Discard, header)
		for _, err := range []error{w.Write(record.Record{}), w.Close(), w.Close()} {
			var fault *problem.Error
			require.ErrorAs(t, err, &fault)
			require.Equal(t, code, fault.Code)
		}
	}
	var out bytes.Buffer
	w := NewWriter(&out, Header{})
	require.NoError(t, w.Close())
	require.NoError(t, w.Close())
	require.Error(t, w.Write(record.Record{Fact: record.Entity{Ref: record.Ref{Kind: record.Role, SourceID: "r"}}}))
	require.NoError(t, Parse("f", &out, nil, &collector{}), "a snapshot without records is one")

	reader, writer := io.Pipe()
	require.NoError(t, reader.CloseWithError(errStop))
	require.ErrorIs(t, NewWriter(writer, Header{}).Close(), errStop)
}
