package model

import (
	"encoding/json"
	"io"
	"strconv"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// MarshalDateTime writes an instant in UTC to the microsecond.
func MarshalDateTime(t time.Time) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) {
		_, _ = io.WriteString(w, strconv.Quote(t.UTC().Format(time.RFC3339Nano)))
	})
}

// UnmarshalDateTime reads RFC 3339.
func UnmarshalDateTime(v any) (time.Time, error) {
	text, ok := v.(string)
	if !ok {
		return time.Time{}, badInput("an instant is text in RFC 3339, such as 2026-03-01T12:00:00Z")
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, badInput("%q is no instant in RFC 3339, such as 2026-03-01T12:00:00Z", clip(text))
	}
	return t.UTC().Truncate(time.Microsecond), nil
}

// MarshalInt32 writes a whole number.
func MarshalInt32(n int32) graphql.Marshaler { return graphql.MarshalInt32(n) }

// UnmarshalInt32 reads a whole number. Digits in quotes are none: a client that sends
// them takes the field for another one.
func UnmarshalInt32(v any) (int32, error) {
	if _, quoted := v.(string); quoted {
		return 0, badInput("a whole number is expected, and not a text")
	}
	return graphql.UnmarshalInt32(v)
}

// MarshalInt writes a whole number.
func MarshalInt(n int) graphql.Marshaler { return graphql.MarshalInt(n) }

// UnmarshalInt is UnmarshalInt32 for an int: Int has 32 bits wherever it goes.
func UnmarshalInt(v any) (int, error) {
	n, err := UnmarshalInt32(v)
	return int(n), err
}

// MarshalInt64 writes a whole number.
func MarshalInt64(n int64) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) { _, _ = io.WriteString(w, strconv.FormatInt(n, 10)) })
}

// most is the greatest number that every reader of JSON reads exactly.
const most = 1<<53 - 1

// UnmarshalInt64 reads a whole number.
func UnmarshalInt64(v any) (int64, error) {
	whole, ok := int64(0), false
	switch n := v.(type) {
	case int64:
		whole, ok = n, true
	case json.Number:
		read, err := n.Int64()
		whole, ok = read, err == nil
	}
	if !ok || whole < -most || whole > most {
		return 0, badInput("a whole number of at most 2^53 - 1 is expected")
	}
	return whole, nil
}

// MarshalLabels writes labels as a JSON object.
func MarshalLabels(labels map[string]string) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) {
		bytes, err := json.Marshal(labels)
		if err != nil {
			bytes = []byte("null") // texts always marshal
		}
		_, _ = w.Write(bytes)
	})
}

// UnmarshalLabels refuses: labels are never an input, but the generated code
// names both ways of every scalar.
func UnmarshalLabels(any) (map[string]string, error) { return nil, badInput("labels are no input") }

func badInput(format string, args ...any) error {
	return problem.New(problem.Invalid, "BAD_USER_INPUT", format, args...)
}

func clip(text string) string {
	if len(text) > 60 {
		return text[:60] + "…"
	}
	return text
}
