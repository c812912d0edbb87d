package server

import (
	"context"
	"errors"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/audit"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer"
	"github.com/exposuregraph/exposuregraph/internal/problem"
	"github.com/exposuregraph/exposuregraph/internal/progress"
)

// imports answers POST /imports/{format} with the report of the sync. Rejected
// records are part of a report and no error.
func (s *Server) imports(w http.ResponseWriter, r *http.Request) {
	body := s.paced(w, r, http.MaxBytesReader(w, r.Body, s.Limits.UploadBytes))
	var report *authority.SyncReport
	err := s.audited(r, r.URL.Query().Get("org"), importAction(r.PathValue("format")), func(event *audit.Event) (err error) {
		if report, err = s.runImport(r); err == nil {
			sayImported(event, report)
		}
		return err
	})
	if err != nil {
		s.refuseUpload(w, r, body, err)
		return
	}
	answer(w, http.StatusOK, report)
}

func (s *Server) runImport(r *http.Request) (*authority.SyncReport, error) {
	ctx := r.Context()
	request, delivery, err := importRequest(r)
	if err != nil {
		return nil, err
	}
	// The service checks this too; here it comes before the first byte is read.
	if err := access.Require(ctx, id.Organization(request.Organization), access.Operate); err != nil {
		return nil, err
	}
	// A client may always ask for it; for anybody but an administrator an unknown
	// organization stays one that does not exist.
	if access.RequireAdmin(ctx) != nil {
		request.CreateOrganization = false
	}
	return s.shown(ctx, &request, delivery, func() (*authority.SyncReport, error) {
		if err := s.takeTurn(ctx); err != nil {
			return nil, err
		}
		defer func() { <-s.turns }()
		if err := s.attachFiles(r, &request); err != nil {
			return nil, err
		}
		return s.Importer.Run(ctx, request)
	})
}

// shown runs an import that may be looked at, and says how it ended, also of one that
// panics.
func (s *Server) shown(ctx context.Context, request *importer.Request, delivery id.ID, run func() (*authority.SyncReport, error)) (report *authority.SyncReport, err error) {
	if delivery == id.Nil || s.Show == nil {
		return run()
	}
	shown, err := s.Show(ctx, id.Organization(request.Organization), delivery)
	if err != nil {
		return nil, err
	}
	request.Progress = shown
	err = errUnfinished
	defer func() { shown.End(report, err) }()
	return run()
}

var errUnfinished = errors.New("the import did not come to its end")

// takeTurn waits until fewer imports run than may.
func (s *Server) takeTurn(ctx context.Context) error {
	patience, cancel := context.WithTimeout(ctx, s.Limits.ImportWait)
	defer cancel()
	select {
	case s.turns <- struct{}{}:
		return nil
	case <-patience.Done():
		return problem.New(problem.Unavailable, "IMPORTS_BUSY", "%d imports are running already; try again later", s.Limits.Imports)
	}
}

// importRequest reads the address: the format and the parameters. The delivery is
// nil if nobody wants to look at it.
func importRequest(r *http.Request) (request importer.Request, delivery id.ID, err error) {
	request.Format = r.PathValue("format")
	err = parameters(r, map[string]func(string) error{
		"org":        text(&request.Organization),
		"source":     text(&request.Source),
		"system":     text(&request.System),
		"namespace":  text(&request.Namespace),
		"observedAt": instant(&request.ObservedAt),
		"partial":    truth(&request.Partial),
		"strict":     truth(&request.Strict),
		"create":     truth(&request.CreateOrganization),
		"progress":   unique(&delivery),
	})
	if err != nil {
		return request, delivery, err
	}
	if request.Organization == "" {
		return request, delivery, problem.New(problem.Invalid, "ORGANIZATION_MISSING", "say whose import this is: ?org=SLUG").On("org")
	}
	return request, delivery, nil
}

// parameters reads those of the address, each at most once.
func parameters(r *http.Request, targets map[string]func(string) error) error {
	given, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return problem.New(problem.Invalid, "PARAMETERS_MALFORMED", "the parameters are not URL-encoded").Because(err)
	}
	for name, values := range given {
		set, known := targets[name]
		if !known {
			return problem.New(problem.Invalid, "PARAMETER_UNKNOWN", "there is no parameter %.40q; known are %s",
				name, strings.Join(slices.Sorted(maps.Keys(targets)), ", ")).On(name)
		}
		if len(values) != 1 {
			return problem.New(problem.Invalid, "PARAMETER_REPEATED", "the parameter %s is given %d times", name, len(values)).On(name)
		}
		if err := set(values[0]); err != nil {
			return problem.New(problem.Invalid, codeParameter, "%.80q is no value for %s, which is %s", values[0], name, err.Error()).On(name)
		}
	}
	return nil
}

// expected is what a parameter should have been.
type expected string

func (e expected) Error() string { return string(e) }

func text(target *string) func(string) error {
	return func(value string) error {
		if len(value) > 1024 || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }) {
			return expected("a short text without control characters")
		}
		*target = value
		return nil
	}
}

func truth(target *bool) func(string) error {
	return func(value string) (err error) {
		if *target, err = strconv.ParseBool(value); err != nil {
			return expected("true or false")
		}
		return nil
	}
}

func instant(target *time.Time) func(string) error {
	return func(value string) (err error) {
		if *target, err = time.Parse(time.RFC3339, value); err != nil {
			return expected("a time as in 2006-01-02T15:04:05Z (RFC 3339)")
		}
		return nil
	}
}

func unique(target *id.ID) func(string) error {
	return func(value string) (err error) {
		if *target, err = progress.Parse(value); err != nil {
			return expected("a UUID as in 7d444840-9dc0-4c1b-9f5d-3c1c5f6a1b2e, another one for each import")
		}
		return nil
	}
}

// attachFiles finds the files in the body: the parts of a multipart one, or the
// body itself.
func (s *Server) attachFiles(r *http.Request, request *importer.Request) error {
	if coding := r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return problem.New(problem.Invalid, "ENCODING_UNSUPPORTED", "send the files without Content-Encoding").On("Content-Encoding")
	}
	media, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err == nil && (media == "multipart/form-data" || media == "multipart/mixed") {
		return s.attachParts(r, parameters["boundary"], request)
	}
	if strings.HasPrefix(strings.ToLower(r.Header.Get("Content-Type")), "multipart/") {
		return problem.New(problem.Invalid, "MULTIPART_MALFORMED", "send multipart/form-data or multipart/mixed with a boundary").On("Content-Type")
	}
	request.Files = func(yield func(importer.File, error) bool) {
		yield(importer.File{Name: "body", Content: r.Body}, nil)
	}
	return nil
}
