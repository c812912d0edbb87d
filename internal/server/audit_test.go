package server_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/audit"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer"
	"github.com/exposuregraph/exposuregraph/internal/problem"
	"github.com/exposuregraph/exposuregraph/internal/server"
)

// heard keeps what the server tells the audit log, in short.
type heard struct {
	mu   sync.Mutex
	told []string
}

func (h *heard) Record(ctx context.Context, event audit.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	actor, _ := access.From(ctx)
	text := fmt.Sprint(actor.Subject, " ", event.Action, " ", event.Outcome)
	for _, p := range event.Properties {
		text += " " + p.Name + "=" + p.Value
	}
	if event.Organization != id.Organization("acme") || event.Door != audit.HTTP || event.RequestID == "" {
		text += fmt.Sprintf(" of %s through %q as %q", event.Organization, event.Door, event.RequestID)
	}
	h.told = append(h.told, text)
}

// take gives what was told since the last time.
func (h *heard) take() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	defer func() { h.told = nil }()
	return h.told
}

// lines hands out a log of one line, or breaks off behind it.
type lines struct {
	breaks       error
	since, until *time.Time
}

func (l *lines) Export(ctx context.Context, slug string, since, until *time.Time, w io.Writer) (int, error) {
	if err := access.Require(ctx, id.Organization(slug), access.Audit); err != nil {
		return 0, err
	}
	l.since, l.until = since, until
	if slug == "empty" {
		return 0, nil
	}
	_, _ = io.WriteString(w, "{}\n")
	return 1, l.breaks
}

// TestEachDoorTellsOnce knocks at each door, rightly and wrongly.
func TestEachDoorTellsOnce(t *testing.T) {
	t.Parallel()
	h, log := &heard{}, &lines{}
	var importing func(ctx context.Context) (*authority.SyncReport, error)
	c := collecting(t, func(config *server.Config) {
		config.Audit, config.AuditLog = h, log
		config.Ledger = &shelf{text: "{}\n", note: "note"}
		config.Importer = importerFunc(func(ctx context.Context, request importer.Request) (*authority.SyncReport, error) {
			return importing(ctx)
		})
	})
	knock := func(method, path, token string, body io.Reader, want string, header ...string) string {
		t.Helper()
		h.take()
		_, answer := c.do(t, method, path, token, body, header...)
		if want == "" {
			require.Empty(t, h.take(), path)
		} else {
			require.Equal(t, []string{want}, h.take(), path)
		}
		return answer
	}
	nobody := func(what string) string { return " " + what }

	importing = func(context.Context) (*authority.SyncReport, error) {
		return &authority.SyncReport{Format: "nmap", Outcome: authority.Applied, Records: authority.RecordCounts{Read: 3, Rejected: 1}}, nil
	}
	const scan = "/imports/nmap?org=acme&source=secret"
	knock("POST", scan, "operator", strings.NewReader("x"), "ada import.nmap done format=nmap result=applied recordsRead=3 recordsRejected=1")
	knock("POST", scan, "viewer", strings.NewReader("x"), "bob import.nmap SCOPE_MISSING")
	knock("POST", scan, "stranger", strings.NewReader("x"), "eve import.nmap ORGANIZATION_NOT_FOUND")
	knock("POST", scan, "", strings.NewReader("x"), nobody("import.nmap TOKEN_MISSING"))
	knock("POST", scan+"&secret=1", "operator", strings.NewReader("x"), "ada import.nmap PARAMETER_UNKNOWN")
	importing = func(context.Context) (*authority.SyncReport, error) {
		return nil, problem.New(problem.Invalid, "FORMAT_UNKNOWN", "no")
	}
	knock("POST", "/imports/a-secret?org=acme", "operator", strings.NewReader("x"), "ada import.unknown FORMAT_UNKNOWN")
	importing = func(context.Context) (*authority.SyncReport, error) { return nil, errors.New("a secret") }
	knock("POST", scan, "operator", strings.NewReader("x"), "ada import.nmap INTERNAL")
	importing = func(context.Context) (*authority.SyncReport, error) { panic("broken") }
	knock("POST", scan, "operator", strings.NewReader("x"), "ada import.nmap INTERNAL")

	content := []byte("the content of a secret file")
	sum := sha256.Sum256(content)
	digest := hex.EncodeToString(sum[:])
	answer := knock("POST", "/files?org=acme&name=secret", "collector", bytes.NewReader(content), "ann file.upload done sha256="+digest+" bytes=28 created=true")
	require.Contains(t, answer, `"created":true`)
	knock("POST", "/files?org=acme", "viewer", bytes.NewReader(content), "bob file.upload SCOPE_MISSING")
	knock("POST", "/files?org=acme", "collector", bytes.NewReader(make([]byte, mebibyte+1)), "ann file.upload FILE_TOO_LARGE")
	file := "/files/" + digest + "?org=acme"
	knock("GET", file, "viewer", nil, "bob file.download done sha256="+digest+" bytes=28")
	knock("GET", file, "viewer", nil, "bob file.download done sha256="+digest+" bytes=28 notModified=true", "If-None-Match", "*")
	knock("HEAD", file, "viewer", nil, "")
	knock("GET", file, "stranger", nil, "eve file.download ORGANIZATION_NOT_FOUND")
	knock("GET", "/files/"+strings.Repeat("0", 64)+"?org=acme", "viewer", nil, "bob file.download FILE_NOT_FOUND")

	knock("GET", "/ledgers/acme", "admin", nil, "root export.ledger done")
	knock("GET", "/ledgers/acme", "viewer", nil, "bob export.ledger SCOPE_MISSING")
	knock("GET", "/ledgers/acme/checkpoint", "admin", nil, "root export.checkpoint done")
	knock("GET", "/ledgers/acme/checkpoint", "stranger", nil, "eve export.checkpoint ORGANIZATION_NOT_FOUND")

	const path = "/organizations/acme/audit.jsonl"
	require.Equal(t, "{}\n", knock("GET", path, "admin", nil, "root export.audit done entries=1"))
	require.Nil(t, log.since)
	knock("GET", path+"?since=2026-03-01T12:00:00Z&until=2026-03-02T12:00:00Z", "admin", nil, "root export.audit done entries=1")
	require.Equal(t, []string{"2026-03-01T12:00:00Z", "2026-03-02T12:00:00Z"}, []string{log.since.Format(time.RFC3339), log.until.Format(time.RFC3339)})
	knock("GET", path+"?since=yesterday", "admin", nil, "root export.audit PARAMETER_INVALID")
	knock("GET", path, "viewer", nil, "bob export.audit SCOPE_MISSING")
	for _, read := range []string{"/ledger-key", "/healthz", "/api/v1/organizations/acme/changes"} {
		knock("GET", read, "admin", nil, "")
	}
	require.Empty(t, h.take())
}

