package server_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer"
	"github.com/exposuregraph/exposuregraph/internal/problem"
	"github.com/exposuregraph/exposuregraph/internal/server"
)

const delivery = "7d444840-9dc0-4c1b-9f5d-3c1c5f6a1b2e"

// theatre shows imports, and keeps what it was told.
type theatre struct {
	told   []string
	refuse error
}

func (s *theatre) show(_ context.Context, organization, delivery id.ID) (server.Shown, error) {
	s.told = append(s.told, fmt.Sprintf("begin %t %s", organization == id.Organization("acme"), delivery))
	return s, s.refuse
}

func (s *theatre) Phase(phase authority.Phase) { s.told = append(s.told, string(phase)) }

func (s *theatre) Records(read int) { s.told = append(s.told, fmt.Sprint(read)) }

func (s *theatre) End(report *authority.SyncReport, err error) {
	s.told = append(s.told, fmt.Sprintf("end %t %v", report != nil, err))
}

func TestImportIsShown(t *testing.T) {
	t.Parallel()
	begun := "begin true " + delivery
	for name, test := range map[string]struct {
		path, token string
		refuse      error
		run         importerFunc
		status      int
		code        string
		told        []string
	}{
		"a success": {path: "?org=acme&progress=" + delivery, status: 200, told: []string{begun, "merging", "5", "end true <nil>"}},
		"a refusal": {path: "?org=acme&progress=" + delivery, status: 400, code: "MANIFEST_BAD", told: []string{begun, "end false bad"},
			run: func(context.Context, importer.Request) (*authority.SyncReport, error) {
				return nil, problem.New(problem.Invalid, "MANIFEST_BAD", "bad")
			}},
		"a panic": {path: "?org=acme&progress=" + delivery, status: 500, code: "INTERNAL", told: []string{begun, "end false the import did not come to its end"},
			run: func(context.Context, importer.Request) (*authority.SyncReport, error) { panic("a fault") }},
		"an id that is taken": {path: "?org=acme&progress=" + delivery, refuse: problem.New(problem.Conflict, "PROGRESS_TAKEN", "taken"), status: 409, code: "PROGRESS_TAKEN", told: []string{begun}},
		"nobody looks": {path: "?org=acme", status: 200, run: func(_ context.Context, request importer.Request) (*authority.SyncReport, error) {
			if request.Progress != nil {
				panic("a sync tells nobody")
			}
			return &authority.SyncReport{}, nil
		}},
		"no UUID":            {path: "?org=acme&progress=x", status: 400, code: "PARAMETER_INVALID"},
		"nothing":            {path: "?org=acme&progress=", status: 400, code: "PARAMETER_INVALID"},
		"another form":       {path: "?org=acme&progress={" + delivery + "}", status: 400, code: "PARAMETER_INVALID"},
		"nil":                {path: "?org=acme&progress=00000000-0000-0000-0000-000000000000", status: 400, code: "PARAMETER_INVALID"},
		"twice":              {path: "?org=acme&progress=" + delivery + "&progress=" + delivery, status: 400, code: "PARAMETER_REPEATED"},
		"a stranger":         {path: "?org=acme&progress=" + delivery, token: "stranger", status: 404, code: "ORGANIZATION_NOT_FOUND"},
		"who may not import": {path: "?org=acme&progress=" + delivery, token: "viewer", status: 403, code: "SCOPE_MISSING"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &theatre{refuse: test.refuse}
			f := setup(t, func(c *server.Config) {
				c.Show = s.show
				c.Importer = importerFunc(func(ctx context.Context, request importer.Request) (*authority.SyncReport, error) {
					if test.run != nil {
						return test.run(ctx, request)
					}
					request.Progress.Phase(authority.PhaseMerging)
					request.Progress.Records(5)
					return &authority.SyncReport{}, nil
				})
			})
			token := test.token
			if token == "" {
				token = "operator"
			}
			response, body := f.do(t, "POST", "/imports/kubernetes"+test.path, token, strings.NewReader("kind: Pod"))
			if test.code == "" {
				require.Equal(t, test.status, response.StatusCode, body)
			} else {
				requireRefused(t, response, body, test.status, test.code)
			}
			require.Equal(t, test.told, s.told)
		})
	}
}

// An import that waits for its turn is shown as long as it waits, and has ended when
// it does not get one.
func TestWaitingImportIsShown(t *testing.T) {
	t.Parallel()
	s := &theatre{}
	running, release := make(chan struct{}), make(chan struct{})
	f := setup(t, func(c *server.Config) {
		c.Show, c.Limits.Imports, c.Limits.ImportWait = s.show, 1, time.Millisecond
		c.Importer = importerFunc(func(context.Context, importer.Request) (*authority.SyncReport, error) {
			close(running)
			<-release
			return &authority.SyncReport{}, nil
		})
	})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.do(t, "POST", "/imports/kubernetes?org=acme", "operator", strings.NewReader("kind: Pod"))
	}()
	<-running
	response, body := f.do(t, "POST", "/imports/kubernetes?org=acme&progress="+delivery, "operator", strings.NewReader("kind: Pod"))
	requireRefused(t, response, body, 503, "IMPORTS_BUSY")
	require.Len(t, s.told, 2)
	require.Contains(t, s.told[1], "end false 1 imports are running already")
	close(release)
	<-ended
}
