package redteam

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// want is something that must be so of an answer.
type want func(*answer) error

// is wants a status and one error with the code.
func is(status int, code string) want {
	return func(got *answer) error {
		if codes := got.codes(); got.status != status || !slices.Equal(codes, []string{code}) {
			return fmt.Errorf("wanted %d %s alone, got %d %q: %.300s", status, code, got.status, codes, got.body)
		}
		return nil
	}
}

// noData wants that nothing was answered.
func noData(got *answer) error {
	if got.hasData() {
		return fmt.Errorf("there is data: %.300s", got.body)
	}
	return nil
}

// below wants a short answer.
func below(size int) want {
	return func(got *answer) error {
		if len(got.body) >= size {
			return fmt.Errorf("the answer has %d bytes and may have %d: %.300s", len(got.body), size, got.body)
		}
		return nil
	}
}

// without wants that the answer does not hold a text.
func without(text string) want {
	return func(got *answer) error {
		if bytes.Contains(got.body, []byte(text)) {
			return fmt.Errorf("the answer holds %q: %.300s", text, got.body)
		}
		return nil
	}
}

// noFault wants that the caller is not told of a fault of the server.
func noFault(got *answer) error {
	if got.status >= http.StatusInternalServerError || slices.Contains(got.codes(), "INTERNAL") {
		return fmt.Errorf("a fault of the server: %d: %.300s", got.status, got.body)
	}
	return nil
}

// begins wants one of the codes in the first error.
func begins(codes ...string) want {
	return func(got *answer) error {
		if has := got.codes(); len(has) == 0 || !slices.Contains(codes, has[0]) {
			return fmt.Errorf("wanted one of %q, got %d %q: %.300s", codes, got.status, has, got.body)
		}
		return nil
	}
}

// oneOf wants one of the codes, no fault of the server, and no data.
func oneOf(codes ...string) want {
	return func(got *answer) error { return errors.Join(begins(codes...)(got), noData(got), noFault(got)) }
}

func judged(got *answer, err error, wants ...want) (string, error) {
	if err != nil {
		return "", err
	}
	for _, holds := range wants {
		if err := holds(got); err != nil {
			return got.String(), err
		}
	}
	return got.String(), nil
}

// sending is a check of one request.
func sending(request string, send func(ctx context.Context, a *Attack) (*answer, error), wants ...want) Check {
	return Check{Request: request, Run: func(ctx context.Context, a *Attack) (string, error) {
		got, err := send(ctx, a)
		return judged(got, err, wants...)
	}}
}

// document is a check of a document that a member sends.
func document(request string, text func() string, wants ...want) Check {
	body := sync.OnceValue(func() []byte { return bodyOf(text()) })
	return sending(request, func(ctx context.Context, a *Attack) (*answer, error) { return a.member.post(ctx, body(), plainJSON) }, wants...)
}

// fast is a check of a document that is answered in time: the best of a few times
// counts, as the others show what else the machine did.
func fast(request string, within time.Duration, text func() string, wants ...want) Check {
	body := sync.OnceValue(func() []byte { return bodyOf(text()) })
	return Check{Request: request + ", within " + within.String(), Run: func(ctx context.Context, a *Attack) (string, error) {
		best := time.Duration(0)
		for try := range 50 {
			if try >= 10 { // the machine is busy: it may be less so in a moment
				time.Sleep(20 * time.Millisecond)
			}
			got, err := a.member.post(ctx, body(), plainJSON)
			short, err := judged(got, err, wants...)
			if err != nil {
				return short, err
			}
			if best == 0 || got.took < best {
				best = got.took
			}
			if best < within*time.Duration(a.Patience) {
				return fmt.Sprintf("%s, %.1f ms", short, float64(best.Microseconds())/1000), nil
			}
		}
		return best.String(), fmt.Errorf("it took %s and may take %s", best, within*time.Duration(a.Patience))
	}}
}

func constant(text string) func() string { return func() string { return text } }

func repeated(before, text string, times int, after string) func() string {
	return func() string { return before + strings.Repeat(text, times) + after }
}

// numbered repeats a text with a number in the place of each N.
func numbered(before, text string, times int, after string) func() string {
	return func() string {
		var b strings.Builder
		b.WriteString(before)
		for i := range times {
			b.WriteString(strings.ReplaceAll(text, "N", strconv.Itoa(i)))
		}
		return b.String() + after
	}
}

// doubling is a chain of fragments of which each spreads the next one twice.
func doubling(levels int, both string) func() string {
	return func() string {
		var b strings.Builder
		b.WriteString(`{organization(slug:"acme"){...F0}}`)
		for i := range levels {
			fmt.Fprintf(&b, " fragment F%d on Organization{%s}", i, strings.ReplaceAll(both, "F", fmt.Sprintf("...F%d", i+1)))
		}
		fmt.Fprintf(&b, " fragment F%d on Organization{id}", levels)
		return b.String()
	}
}

const (
	inPaths     = `{organization(slug:"acme"){authorityPaths(first:1){nodes{`
	inClusters  = `cluster{authorityPaths(first:1){nodes{` // of a path, and so on
	tokenLimit  = "LIMIT_TOKENS"
	parseFailed = "GRAPHQL_PARSE_FAILED"
	validation  = "GRAPHQL_VALIDATION_FAILED"
	badInput    = "BAD_USER_INPUT"
	badRequest  = "BAD_REQUEST"
	tooLarge    = "BODY_TOO_LARGE"
)

