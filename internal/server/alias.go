package server

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// An alias is a plain address for a document of the API. What may be seen, how it is
// narrowed, paged and written is the API's business and is decided there: the alias
// makes variables of parameters, and an answer or a refusal of what comes back.
type alias struct {
	document   string
	parameters map[string]parameter // by the names of the variables
	of         string               // the part of the address that names by its id what the answer hangs under; empty: the organization
	missing    func() error         // what there is to say if there is no such thing
}

// parameter is how a parameter becomes a variable.
type parameter struct {
	many bool // it may be repeated, and is a list
	read func(value string) (any, error)
}

//go:embed changes.graphql
var changesDocument string

//go:embed asset_changes.graphql
var assetChangesDocument string

//go:embed changes_summary.graphql
var summaryDocument string

// changes is GET /api/v1/organizations/{slug}/changes.
var changes = alias{document: changesDocument, parameters: map[string]parameter{
	"first": {read: number}, "after": {read: verbatim}, "last": {read: number}, "before": {read: verbatim},
	"order": {read: word}, "asOf": {read: moment},
	"type": {read: word, many: true}, "entityType": {read: word, many: true}, "severity": {read: word, many: true},
	"scan": {read: verbatim, many: true}, "asset": {read: verbatim, many: true}, "path": {read: verbatim, many: true},
	"lineage": {read: verbatim, many: true}, "exposure": {read: verbatim, many: true}, "workload": {read: verbatim, many: true},
	"occurredAfter": {read: moment}, "occurredBefore": {read: moment},
}}

// assetChanges is GET /api/v1/organizations/{slug}/assets/{asset}/changes.
var assetChanges = alias{document: assetChangesDocument, of: "asset", missing: assetNotFound, parameters: map[string]parameter{
	"first": {read: number}, "after": {read: verbatim}, "last": {read: number}, "before": {read: verbatim}, "asOf": {read: moment},
	"type": {read: word, many: true}, "scan": {read: verbatim, many: true}, "occurredAfter": {read: moment}, "occurredBefore": {read: moment},
}}

func assetNotFound() error {
	return problem.New(problem.NotFound, "ASSET_NOT_FOUND", "there is no asset of this id in the organization")
}

// changeSummary is GET /api/v1/organizations/{slug}/changes/summary.
var changeSummary = alias{document: summaryDocument, parameters: map[string]parameter{"days": {read: number}, "asOf": {read: moment}}}

// Documents are those of the plain addresses.
func Documents() []string { return []string{changesDocument, assetChangesDocument, summaryDocument} }

func verbatim(value string) (any, error) {
	var read string
	return read, text(&read)(value)
}

// word is a value of an enum, which may be written small.
func word(value string) (any, error) {
	return verbatim(strings.ToUpper(value))
}

// moment is an instant, as it is written.
func moment(value string) (any, error) {
	var read time.Time
	return value, instant(&read)(value)
}

func number(value string) (any, error) {
	read, err := strconv.ParseInt(value, 10, 32)
	if err != nil {
		return nil, expected("a whole number")
	}
	return read, nil
}

// alias answers with what the API says to the document.
func (s *Server) alias(a alias) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		found, err := s.askAlias(r, a)
		if err != nil {
			refuse(w, r, s.Logger, err)
			return
		}
		answer(w, http.StatusOK, found)
	}
}

func (s *Server) askAlias(r *http.Request, a alias) (json.RawMessage, error) {
	variables, err := a.variables(r)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(map[string]any{"query": a.document, "variables": variables})
	if err != nil {
		return nil, err
	}
	asked, err := http.NewRequestWithContext(r.Context(), http.MethodPost, "/graphql", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	asked.Header.Set("Content-Type", "application/json")
	asked.RemoteAddr = r.RemoteAddr
	kept := &keeper{header: http.Header{}}
	s.GraphQL.ServeHTTP(kept, asked)
	return kept.open(a)
}

// variables are what the address names and its parameters.
func (a alias) variables(r *http.Request) (map[string]any, error) {
	parameters, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, problem.New(problem.Invalid, "PARAMETERS_MALFORMED", "the parameters are not URL-encoded").Because(err)
	}
	variables := map[string]any{"slug": r.PathValue("slug")}
	if a.of != "" {
		variables[a.of] = r.PathValue(a.of)
	}
	for name, values := range parameters {
		known, ok := a.parameters[name]
		if !ok {
			return nil, problem.New(problem.Invalid, "PARAMETER_UNKNOWN", "there is no parameter %.40q; known are %s",
				name, strings.Join(slices.Sorted(maps.Keys(a.parameters)), ", ")).On(name)
		}
		if len(values) != 1 && !known.many {
			return nil, problem.New(problem.Invalid, "PARAMETER_REPEATED", "the parameter %s is given %d times", name, len(values)).On(name)
		}
		list := make([]any, len(values))
		for i, value := range values {
			if list[i], err = known.read(value); err != nil {
				return nil, problem.New(problem.Invalid, codeParameter, "%.80q is no value for %s, which is %s", value, name, err.Error()).On(name)
			}
		}
		variables[name] = list
		if !known.many {
			variables[name] = list[0]
		}
	}
	return variables, nil
}

// codeParameter is of a parameter that cannot be what it is.
const codeParameter = "PARAMETER_INVALID"

// keeper keeps what the API answers.
type keeper struct {
	header http.Header
	body   bytes.Buffer
}

// Header is that of the answer, which nobody reads.
func (k *keeper) Header() http.Header { return k.header }

// WriteHeader drops the status: the body says what is wrong.
func (*keeper) WriteHeader(int) {}

// Write keeps a part of the answer.
func (k *keeper) Write(p []byte) (int, error) { return k.body.Write(p) }

// fault is an error as the API writes it.
type fault struct {
	Message    string
	Path       []any
	Extensions struct {
		Kind        problem.Kind
		Code, Field string
	}
}

// open takes the answer to the alias out of what the API says.
func (k *keeper) open(a alias) (json.RawMessage, error) {
	var said struct {
		Data struct {
			Organization *struct{ Answer json.RawMessage }
		}
		Errors []fault
	}
	if err := json.Unmarshal(k.body.Bytes(), &said); err != nil {
		return nil, fmt.Errorf("what the API said is no answer: %w", err)
	}
	if len(said.Errors) > 0 {
		return nil, said.Errors[0].problem()
	}
	if said.Data.Organization == nil {
		return nil, access.OrganizationNotFound()
	}
	if a.of == "" {
		return said.Data.Organization.Answer, nil
	}
	var under *struct{ Answer json.RawMessage }
	if err := json.Unmarshal(said.Data.Organization.Answer, &under); err != nil {
		return nil, fmt.Errorf("what the API said is no answer: %w", err)
	}
	if under == nil {
		return nil, a.missing()
	}
	return under.Answer, nil
}

// problem is the same error in the form of the plain routes. Two sorts have no kind:
// what does not fit its variable, which is in its path, and what the limits of the
// API refuse, such as a page of millions.
func (f fault) problem() error {
	kind, code, field := f.Extensions.Kind, f.Extensions.Code, f.Extensions.Field
	switch {
	case len(f.Path) > 1 && f.Path[0] == "variable":
		kind, code = problem.Invalid, codeParameter
		field, _ = f.Path[1].(string)
	case strings.HasPrefix(code, "LIMIT_"):
		kind = problem.Invalid
	case kind == "":
		return fmt.Errorf("the document of an alias was refused: %s: %s", code, f.Message)
	}
	return problem.New(kind, code, "%s", f.Message).On(field)
}
