package isolation_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/exposuregraph/exposuregraph/graph/documents"
	"github.com/exposuregraph/exposuregraph/internal/access"
)

// patience is how long a stream that says nothing is waited for.
const patience = 1500 * time.Millisecond

// request is what both servers are asked.
type request struct {
	caller    access.Actor
	name      string
	operation string // of a document: query, mutation or subscription
	fields    []*documents.Field
	socket    bool // a subscription comes over a WebSocket, or else as events

	method, path string // of anything else
	header       map[string]string
	body         string

	instead []string // texts in it, each with what the server with the rest calls it
}

func (r request) document() string { return r.operation + " { " + documents.Text(r.fields) + " }" }

// String is what somebody needs to ask again.
func (r request) String() string {
	if r.operation == "" {
		return fmt.Sprintf("%s %s as %s\n%s", r.method, r.path, r.caller.Subject, r.body)
	}
	over := map[bool]string{true: " over a WebSocket"}[r.socket]
	return fmt.Sprintf("as %s%s:\n%s", r.caller.Subject, over, r.document())
}

// changes says whether more may stand in the database afterwards.
func (r request) changes() bool { return r.operation == "mutation" || r.method == http.MethodPost }

func (s *stage) answer(r request, token string) (answer, error) {
	document, path := r.document(), r.path
	if s.whole {
		other := strings.NewReplacer(r.instead...)
		document, path = other.Replace(document), other.Replace(path)
	}
	body := text(map[string]string{"query": document})
	switch {
	case r.operation == "subscription" && r.socket:
		return s.overSocket(r, token, body)
	case r.operation == "subscription":
		return s.asEvents(r, token, body)
	case r.operation != "":
		return s.send(token, http.MethodPost, "/graphql", r.name, map[string]string{"Content-Type": "application/json"}, []byte(body))
	}
	return s.send(token, r.method, path, r.name, r.header, []byte(r.body))
}

// ends says whether a stream has said what there was to say.
func ends(message string) bool {
	return strings.Contains(message, `"heartbeat":true`) || strings.Contains(message, `"phase":"DONE"`) || strings.Contains(message, `"phase":"FAILED"`)
}

// overSocket subscribes and listens up to the first heartbeat or the end.
func (s *stage) overSocket(r request, token, body string) (answer, error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	ws, response, err := websocket.Dial(ctx, s.app.URL()+"/graphql", &websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"},
		HTTPHeader: http.Header{"X-Request-Id": {r.name}}})
	if err != nil {
		return answer{}, err
	}
	if response.Body != nil {
		_ = response.Body.Close()
	}
	defer func() { _ = ws.CloseNow() }()
	ws.SetReadLimit(1 << 24)
	got := answer{status: response.StatusCode, header: http.Header{}}
	for _, say := range []string{
		text(map[string]any{"type": "connection_init", "payload": map[string]string{"Authorization": "Bearer " + token}}),
		`{"type":"subscribe","id":"1","payload":` + body + `}`,
	} {
		if err := ws.Write(ctx, websocket.MessageText, []byte(say)); err != nil {
			return got, err
		}
		if strings.Contains(say, "connection_init") {
			if _, _, err := ws.Read(ctx); err != nil {
				return got, err
			}
		}
	}
	for {
		wait, stop := context.WithTimeout(ctx, patience)
		_, message, err := ws.Read(wait)
		stop()
		switch {
		case err != nil && wait.Err() != nil && ctx.Err() == nil:
			got.silent = true
			return got, nil
		case err != nil:
			got.body = fmt.Appendf(got.body, "closed %d\n", websocket.CloseStatus(err))
			return got, nil
		case strings.Contains(string(message), `"type":"ping"`):
			continue
		}
		got.body = append(append(got.body, message...), '\n')
		if ends(string(message)) || !strings.Contains(string(message), `"type":"next"`) {
			return got, nil
		}
	}
}