// TestAuditLogDownload: what it is, and what breaks off is seen to be cut off, and told.
func TestAuditLogDownload(t *testing.T) {
	t.Parallel()
	h := &heard{}
	f := setup(t, func(c *server.Config) { c.Audit, c.AuditLog = h, &lines{} })
	response, body := f.do(t, "GET", "/organizations/acme/audit.jsonl", "admin", nil)
	require.Equal(t, []string{"{}\n", "application/x-ndjson", "no-store"}, []string{body, response.Header.Get("Content-Type"), response.Header.Get("Cache-Control")})
	response, body = f.do(t, "GET", "/organizations/empty/audit.jsonl", "admin", nil)
	require.Equal(t, []string{"", "application/x-ndjson"}, []string{body, response.Header.Get("Content-Type")})
	for token, want := range map[string]struct {
		status int
		code   string
	}{"": {401, "TOKEN_MISSING"}, "viewer": {403, "SCOPE_MISSING"}, "stranger": {404, "ORGANIZATION_NOT_FOUND"}} {
		response, body := f.do(t, "GET", "/organizations/acme/audit.jsonl", token, nil)
		requireRefused(t, response, body, want.status, want.code)
	}
	h.take()
	broken := setup(t, func(c *server.Config) { c.Audit, c.AuditLog = h, &lines{breaks: errors.New("the database went away")} })
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, broken.URL+"/organizations/acme/audit.jsonl", nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer admin")
	response, err = http.DefaultClient.Do(request)
	if err == nil { // the connection ends with the first byte, or behind it
		defer response.Body.Close()
		_, err = io.ReadAll(response.Body)
	}
	require.Error(t, err)
	require.Equal(t, []string{"root export.audit BROKEN_OFF entries=1"}, h.take())
}