// documentRows are the documents that take a server long, or end it.
func documentRows() []Row {
	nested := func() string {
		return inPaths + strings.Repeat(`workload{authorityPaths(first:1){nodes{`, 40) + "id" + strings.Repeat("}}}", 41) + "}"
	}
	return []Row{
		{Number: "1", Name: "alias overload", Checks: []Check{
			document("101 x aN:__typename", numbered("{", "aN:__typename ", 101, "}"), is(400, "LIMIT_ALIASES")),
			document("60 x aN:exposures(first:1){...} of one object", numbered(`{organization(slug:"acme"){`, "aN:exposures(first:1){totalCount} ", 60, "}}"), is(400, "LIMIT_ALIASES")),
			document("101 x aN:organization{exposures(first:1){...}}", numbered("{", `aN:organization(slug:"acme"){exposures(first:1){totalCount}} `, 101, "}"), oneOf("LIMIT_ALIASES", tokenLimit), status(400)),
		}},
		{Number: "2", Name: "directive overload", Checks: []Check{
			document("__typename @aa x10", repeated("{__typename ", "@aa ", 10, "}"), is(400, "LIMIT_DIRECTIVES"), below(4096)),
			document("__typename @include(if:true) x500", repeated("{__typename ", "@include(if:true) ", 500, "}"), is(400, tokenLimit), below(4096)),
			document("60 fields with @include(if:true)", numbered("{viewer{", "subject @include(if:true) ", 60, "}}"), is(400, "LIMIT_DIRECTIVES"), below(4096)),
		}},
		{Number: "3", Name: "circular fragment", Checks: bothTypes("A spreads B spreads A",
			bodyOf(`{organization(slug:"acme"){...A}} fragment A on Organization{...B} fragment B on Organization{...A}`), validation)},
		{Number: "4", Name: "fragment doubling", Checks: []Check{
			fast("25 levels, each spreads the next twice", 5*time.Millisecond, doubling(25, "F F"), is(400, "LIMIT_COST")),
			fast("25 levels, under two names", 5*time.Millisecond, doubling(25, "F x:id F"), status(400), noData),
		}},
		{Number: "6", Name: "deep nesting", Checks: []Check{
			fast("120 levels of lists in lists", 5*time.Millisecond, nested, is(400, "LIMIT_DEPTH")),
			document("1,000,000 x {a", repeated("", "{a", 1_000_000, ""), is(413, tooLarge)),
			document("2,000,000 x [ as an argument", repeated(`{node(id:`, "[", 2_000_000, ""), is(413, tooLarge)),
			fast("120,000 x {a, which the body has room for", 5*time.Millisecond, repeated("", "{a", 120_000, ""), is(400, tokenLimit)),
			fast("250,000 x [, which the body has room for", 5*time.Millisecond, repeated(`{node(id:`, "[", 250_000, ""), is(400, tokenLimit)),
		}},
		{Number: "7", Name: "field duplication", Checks: []Check{
			fast("500 x __typename", 20*time.Millisecond, repeated("{", "__typename ", 500, "}"), status(400), noData),
			fast("500 x __typename below a field", 20*time.Millisecond, repeated("{viewer{", "__typename ", 500, "}}"), status(400), noData),
			fast("8,000 x __typename", 20*time.Millisecond, repeated("{", "__typename ", 8000, "}"), is(400, tokenLimit)),
		}},
		{Number: "8", Name: "overlapping inline fragments", Checks: []Check{
			fast("200 x 100 inline fragments", 20*time.Millisecond, repeated("{", "viewer{"+strings.Repeat("...{subject}", 100)+"}", 200, "}"), refusedAs(400, 413)),
			fast("101 inline fragments side by side", 20*time.Millisecond, numbered("{viewer{", "...{subject}", 101, "}}"), is(400, "LIMIT_FRAGMENTS")),
		}},
		{Number: "17", Name: "syntax", Checks: slices.Concat(
			bothTypes(`{node(id:"abc){id}}`, bodyOf(`{node(id:"abc){id}}`), parseFailed),
			bothTypes(`{node(id:"""abc){id}}`, bodyOf(`{node(id:"""abc){id}}`), parseFailed),
			bothTypes("{", bodyOf("{"), parseFailed),
			bothTypes("no text at all", bodyOf(""), validation),
			bothTypes("only comments", bodyOf("# a\n# b\n"), validation),
			[]Check{document("a comment of 1 MB", repeated("#", "x", 1<<20, ""), is(413, tooLarge))},
			bothTypes("a comment of 200 kB, and nothing else", bodyOf("#"+strings.Repeat("x", 200_000)), validation),
		)},
	}
}

func status(code int) want { return refusedAs(code) }

// refusedAs wants one of the statuses.
func refusedAs(statuses ...int) want {
	return func(got *answer) error {
		if !slices.Contains(statuses, got.status) {
			return fmt.Errorf("wanted one of %d, got %d: %.300s", statuses, got.status, got.body)
		}
		return nil
	}
}

// bothTypes are the checks of a faulty document by what its sender reads: to a client
// of application/json it is a well-formed request with errors for an answer, to one of
// the media type of GraphQL a 400.
func bothTypes(request string, body []byte, code string) []Check {
	as := func(accept string, status int) Check {
		return sending(request+" ("+strings.TrimPrefix(accept, "application/")+")", func(ctx context.Context, a *Attack) (*answer, error) {
			return a.member.post(ctx, body, accept)
		}, is(status, code), noData)
	}
	return []Check{as(plainJSON, http.StatusOK), as(graphqlJSON, http.StatusBadRequest)}
}
