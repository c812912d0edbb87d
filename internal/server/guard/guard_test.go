package guard

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql/handler/testserver"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/graph/limit"
)

// counter counts the requests that pass and keeps the last body.
type counter struct {
	passed int
	body   []byte
	last   *http.Request
}

func (c *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.passed++
	c.last = r
	c.body, _ = io.ReadAll(r.Body)
	_, _ = w.Write([]byte("passed"))
}

// unread is a body that counts what is read of it.
type unread struct {
	rest io.Reader
	read int
}

func (u *unread) Read(p []byte) (int, error) {
	n, err := u.rest.Read(p)
	u.read += n
	return n, err
}

func nested(open, inner, shut string, n int) string {
	return strings.Repeat(open, n) + inner + strings.Repeat(shut, n)
}

func TestPost(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, media, body string
		status            int
		code              string
	}{
		{"plain", "application/json", `{"query":"{name}"}`, 200, ""},
		{"charset", "application/json; charset=UTF-8", `{"query":"{name}"}`, 200, ""},
		{"subtype", "application/graphql+json", `{"query":"{name}"}`, 200, ""},
		{"all members", "application/json", ` { "query" : "{name}" , "operationName":null,"variables":{"a":[1,-2.5e3,true,false,null,{}],"b":[]},"extensions":{} } ` + "\n", 200, ""},
		{"text of every plane", "application/json", `{"query":"{name}","variables":{"a":"ä€😀\ud83d\ude00\u0041\n\/\\\"","b":"\u202e"}}`, 200, ""},
		{"persisted", "application/json", `{"extensions":{"persistedQuery":{"version":1}}}`, 200, ""},
		{"unknown member", "application/json", `{"query":"{name}","id":1}`, 200, ""},
		{"elements at the limit", "application/json", `{"query":"","variables":{"a":[` + strings.Repeat("1,", 9995) + `1]}}`, 200, ""},
		{"depth at the limit", "application/json", `{"query":"","variables":{"a":` + nested("[", "1", "]", 48) + `}}`, 200, ""},

		{"5 batch", "application/json", `[` + strings.Repeat(`{"query":"{secret}"},`, 9) + `{"query":"{secret}"}]`, 400, CodeBatch},
		{"5 empty batch", "application/json", ` []`, 400, CodeBatch},
		{"5 broken batch", "application/json", `[{"query":"{secret}"`, 400, CodeBatch},
		{"6 2M brackets", "application/json", strings.Repeat("[", 2_000_000), 413, CodeBody},
		{"6 brackets within the body", "application/json", `{"query":"","variables":` + strings.Repeat("[", 200_000), 400, CodeBadInput},
		{"10 plain text", "text/plain", `{"query":"{name}"}`, 415, CodeMediaType},
		{"10 form", "application/x-www-form-urlencoded", `query={name}`, 415, CodeMediaType},
		{"10 multipart", "multipart/form-data; boundary=x", `--x--`, 415, CodeMediaType},
		{"10 none", "", `{"query":"{name}"}`, 415, CodeMediaType},
		{"10 malformed", "application/json; charset", `{"query":"{name}"}`, 415, CodeMediaType},
		{"10 smuggled", "text/plain; application/json", `{"query":"{name}"}`, 415, CodeMediaType},
		{"other charset", "application/json; charset=utf-16", `{"query":"{name}"}`, 415, CodeMediaType},
		{"14 20 MB of variables", "application/json", `{"query":"","variables":{"a":"` + strings.Repeat("x", 20<<20) + `"}}`, 413, CodeBody},
		{"14 list of a million", "application/json", `{"query":"","variables":{"a":[` + strings.Repeat("1,", 1_000_000) + `1]}}`, 413, CodeBody},
		{"14 list within the body", "application/json", `{"query":"","variables":{"a":[` + strings.Repeat("1,", 100_000) + `1]}}`, 400, CodeBadInput},
		{"14 depth 10,000", "application/json", `{"query":"","variables":{"a":` + nested("[", "", "]", 10_000) + `}}`, 400, CodeBadInput},
		{"14 objects 10,000 deep", "application/json", `{"query":"","variables":` + nested(`{"a":`, "1", "}", 10_000) + `}`, 400, CodeBadInput},
		{"16 invalid UTF-8", "application/json", "{\"query\":\"\xff\"}", 400, CodeBadInput},
		{"16 overlong UTF-8", "application/json", "{\"query\":\"\xc0\xaf\"}", 400, CodeBadInput},
		{"16 surrogate in UTF-8", "application/json", "{\"query\":\"\xed\xa0\x80\"}", 400, CodeBadInput},
		{"16 lone leading surrogate", "application/json", `{"query":"","variables":{"a":"\ud800"}}`, 400, CodeBadInput},
		{"16 lone trailing surrogate", "application/json", `{"query":"","variables":{"a":"\udc00x"}}`, 400, CodeBadInput},
		{"16 two leading surrogates", "application/json", `{"query":"","variables":{"a":"\ud800\ud800"}}`, 400, CodeBadInput},
		{"16 surrogate in a key", "application/json", `{"query":"","variables":{"\ud800":1}}`, 400, CodeBadInput},
		{"16 NUL", "application/json", `{"query":"a\u0000b"}`, 400, CodeBadInput},
		{"16 raw NUL", "application/json", "{\"query\":\"\x00\"}", 400, CodeBadInput},
		{"16 1 MB of text", "application/json", `{"query":"` + strings.Repeat("x", 1<<20) + `"}`, 413, CodeBody},
		{"17 empty", "application/json", ``, 400, CodeBadRequest},
		{"17 space", "application/json", " \n", 400, CodeBadRequest},
		{"17 cut", "application/json", `{"query":"{secret}`, 400, CodeBadRequest},
		{"17 no JSON", "application/json", `{secret}`, 400, CodeBadRequest},
		{"trailing garbage", "application/json", `{"query":"{name}"}secret`, 400, CodeBadRequest},
		{"second value", "application/json", `{"query":"{name}"}{"query":"{secret}"}`, 400, CodeBadRequest},
		{"trailing comma", "application/json", `{"query":"{name}",}`, 400, CodeBadRequest},
		{"control character", "application/json", "{\"query\":\"a\nb\"}", 400, CodeBadRequest},
		{"duplicate key", "application/json", `{"query":"{name}","query":"{secret}"}`, 400, CodeBadRequest},
		{"duplicate in other letters", "application/json", `{"query":"{name}","QUERY":"{secret}"}`, 400, CodeBadRequest},
		{"duplicate escaped", "application/json", `{"query":"{name}","qu\u0065ry":"{secret}"}`, 400, CodeBadRequest},
		{"duplicate unknown", "application/json", `{"query":"{name}","a":1,"a":2}`, 400, CodeBadRequest},
		{"string", "application/json", `"{secret}"`, 400, CodeBadRequest},
		{"null", "application/json", `null`, 400, CodeBadRequest},
		{"no query", "application/json", `{}`, 400, CodeBadRequest},
		{"query is a number", "application/json", `{"query":1}`, 400, CodeBadRequest},
		{"query is null", "application/json", `{"query":null}`, 400, CodeBadRequest},
		{"operationName is an object", "application/json", `{"query":"","operationName":{}}`, 400, CodeBadRequest},
		{"variables are a list", "application/json", `{"query":"","variables":[]}`, 400, CodeBadRequest},
		{"variables are a string", "application/json", `{"query":"","variables":"{}"}`, 400, CodeBadRequest},
		{"extensions are a number", "application/json", `{"query":"","extensions":1}`, 400, CodeBadRequest},
	} {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/chunked=%t", row.name, chunked), func(t *testing.T) {
				t.Parallel()
				var next counter
				body := &unread{rest: strings.NewReader(row.body)}
				ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
				defer cancel()
				request := httptest.NewRequestWithContext(ctx, http.MethodPost, "/graphql", body)
				request.ContentLength = int64(len(row.body))
				if chunked {
					request.ContentLength = -1
				}
				if row.media != "" {
					request.Header.Set("Content-Type", row.media)
				}
				recorder := httptest.NewRecorder()
				Wrap(&next, Limits{}).ServeHTTP(recorder, request)
				require.NoError(t, ctx.Err())
				require.Equal(t, row.status, recorder.Code, recorder.Body)
				require.LessOrEqual(t, body.read, 256<<10+1, "no more is read than may pass")
				if row.code == "" {
					require.Equal(t, 1, next.passed)
					require.Equal(t, row.body, string(next.body))
					require.EqualValues(t, len(row.body), next.last.ContentLength)
					require.Equal(t, "application/json", next.last.Header.Get("Content-Type"))
					return
				}
				require.Zero(t, next.passed)
				requireError(t, recorder, row.code)
			})
		}
	}
}