// asEvents does the same by server-sent events.
func (s *stage) asEvents(r request, token, body string) (answer, error) {
	ctx, cancel := context.WithCancelCause(s.t.Context())
	defer cancel(nil)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.app.URL()+"/graphql", bytes.NewReader([]byte(body)))
	if err != nil {
		return answer{}, err
	}
	for name, value := range map[string]string{"Content-Type": "application/json", "Accept": "text/event-stream", "Authorization": "Bearer " + token, "X-Request-Id": r.name} {
		request.Header.Set(name, value)
	}
	errSilent := errors.New("nothing comes")
	timer := time.AfterFunc(patience, func() { cancel(errSilent) })
	defer timer.Stop()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		if errors.Is(context.Cause(ctx), errSilent) {
			return answer{silent: true}, nil
		}
		return answer{}, err
	}
	defer response.Body.Close()
	got := answer{status: response.StatusCode, header: response.Header}
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		timer.Reset(patience)
		if line := lines.Text(); line != "" && !strings.HasPrefix(line, ":") {
			got.body = append(append(got.body, line...), '\n')
			if ends(line) {
				return got, nil
			}
		}
	}
	got.silent = errors.Is(context.Cause(ctx), errSilent)
	return got, nil
}

// request makes one up. Most are queries.
func (g *generator) request() (r request) {
	r.caller = pick(g, g.world.callers...)
	switch roll := g.IntN(100); {
	case roll < 80:
		r.operation = "query"
	case roll < 90:
		r.operation = "mutation"
		if g.chance(80) {
			r.caller = g.world.callers[0]
		}
	case roll < 93:
		r.operation, r.socket = "subscription", g.chance(50)
	default:
		g.route(&r)
		return r
	}
	g.changing = r.operation == "mutation"
	r.fields = g.query(r.operation)
	if r.operation == "subscription" { // it has one field, and shows when it has come to the end
		for _, f := range map[string][]string{"exposureChanges": {"heartbeat"}, "syncProgress": {"phase"}}[r.fields[0].Name] {
			r.fields[0].Below = append([]*documents.Field{{Parent: r.fields[0].Type, Name: f, Type: "Boolean"}}, without(r.fields[0].Below, f)...)
		}
	}
	return r
}

func without(fields []*documents.Field, name string) (list []*documents.Field) {
	for _, f := range fields {
		if f.Name != name {
			list = append(list, f)
		}
	}
	return list
}

// either gives a value of the callers', or one of the rest.
func (g *generator) either(foreign int, names ...string) string {
	if g.chance(foreign) {
		if found, there := g.theirs.any(g.Rand, names...); there {
			return fmt.Sprint(found)
		}
	}
	found, _ := g.mine.any(g.Rand, names...)
	return fmt.Sprint(found)
}

