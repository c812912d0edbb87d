package redteam

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const echoed = "AYW7Q2" // a text that no answer may repeat

// requestRows are requests that are no such requests, or come from elsewhere.
func requestRows() []Row {
	return []Row{
		{Number: "5", Name: "array batching", Checks: []Check{
			sending("[{query}, ...] x10", func(ctx context.Context, a *Attack) (*answer, error) {
				one := `{"query":"{ ` + echoed + `: __typename }"}`
				return a.member.post(ctx, []byte("["+strings.Repeat(one+",", 9)+one+"]"), plainJSON)
			}, is(400, "BATCH_UNSUPPORTED"), without(echoed)),
			sending("broken JSON", func(ctx context.Context, a *Attack) (*answer, error) {
				return a.member.post(ctx, []byte(`{"query": `+echoed+`}`), plainJSON)
			}, is(400, badRequest), without(echoed)),
		}},
		{Number: "9", Name: "GET mutation, GET subscription", Checks: []Check{
			sending("GET ?query=mutation{...}", func(ctx context.Context, a *Attack) (*answer, error) {
				return a.attacker.get(ctx, `mutation { evaluateOrganization(input: {organization: "rival"}) { userErrors { code } } }`)
			}, refusedAs(405, 406), noData),
			sending("GET ?query=subscription{...}", func(ctx context.Context, a *Attack) (*answer, error) {
				return a.attacker.get(ctx, `subscription { exposureChanges(organization: "rival") { seq } }`)
			}, refusedAs(405, 406), noData),
			sending("POST subscription, that asks for no stream", func(ctx context.Context, a *Attack) (*answer, error) {
				return a.attacker.ask(ctx, `subscription { exposureChanges(organization: "rival") { seq } }`)
			}, refusedAs(405, 406), noData),
		}},
		{Number: "10", Name: "CSRF", Checks: append(forgeries(), sideEffect())},
		{Number: "14", Name: "huge variables", Checks: []Check{
			poured("20 MB, announced", true),
			poured("20 MB, in chunks", false),
			variables("a list of 1,000,000", func() string { return `{"a":[` + strings.Repeat("1,", 999_999) + `1]}` }, is(413, tooLarge)),
			variables("a list of 100,000, which the body has room for", func() string { return `{"a":[` + strings.Repeat("1,", 99_999) + `1]}` }, is(400, badInput)),
			variables("objects 10,000 deep", func() string { return strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000) }, is(400, badInput)),
			variables("lists 10,000 deep", func() string { return `{"a":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + "}" }, is(400, badInput)),
		}},
	}
}

// variables is a check of variables, as the text of an object.
func variables(request string, text func() string, wants ...want) Check {
	body := sync.OnceValue(func() []byte { return []byte(`{"query":"{ __typename }","variables":` + text() + `}`) })
	return sending(request, func(ctx context.Context, a *Attack) (*answer, error) { return a.member.post(ctx, body(), plainJSON) }, append(wants, below(4096))...)
}

func poured(request string, announced bool) Check {
	const chunk, times = 64 << 10, 320
	return sending(request, func(ctx context.Context, a *Attack) (*answer, error) {
		if announced {
			return a.member.pour(ctx, a.member.headOf(fmt.Sprintf("Content-Length: %d", chunk*times)), bytes.Repeat([]byte(" "), chunk), times)
		}
		framed := append(append([]byte("10000\r\n"), bytes.Repeat([]byte(" "), chunk)...), "\r\n"...)
		return a.member.pour(ctx, a.member.headOf("Transfer-Encoding: chunked"), framed, times)
	}, is(413, tooLarge))
}

// forged is a mutation that would do something: it makes a key known. That its text
// is another one each time keeps one that did it from hiding the next.
func forged() string {
	return `mutation { acknowledgeExposure(input: {exposure: "EXPOSURE", expectedVersion: VERSION, justification: "forged", idempotencyKey: "` + fmt.Sprint(now().UnixNano()) + `"}) { userErrors { code } } }`
}

// exposure is one of an organization that is open, and its version.
func (a *Attack) exposure(ctx context.Context, slug string) (id string, version int, err error) {
	var found struct {
		Organization struct {
			Exposures struct {
				Nodes []struct {
					ID      string
					Version int
				}
			}
		}
	}
	err = a.admin.read(ctx, &found, `query($slug: String!) { organization(slug: $slug) { exposures(first: 1, filter: {status: [ACTIVE]}) { nodes { id version } } } }`, "slug", slug)
	if err != nil {
		return "", 0, err
	}
	if len(found.Organization.Exposures.Nodes) == 0 {
		return "", 0, fmt.Errorf("%s has no open exposure", slug)
	}
	one := found.Organization.Exposures.Nodes[0]
	return one.ID, one.Version, nil
}

// mutation is one that does something in rival, if it is let in.
func (a *Attack) mutation(ctx context.Context) (string, error) {
	id, version, err := a.exposure(ctx, rival)
	if err != nil {
		return "", err
	}
	return strings.NewReplacer("EXPOSURE", id, "VERSION", fmt.Sprint(version)).Replace(forged()), nil
}

// forgeries are requests that a page of another origin can have a browser send
// without asking first. They come with the token, so that nothing but their form
// speaks against them.
func forgeries() (checks []Check) {
	form := func(values ...string) string {
		list := url.Values{}
		for i := 0; i < len(values); i += 2 {
			list.Set(values[i], values[i+1])
		}
		return list.Encode()
	}
	for _, row := range []struct {
		request string
		make    func(mutation string) request
	}{
		{"POST text/plain", func(m string) request {
			return request{body: bodyOf(m), header: http.Header{"Content-Type": {"text/plain"}}}
		}},
		{"POST form, urlencoded", func(m string) request {
			return request{body: []byte(form("query", m)), header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}}
		}},
		{"POST form, multipart", func(m string) request {
			const part = "--b\r\nContent-Disposition: form-data; name="
			return request{
				body:   []byte(part + "\"operations\"\r\n\r\n" + string(bodyOf(m)) + "\r\n" + part + "\"map\"\r\n\r\n{}\r\n--b--\r\n"),
				header: http.Header{"Content-Type": {"multipart/form-data; boundary=b"}},
			}
		}},
		{"POST without a content type", func(m string) request { return request{body: bodyOf(m)} }},
		{"GET without the header, a mutation", func(m string) request {
			return request{method: http.MethodGet, path: "/graphql?" + form("query", m)}
		}},
		{"GET without the header, a query", func(string) request {
			return request{method: http.MethodGet, path: "/graphql?" + form("query", "{ __typename }")}
		}},
	} {
		checks = append(checks, Check{Request: row.request, Run: func(ctx context.Context, a *Attack) (string, error) {
			mutation, err := a.mutation(ctx)
			if err != nil {
				return "", err
			}
			before, err := a.decided(ctx)
			if err != nil {
				return "", err
			}
			got, err := a.attacker.send(ctx, row.make(mutation))
			short, err := judged(got, err, refusedAs(400, 405, 406, 415), noData)
			if err != nil {
				return short, err
			}
			return unchanged(ctx, a, short, before)
		}})
	}
	return checks
}

// unchanged holds that nobody changed anything since it was counted.
func unchanged(ctx context.Context, a *Attack, short string, before int64) (string, error) {
	after, err := a.decided(ctx)
	if err == nil && after != before {
		err = fmt.Errorf("there are %d rows more than before", after-before)
	}
	return short + ", no row written", err
}

// sideEffect holds that the same mutation does something when it is sent as it should
// be: without that, the forgeries would show nothing.
func sideEffect() Check {
	return Check{Request: "the same as it should be sent", Once: true, Run: func(ctx context.Context, a *Attack) (string, error) {
		mutation, err := a.mutation(ctx)
		if err != nil {
			return "", err
		}
		before, err := a.decided(ctx)
		if err != nil {
			return "", err
		}
		got, err := a.attacker.ask(ctx, mutation)
		short, err := judged(got, err, status(200))
		if err != nil {
			return short, err
		}
		after, err := a.decided(ctx)
		if err == nil && after != before+1 {
			err = fmt.Errorf("it wrote %d rows, and should write one: %.300s", after-before, got.body)
		}
		return short + ", one row written", err
	}}
}

// patience stretches a bound.
func (a *Attack) patience(d time.Duration) time.Duration {
	return d * time.Duration(min(a.Patience, 3))
}