func requireError(t *testing.T, recorder *httptest.ResponseRecorder, code string) {
	t.Helper()
	require.Equal(t, "application/json; charset=utf-8", recorder.Header().Get("Content-Type"))
	require.Less(t, recorder.Body.Len(), 300)
	require.NotContains(t, recorder.Body.String(), "secret")
	var got struct {
		Errors []struct {
			Message    string
			Extensions struct{ Code string }
		}
	}
	require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &got))
	require.Len(t, got.Errors, 1)
	require.NotEmpty(t, got.Errors[0].Message)
	require.Equal(t, code, got.Errors[0].Extensions.Code)
}

func TestGet(t *testing.T) {
	t.Parallel()
	query := func(pairs ...string) string {
		values := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			values.Add(pairs[i], pairs[i+1])
		}
		return values.Encode()
	}
	for _, row := range []struct {
		name, query string
		bare        bool
		status      int
		code        string
	}{
		{"plain", query("query", "{name}"), false, 200, ""},
		{"variables", query("query", "{name}", "variables", `{"a":1}`, "extensions", "null"), false, 200, ""},
		{"no header", query("query", "{name}"), true, 400, CodePreflight},
		{"no query", "", false, 400, CodeBadRequest},
		{"twice", query("query", "{name}", "query", "{secret}"), false, 400, CodeBadRequest},
		{"encoding", "query=%zz", false, 400, CodeBadRequest},
		{"long", query("query", strings.Repeat("x", 256<<10)), false, 414, CodeBody},
		{"NUL", "query=%00", false, 400, CodeBadInput},
		{"invalid UTF-8", "query=%ff", false, 400, CodeBadInput},
		{"surrogate", query("query", "{name}", "variables", `{"a":"\ud800"}`), false, 400, CodeBadInput},
		{"depth", query("query", "{name}", "variables", nested(`{"a":`, "1", "}", 60)), false, 400, CodeBadInput},
		{"list", query("query", "{name}", "variables", `[1]`), false, 400, CodeBadRequest},
		{"malformed", query("query", "{name}", "variables", `{`), false, 400, CodeBadRequest},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var next counter
			request := httptest.NewRequest(http.MethodGet, "/graphql?"+row.query, nil)
			if !row.bare {
				request.Header.Set(PreflightHeader, "1")
			}
			recorder := httptest.NewRecorder()
			Wrap(&next, Limits{}).ServeHTTP(recorder, request)
			require.Equal(t, row.status, recorder.Code, recorder.Body)
			if row.code == "" {
				require.Equal(t, 1, next.passed)
				return
			}
			require.Zero(t, next.passed)
			requireError(t, recorder, row.code)
		})
	}
}

