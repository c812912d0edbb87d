package guard

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// The codes of refusals, in extensions.code of the error.
const (
	CodeBadRequest = "BAD_REQUEST"            // the request is no GraphQL request
	CodeBadInput   = "BAD_USER_INPUT"         // its text or its variables are unfit
	CodeBatch      = "BATCH_UNSUPPORTED"      // it is a list of requests
	CodeBody       = "BODY_TOO_LARGE"         // its body or address is too long
	CodeMediaType  = "UNSUPPORTED_MEDIA_TYPE" // its body is not plain JSON
	CodeMethod     = "METHOD_NOT_ALLOWED"     // it is neither GET nor POST
	CodePreflight  = "PREFLIGHT_REQUIRED"     // it is a GET that any page could send
)

// PreflightHeader lets a GET pass; CORS must allow it for the origins that may.
const PreflightHeader = "GraphQL-Require-Preflight"

// Limits are the largest requests that pass. A zero field takes its default.
type Limits struct {
	Body     int64 // bytes of a body, or of the query part of an address; 256 KiB
	Depth    int   // JSON objects and lists in one another; 50
	Elements int   // JSON values; 10,000
}

func (l Limits) orDefault() Limits {
	l.Body = cmp.Or(l.Body, 256<<10)
	l.Depth = cmp.Or(l.Depth, 50)
	l.Elements = cmp.Or(l.Elements, 10_000)
	return l
}

// refusal is an answer to a request that does not pass.
type refusal struct {
	status        int
	code, message string
}

func badRequest(message string) *refusal {
	return &refusal{http.StatusBadRequest, CodeBadRequest, message}
}

// Wrap guards a GraphQL handler. POST takes application/json, or another JSON type
// of application/*, which it renames for the handler. GET takes the header
// GraphQL-Require-Preflight with any value, which a page of another origin can only
// send after asking; the handler itself refuses mutations over GET. OPTIONS and
// WebSocket handshakes pass as they are.
func Wrap(next http.Handler, limits Limits) http.Handler {
	limits = limits.orDefault()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isWebSocket(r) || r.Method == http.MethodOptions {
			next.ServeHTTP(w, r)
			return
		}
		var refused *refusal
		switch r.Method {
		case http.MethodGet:
			refused = limits.get(r)
		case http.MethodPost:
			r, refused = limits.post(w, r)
		default:
			w.Header().Set("Allow", "GET, POST")
			refused = &refusal{http.StatusMethodNotAllowed, CodeMethod, "use POST, or GET for a query"}
		}
		if refused != nil {
			refused.write(w, r)
			return
		}
		if r.Header.Get("Upgrade") != "" {
			// An offer such as h2c, which gqlgen would take for a WebSocket.
			r = r.Clone(r.Context())
			r.Header.Del("Upgrade")
		}
		next.ServeHTTP(w, r)
	})
}

// isWebSocket tells the handshake of a WebSocket.
func isWebSocket(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.EqualFold(strings.TrimSpace(r.Header.Get("Upgrade")), "websocket")
}

// get checks the parameters of a GET.
func (l Limits) get(r *http.Request) *refusal {
	if r.Header.Get(PreflightHeader) == "" {
		return &refusal{http.StatusBadRequest, CodePreflight, "send the header " + PreflightHeader + ", or use POST with application/json"}
	}
	if int64(len(r.URL.RawQuery)) > l.Body {
		return &refusal{http.StatusRequestURITooLong, CodeBody, fmt.Sprintf("the address has more than %d bytes: use POST", l.Body)}
	}
	parameters, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return badRequest("the parameters are not URL-encoded")
	}
	for _, name := range []string{"query", "operationName", "variables", "extensions", "documentId"} {
		if len(parameters[name]) > 1 {
			return badRequest("the parameter " + name + " occurs twice")
		}
	}
	for _, name := range []string{"query", "operationName", "documentId"} {
		text := parameters.Get(name)
		if strings.ContainsRune(text, 0) || strings.ToValidUTF8(text, "") != text {
			return l.refusal(errText)
		}
	}
	for _, name := range []string{"variables", "extensions"} {
		text := parameters.Get(name)
		if text == "" {
			continue
		}
		sort, _, err := scan([]byte(text), l.Depth, l.Elements)
		if err != nil {
			return l.refusal(err)
		}
		if sort != '{' && sort != 'n' {
			return badRequest("the parameter " + name + " must be a JSON object")
		}
	}
	if parameters.Get("query") == "" && parameters.Get("extensions") == "" && parameters.Get("documentId") == "" {
		return badRequest("the request has no query")
	}
	return nil
}