// route makes a request up that is no document.
func (g *generator) route(r *request) {
	r.method, r.header = http.MethodGet, map[string]string{}
	slug := g.world.slug
	if g.chance(20) {
		slug = pick(g, g.world.rest, "nobody")
	}
	values := url.Values{}
	some := func(percent int, name, value string) {
		if g.chance(percent) {
			values.Set(name, value)
		}
	}
	switch g.IntN(11) {
	case 0:
		some(30, "since", beginning.Add(10*day).Format(time.RFC3339))
		some(30, "until", beginning.Add(60*day).Format(time.RFC3339))
		r.path = "/organizations/" + slug + "/audit.jsonl"
	case 1:
		r.path = "/ledgers/" + slug
	case 2:
		r.path = "/ledgers/" + slug + "/checkpoint"
	case 3:
		r.method = pick(g, http.MethodGet, http.MethodHead)
		r.path = "/files/" + g.either(40, "CollectedFile.sha256")
		values.Set("org", slug)
	case 4:
		r.method, r.path, r.body = http.MethodPost, "/files", pick(g, "how to bill", "what nobody else has", fmt.Sprintf("more %d", g.IntN(20)))
		r.header["Content-Type"] = "application/octet-stream"
		values.Set("org", slug)
		some(50, "sync", raw(g.either(50, "Sync.id")))
		some(30, "artifact", "registry.example/kiosk:1")
		some(50, "name", "a.txt")
	case 5:
		r.method, r.body = http.MethodPost, fmt.Sprintf(`{"ip":"203.0.113.%d","port":%d}`, 1+g.IntN(9), 80+g.IntN(3))
		r.path = "/imports/" + pick(g, "naabu", "naabu", "auto", "nonsense")
		r.header["Content-Type"] = "application/octet-stream"
		values.Set("org", slug)
		values.Set("partial", "true")
		some(30, "create", "true")
		some(50, "source", pick(g, "fuzz", "platform", "mine"))
		some(40, "progress", raw(g.either(60, "Sync.id")))
	case 6, 7:
		r.path = "/api/v1/organizations/" + slug + "/changes"
		some(60, "first", fmt.Sprint(1+g.IntN(5)))
		some(20, "after", g.either(30, "ExposureChange.cursor", "ExposureChangeFeed.cursor"))
		some(15, "scan", g.either(40, "Sync.id"))
		some(15, "asset", g.either(40, "Asset.id"))
		some(15, "path", g.either(40, "AuthorityPath.id"))
		some(15, "exposure", g.either(40, "Exposure.id"))
		some(15, "workload", g.either(40, "Workload.id"))
		some(15, "severity", pick(g, "high", "critical", "medium"))
		some(15, "asOf", g.instant())
	case 8:
		r.path = "/api/v1/organizations/" + slug + "/assets/" + g.either(40, "Asset.id") + "/changes"
		some(60, "first", fmt.Sprint(1+g.IntN(5)))
	case 9:
		r.path = "/api/v1/organizations/" + slug + "/changes/summary"
		some(60, "days", fmt.Sprint(1+g.IntN(60)))
		some(15, "asOf", g.instant())
	case 10:
		r.path = pick(g, "/ledger-key", "/healthz", "/readyz", "/nowhere", "/.well-known/openid-configuration")
	}
	if len(values) > 0 {
		r.path += "?" + values.Encode()
	}
}

// data says whether an answer has any, and its codes of errors.
func (a answer) data(r request) (some bool, codes []string) {
	if r.operation == "" {
		var refused struct{ Error struct{ Code string } }
		if a.status >= 400 {
			_ = json.Unmarshal(a.body, &refused)
			return false, []string{refused.Error.Code}
		}
		return true, nil
	}
	if a.silent && len(a.body) == 0 {
		return false, []string{"silent"}
	}
	for _, read := range a.frames() {
		for _, err := range read.Errors {
			codes = append(codes, err.Extensions.Code)
		}
		for _, value := range read.Data {
			some = some || value != nil
			if payload, is := value.(map[string]any); is && r.operation == "mutation" {
				wrong, _ := payload["userErrors"].([]any)
				for _, one := range wrong {
					if user, is := one.(map[string]any); is && user["code"] != nil {
						codes = append(codes, "user "+fmt.Sprint(user["code"]))
					}
				}
			}
		}
	}
	return some, codes
}

// frame is what a document is answered with, or one piece of a stream.
type frame struct {
	Data   map[string]any
	Errors []fault
}

// fault is an error of an answer, as far as it says what is the matter.
type fault struct {
	Message    string
	Extensions struct{ Code string }
}

func (a answer) frames() (list []frame) {
	for line := range strings.Lines(strings.ReplaceAll(string(a.body), "data: ", "")) {
		var read frame
		var message struct{ Payload json.RawMessage }
		if json.Unmarshal([]byte(line), &message) != nil {
			continue
		}
		if message.Payload != nil {
			line = string(message.Payload)
		}
		if json.Unmarshal([]byte(line), &read) != nil {
			_ = json.Unmarshal([]byte(line), &read.Errors)
		}
		list = append(list, read)
	}
	return list
}

func (a answer) objects() (list []any) {
	for _, one := range a.frames() {
		list = append(list, any(one.Data))
	}
	return list
}