func TestOtherRequests(t *testing.T) {
	t.Parallel()
	var next counter
	guarded := Wrap(&next, Limits{})
	for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodPatch} {
		recorder := httptest.NewRecorder()
		guarded.ServeHTTP(recorder, httptest.NewRequest(method, "/graphql", nil))
		require.Equal(t, http.StatusMethodNotAllowed, recorder.Code)
		require.Equal(t, "GET, POST", recorder.Header().Get("Allow"))
		requireError(t, recorder, CodeMethod)
	}
	require.Zero(t, next.passed)

	handshake := httptest.NewRequest(http.MethodGet, "/graphql", nil)
	handshake.Header.Set("Upgrade", "WebSocket")
	guarded.ServeHTTP(httptest.NewRecorder(), handshake)
	require.Same(t, handshake, next.last)

	// An upgrade does not carry a POST past the checks.
	post := httptest.NewRequest(http.MethodPost, "/graphql", strings.NewReader("[]"))
	post.Header.Set("Upgrade", "websocket")
	post.Header.Set("Content-Type", "application/json")
	recorder := httptest.NewRecorder()
	guarded.ServeHTTP(recorder, post)
	requireError(t, recorder, CodeBatch)

	post = httptest.NewRequest(http.MethodPost, "/graphql", strings.NewReader(`{"query":"{name}"}`))
	post.Header.Set("Upgrade", "h2c")
	post.Header.Set("Content-Type", "application/json")
	guarded.ServeHTTP(httptest.NewRecorder(), post)
	require.Empty(t, next.last.Header.Get("Upgrade"))

	packed := httptest.NewRequest(http.MethodPost, "/graphql", strings.NewReader("x"))
	packed.Header.Set("Content-Type", "application/json")
	packed.Header.Set("Content-Encoding", "gzip")
	recorder = httptest.NewRecorder()
	guarded.ServeHTTP(recorder, packed)
	requireError(t, recorder, CodeMediaType)

	options := httptest.NewRequest(http.MethodOptions, "/graphql", nil)
	guarded.ServeHTTP(httptest.NewRecorder(), options)
	require.Same(t, options, next.last)
}

