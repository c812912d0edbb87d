package redteam

import (
	"context"
	"strings"
	"sync"
)

// valueRows are values that no column can hold, or that no list is as long as.
func valueRows() []Row {
	const byVariable = `query($n:Int){organization(slug:\"acme\"){authorityPaths(first:$n){totalCount}}}`
	number := func(value string, wants ...want) []Check {
		wants = append(wants, noFault, without("totalCount"))
		return []Check{
			sending(value+" in a variable", func(ctx context.Context, a *Attack) (*answer, error) {
				return a.member.post(ctx, []byte(`{"query":"`+byVariable+`","variables":{"n":`+value+`}}`), plainJSON)
			}, wants...),
			document(value+" in the document", constant(`{organization(slug:"acme"){authorityPaths(first:`+value+`){totalCount}}}`), wants...),
		}
	}
	var ints []Check
	for _, value := range []string{"3000000000", "3e9", "-2147483649", "1e400", "1.5", `"12"`, "true"} {
		ints = append(ints, number(value, begins(badInput, validation, badRequest, "LIMIT_COST"))...)
	}
	for _, value := range []string{"-1", "0", "1000000000"} {
		ints = append(ints, number(value, begins("PAGE_SIZE", "LIMIT_COST"))...)
	}

	const named = `query($s:String!){organization(slug:$s){id}}`
	text := func(request string, raw func() string, wants ...want) Check {
		body := sync.OnceValue(func() []byte { return []byte(`{"query":"` + named + `","variables":{"s":"` + raw() + `"}}`) })
		return sending(request, func(ctx context.Context, a *Attack) (*answer, error) { return a.member.post(ctx, body(), plainJSON) }, append(wants, noFault)...)
	}
	texts := []Check{
		text("invalid UTF-8", constant("a\xff\xfeb"), is(400, badInput)),
		text("half of a surrogate pair", constant(`a\ud800b`), is(400, badInput)),
		text("the other half", constant(`a\udc00b`), is(400, badInput)),
		text("NUL", constant(`a\u0000b`), is(400, badInput)),
		text("NUL as it is", constant("a\x00b"), is(400, badInput)),
		document("NUL in the document", constant(`{organization(slug:"a\u0000b"){id}}`), is(400, badInput)),
		document("half of a surrogate pair in the document", constant(`{organization(slug:"a\ud800b"){id}}`), is(400, badInput)),
		text("1 MB", repeated("", "x", 1<<20, ""), is(413, tooLarge)),
		text("200 kB, which the body has room for", repeated("", "x", 200_000, ""), refusedAs(200, 400)),
		text("from right to left", constant(`\u202eacme\u202c\u200f`), refusedAs(200, 400)),
		text("control characters", constant(`a\u0001\u001b[2J\u0007\u007f\u0085b`), refusedAs(200, 400)),
		text("SQL and markup", constant(`acme' OR 1=1 --; <script>alert(1)</script> ${7*7}`), refusedAs(200, 400), without("acme")),
	}
	for _, row := range [][2]string{
		{"no id", "nonsense"}, {"an id with NUL", `a\u0000`}, {"an id without end", strings.Repeat("A", 100_000)}, {"an id of nothing", "AAAA"},
	} {
		texts = append(texts, document("node of "+row[0], constant(`{node(id:"`+row[1]+`"){id}}`), refusedAs(200, 400), noFault))
	}
	return []Row{
		{Number: "15", Name: "numbers", Checks: ints},
		{Number: "16", Name: "text", Checks: texts},
	}
}
