package persisted

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"

	"github.com/99designs/gqlgen/graphql"
)

// documentID is the parameter that names a document. gqlgen reads no parameter of this
// name, so it travels among the extensions.
const documentID = "documentId"

// Name names the document of a request.
func Name(request *graphql.RawParams, id string) {
	if request.Extensions == nil {
		request.Extensions = map[string]any{}
	}
	request.Extensions[documentID] = id
}

// Named reads documentId of plain requests, whose bodies the server has bounded and
// found to be JSON objects. WebSockets read it themselves.
func Named(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodPost:
			r = ofBody(r)
		case http.MethodGet:
			r = ofAddress(r)
		}
		next.ServeHTTP(w, r)
	})
}

// ofBody is the request with the parameter among its extensions. What is no JSON is
// passed on as it is, to whoever says so.
func ofBody(r *http.Request) *http.Request {
	body, err := io.ReadAll(r.Body)
	if err == nil && bytes.Contains(body, []byte(`"`+documentID+`"`)) {
		body = moved(body)
	}
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	return r
}

func moved(body []byte) []byte {
	var members map[string]json.RawMessage
	if json.Unmarshal(body, &members) != nil || members[documentID] == nil {
		return body
	}
	extended, ok := extend(members["extensions"], members[documentID])
	if !ok {
		return body
	}
	members["extensions"] = extended
	delete(members, documentID)
	if written, err := json.Marshal(members); err == nil {
		return written
	}
	return body
}

// extend adds the parameter to extensions.
func extend(extensions, id json.RawMessage) (json.RawMessage, bool) {
	list := map[string]json.RawMessage{}
	if len(extensions) > 0 && json.Unmarshal(extensions, &list) != nil {
		return nil, false
	}
	if list == nil { // null
		list = map[string]json.RawMessage{}
	}
	list[documentID] = id
	written, err := json.Marshal(list)
	return written, err == nil
}

func ofAddress(r *http.Request) *http.Request {
	parameters := r.URL.Query()
	if !parameters.Has(documentID) {
		return r
	}
	id, err := json.Marshal(parameters.Get(documentID))
	if err != nil {
		return r
	}
	extended, ok := extend(json.RawMessage(parameters.Get("extensions")), id)
	if !ok {
		return r
	}
	parameters.Set("extensions", string(extended))
	parameters.Del(documentID)
	r = r.Clone(r.Context())
	r.URL.RawQuery = parameters.Encode()
	return r
}