// TestWithHandler stands before a gqlgen server over real connections.
func TestWithHandler(t *testing.T) {
	t.Parallel()
	handler := testserver.New()
	handler.AddTransport(transport.GET{})
	handler.AddTransport(transport.POST{})
	handler.SetParserTokenLimit(1000)
	handler.Use(limit.New(limit.Limits{}, nil))
	server := httptest.NewServer(Wrap(Status(handler), Limits{}))
	t.Cleanup(server.Close)

	const response = "application/graphql-response+json"
	for _, row := range []struct {
		name, query, variables, accept string
		status                         int
		code                           string
	}{
		{"answer", "{name}", "{}", "application/json", 200, ""},
		{"answer", "{name}", "{}", response, 200, ""},
		{"syntax", "{", "{}", "application/json", 200, "GRAPHQL_PARSE_FAILED"},
		{"syntax", "{", "{}", response, 400, "GRAPHQL_PARSE_FAILED"},
		{"empty", "", "{}", "application/json", 200, "GRAPHQL_VALIDATION_FAILED"},
		{"comment", "#" + strings.Repeat("x", 200<<10), "{}", response, 400, "GRAPHQL_VALIDATION_FAILED"},
		{"validation", "{nothing}", "{}", "application/json", 200, "GRAPHQL_VALIDATION_FAILED"},
		{"validation", "{nothing}", "{}", response, 400, "GRAPHQL_VALIDATION_FAILED"},
		{"coercion", "query($i:Int!){find(id:$i)}", `{"i":true}`, "application/json", 200, "GRAPHQL_VALIDATION_FAILED"},
		{"15 fraction", "query($i:Int!){find(id:$i)}", `{"i":1.5}`, response, 400, "GRAPHQL_VALIDATION_FAILED"},
		{"15 exponent", "query($i:Int!){find(id:$i)}", `{"i":1e400}`, response, 400, "GRAPHQL_VALIDATION_FAILED"},
		{"15 list", "query($i:Int!){find(id:$i)}", `{"i":[1]}`, response, 400, "GRAPHQL_VALIDATION_FAILED"},
		{"limit", "{" + nested("a{", "a", "}", 40) + "}", "{}", "application/json", 400, limit.CodeDepth},
		{"limit", "{" + nested("a{", "a", "}", 40) + "}", "{}", response, 400, limit.CodeDepth},
		{"6 braces", strings.Repeat("{a", 100_000), "{}", response, 400, limit.CodeTokens},
		{"16 escaped NUL", `{name(a:"\u0000")}`, "{}", "application/json", 400, limit.CodeBadInput},
	} {
		t.Run(row.name+" "+row.accept, func(t *testing.T) {
			t.Parallel()
			body, err := json.Marshal(map[string]any{"query": row.query, "variables": json.RawMessage(row.variables)})
			require.NoError(t, err)
			status, media, got := send(t, server.URL, row.accept, bytes.NewReader(body))
			require.Equal(t, row.status, status)
			require.Equal(t, row.accept, media)
			if row.code == "" {
				require.JSONEq(t, `{"name":"test"}`, string(got["data"]))
				require.JSONEq(t, `{"cost":{"requested":1,"limit":150000}}`, string(got["extensions"]))
				return
			}
			require.NotContains(t, got, "data")
			require.Contains(t, string(got["errors"]), `"code":"`+row.code+`"`)
		})
	}
	t.Run("chunked", func(t *testing.T) {
		t.Parallel()
		// A reader of no known length is sent in chunks.
		huge := io.MultiReader(strings.NewReader(`{"query":"`), strings.NewReader(strings.Repeat("x", 2<<20)), strings.NewReader(`"}`))
		status, _, got := send(t, server.URL, "application/json", huge)
		require.Equal(t, http.StatusRequestEntityTooLarge, status)
		require.Contains(t, string(got["errors"]), CodeBody)
		status, _, got = send(t, server.URL, "application/json", io.MultiReader(strings.NewReader(`{"query":"{name}"}`)))
		require.Equal(t, http.StatusOK, status)
		require.JSONEq(t, `{"name":"test"}`, string(got["data"]))
	})
}