// post checks the headers and body of a POST and gives the request to hand on.
func (l Limits) post(w http.ResponseWriter, r *http.Request) (*http.Request, *refusal) {
	media, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset := cmp.Or(parameters["charset"], "utf-8")
	if err != nil || !isJSON(media) || !strings.EqualFold(charset, "utf-8") {
		return r, &refusal{http.StatusUnsupportedMediaType, CodeMediaType, "send Content-Type: application/json, in UTF-8"}
	}
	if coding := r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return r, &refusal{http.StatusUnsupportedMediaType, CodeMediaType, "send the body without Content-Encoding"}
	}
	tooLarge := &refusal{http.StatusRequestEntityTooLarge, CodeBody, fmt.Sprintf("the body has more than %d bytes: split the request", l.Body)}
	if r.ContentLength > l.Body {
		w.Header().Set("Connection", "close") // rather than read the rest
		return r, tooLarge
	}
	var body bytes.Buffer
	if r.ContentLength > 0 {
		body.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	if _, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, l.Body)); err != nil {
		var over *http.MaxBytesError
		if errors.As(err, &over) {
			return r, tooLarge
		}
		return r, badRequest("the body could not be read")
	}
	if refused := l.body(body.Bytes()); refused != nil {
		return r, refused
	}
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(&body)
	r.ContentLength = int64(body.Len())
	r.TransferEncoding = nil
	r.Header.Set("Content-Type", "application/json")
	return r, nil
}

func isJSON(media string) bool {
	return media == "application/json" || strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json")
}

// body checks that a body is one GraphQL request.
func (l Limits) body(body []byte) *refusal {
	sort, members, err := scan(body, l.Depth, l.Elements)
	if sort == '[' {
		return &refusal{http.StatusBadRequest, CodeBatch, "send one operation per request, not a list"}
	}
	if err != nil {
		return l.refusal(err)
	}
	if sort != '{' {
		return badRequest("the body must be a JSON object")
	}
	for _, want := range []struct {
		name string
		kind kind
		text string
	}{
		{"query", '"', "a string"},
		{"operationName", '"', "a string"},
		{"variables", '{', "an object"},
		{"extensions", '{', "an object"},
		{"documentId", '"', "a string"},
	} {
		got, ok := members[want.name]
		if ok && got != want.kind && (got != 'n' || want.name == "query") {
			return badRequest(want.name + " must be " + want.text)
		}
	}
	// A document that is named comes without its text.
	if members["query"] == 0 && members["extensions"] != '{' && members["documentId"] != '"' {
		return badRequest("the request has no query")
	}
	return nil
}

// refusal is the answer to a fault of a scan.
func (l Limits) refusal(err error) *refusal {
	switch {
	case errors.Is(err, errText):
		return &refusal{http.StatusBadRequest, CodeBadInput, err.Error() + ": correct it"}
	case errors.Is(err, errDepth):
		return &refusal{http.StatusBadRequest, CodeBadInput, fmt.Sprintf("objects and lists nest more than %d levels deep: flatten them", l.Depth)}
	case errors.Is(err, errElements):
		return &refusal{http.StatusBadRequest, CodeBadInput, fmt.Sprintf("the request holds more than %d JSON values: split it", l.Elements)}
	}
	return badRequest(err.Error())
}

// write answers in the media type the client reads.
func (f *refusal) write(w http.ResponseWriter, r *http.Request) {
	media := "application/json; charset=utf-8"
	if accept := r.Header.Get("Accept"); strings.Contains(accept, mediaResponse) && !strings.Contains(accept, mediaJSON) {
		media = mediaResponse + "; charset=utf-8"
	}
	body, err := json.Marshal(map[string]any{"errors": []any{map[string]any{
		"message":    f.message,
		"extensions": map[string]string{"code": f.code},
	}}})
	if err != nil {
		panic(err) // strings only
	}
	w.Header().Set("Content-Type", media)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(f.status)
	_, _ = w.Write(body) // the client may be gone
}

// Check is what Wrap asks of a body, for a message that comes otherwise and carries
// a request: JSON within the limits, of well-formed text throughout.
func Check(message []byte, limits Limits) error {
	limits = limits.orDefault()
	if int64(len(message)) > limits.Body {
		return fmt.Errorf("the message has more than %d bytes", limits.Body)
	}
	_, _, err := scan(message, limits.Depth, limits.Elements)
	return err
}