// TestSpentBudget: whoever has spent theirs is told when to come again.
func TestSpentBudget(t *testing.T) {
	t.Parallel()
	handler, now := testserver.New(), time.Now()
	handler.AddTransport(transport.POST{})
	handler.Use(limit.New(limit.Limits{Budget: 10, BudgetPerSecond: 1}, nil).For(func(context.Context) string { return "all" }, func() time.Time { return now }))
	wrapped := Wrap(Status(handler), Limits{})
	for i := range 13 {
		media := []string{mediaJSON, mediaResponse}[i%2]
		request := httptest.NewRequest(http.MethodPost, "/graphql", strings.NewReader(`{"query":"{name}"}`))
		request.Header.Set("Content-Type", mediaJSON)
		request.Header.Set("Accept", media)
		recorder := httptest.NewRecorder()
		wrapped.ServeHTTP(recorder, request)
		if i < 10 {
			require.Equal(t, http.StatusOK, recorder.Code)
			continue
		}
		require.Equal(t, http.StatusTooManyRequests, recorder.Code, recorder.Body.String())
		require.Equal(t, "1", recorder.Header().Get("Retry-After"))
		require.Equal(t, media, recorder.Header().Get("Content-Type"))
		require.Contains(t, recorder.Body.String(), `"code":"`+limit.CodeBudget+`"`)
		require.NotContains(t, recorder.Body.String(), `"data"`)
	}
}

func send(t *testing.T, address, accept string, body io.Reader) (int, string, map[string]json.RawMessage) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, body)
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", accept)
	answer, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { _ = answer.Body.Close() }()
	var got map[string]json.RawMessage
	require.NoError(t, json.NewDecoder(answer.Body).Decode(&got))
	media, _, _ := strings.Cut(answer.Header.Get("Content-Type"), ";")
	return answer.StatusCode, media, got
}

func TestStatusPassesStreams(t *testing.T) {
	t.Parallel()
	recorder := httptest.NewRecorder()
	Status(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, err := w.Write([]byte("event: next\n\n"))
		require.NoError(t, err)
		flusher, ok := w.(http.Flusher)
		require.True(t, ok)
		flusher.Flush()
		require.Equal(t, "event: next\n\n", recorder.Body.String())
	})).ServeHTTP(recorder, httptest.NewRequest(http.MethodPost, "/graphql", nil))
	require.True(t, recorder.Flushed)
}

func TestStatusKeepsForeignAnswers(t *testing.T) {
	t.Parallel()
	for _, media := range []string{"text/plain", "application/json"} {
		recorder := httptest.NewRecorder()
		Status(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", media)
			http.Error(w, "not ours", http.StatusBadRequest)
		})).ServeHTTP(recorder, httptest.NewRequest(http.MethodPost, "/graphql", nil))
		require.Equal(t, http.StatusBadRequest, recorder.Code)
		require.Equal(t, "not ours\n", recorder.Body.String())
	}
}

func FuzzScan(f *testing.F) {
	for _, seed := range []string{
		`{"query":"{a}","variables":{"a":[1,-2.5e3,true,null,{}],"b":"\ud83d\ude00"}}`,
		`[]`, `{}`, `{"a":1,"a":2}`, `{"a":[}`, `"\ud800"`, "\"\x00\"", `1e400`, ` 0 `, `[[[[`, `{"":0}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		kind, members, err := scan(data, 50, 10_000)
		switch {
		case err == nil:
			if !json.Valid(data) {
				t.Fatalf("accepted %q", data)
			}
			var object map[string]json.RawMessage
			if kind == '{' && json.Unmarshal(data, &object) == nil && len(object) != len(members) {
				t.Fatalf("%d members in %q", len(members), data)
			}
		case errors.Is(err, errMalformed) && json.Valid(data):
			t.Fatalf("refused %q", data)
		}
	})
}

func BenchmarkScan(b *testing.B) {
	body := []byte(`{"query":"` + strings.Repeat("query Page { clusters { id } } ", 60) + `","variables":{"ids":["` + strings.Repeat(`0123456789abcdef","`, 100) + `"]}}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := scan(body, 50, 10_000); err != nil {
			b.Fatal(err)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for text, fit := range map[string]bool{
		`{"type":"subscribe","id":"1","payload":{"query":"{name}"}}`: true,
		`{"type":"ping"}`:                     true,
		``:                                    false,
		`{"type":"ping"}{}`:                   false,
		`{"type":"ping","type":"pong"}`:       false,
		`{"type":"\u0000"}`:                   false,
		`{"type":"\ud800"}`:                   false,
		"{\"type\":\"\xff\"}":                 false,
		nested("[", "", "]", 60):              false,
		`"` + strings.Repeat("x", 2000) + `"`: false,
		`[` + strings.Repeat("1,", 99) + `1]`: false,
	} {
		err := Check([]byte(text), Limits{Body: 1000, Elements: 50})
		require.Equal(t, fit, err == nil, "%.80s: %v", text, err)
	}
}
