package server_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/server"
)

// shelf hands out one ledger, or breaks off behind so many bytes.
type shelf struct {
	text    string
	breakAt int
	note    string
	key     string
	begun   chan struct{}
	resume  chan struct{}
}

func (s *shelf) Export(ctx context.Context, slug string, w io.Writer) error {
	if err := access.Require(ctx, id.Organization(slug), access.Audit); err != nil {
		return err
	}
	if s.begun != nil {
		s.begun <- struct{}{}
		<-s.resume
	}
	if s.breakAt > 0 {
		_, _ = io.WriteString(w, s.text[:s.breakAt])
		return errors.New("the database went away")
	}
	if s.text == "" {
		return errors.New("the database is not there")
	}
	_, err := io.WriteString(w, s.text)
	return err
}

func (s *shelf) Checkpoint(ctx context.Context, slug string) (string, error) {
	return s.note, access.Require(ctx, id.Organization(slug), access.Audit)
}

func (s *shelf) PublicKey(ctx context.Context) (string, error) {
	_, err := access.RequireScope(ctx, access.Audit)
	return s.key, err
}

func setupLedger(t *testing.T, s *shelf) fixture {
	t.Helper()
	return setup(t, func(c *server.Config) {
		c.Ledger = s
		c.Limits.Exports = 1
	})
}

func TestLedgerExport(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("{\"seq\":1}\n", 100_000)
	f := setupLedger(t, &shelf{text: text})
	response, body := f.do(t, "GET", "/ledgers/acme", "admin", nil)
	require.Equal(t, 200, response.StatusCode)
	require.Equal(t, "application/x-ndjson", response.Header.Get("Content-Type"))
	require.Equal(t, "no-store", response.Header.Get("Cache-Control"))
	require.Equal(t, text, body)

	for token, want := range map[string]struct {
		status int
		code   string
	}{"": {401, "TOKEN_MISSING"}, "viewer": {403, "SCOPE_MISSING"}, "stranger": {404, "ORGANIZATION_NOT_FOUND"}, "expired": {401, "TOKEN_EXPIRED"}} {
		for _, path := range []string{"/ledgers/acme", "/ledgers/acme/checkpoint"} {
			response, body := f.do(t, "GET", path, token, nil)
			requireRefused(t, response, body, want.status, want.code)
		}
	}
	response, body = f.do(t, "POST", "/ledgers/acme", "admin", nil)
	requireRefused(t, response, body, 405, "METHOD_NOT_ALLOWED")
	response, body = f.do(t, "GET", "/ledgers/acme/nothing", "admin", nil)
	requireRefused(t, response, body, 404, "PATH_UNKNOWN")
	response, body = f.do(t, "GET", "/ledgers/", "admin", nil)
	requireRefused(t, response, body, 404, "PATH_UNKNOWN")

	// What fails before the first byte is a refusal; what fails behind it is cut
	// off, and seen to be.
	response, body = setupLedger(t, &shelf{}).do(t, "GET", "/ledgers/acme", "admin", nil)
	requireRefused(t, response, body, 500, "INTERNAL")
	broken := setupLedger(t, &shelf{text: text, breakAt: 200_000})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, broken.URL+"/ledgers/acme", nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer admin")
	response, err = http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, 200, response.StatusCode)
	_, err = io.ReadAll(response.Body)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Contains(t, broken.log.String(), "an export broke off")
}

func TestLedgerExportTurns(t *testing.T) {
	t.Parallel()
	s := &shelf{text: "{}\n", begun: make(chan struct{}), resume: make(chan struct{})}
	f := setupLedger(t, s)
	first := make(chan string)
	go func() {
		_, body := f.do(t, "GET", "/ledgers/acme", "admin", nil)
		first <- body
	}()
	<-s.begun
	response, body := f.do(t, "GET", "/ledgers/acme", "admin", nil)
	requireRefused(t, response, body, 503, "EXPORTS_BUSY")
	response, body = f.do(t, "GET", "/ledgers/acme", "viewer", nil)
	requireRefused(t, response, body, 403, "SCOPE_MISSING")
	s.resume <- struct{}{}
	require.Equal(t, "{}\n", <-first)
}

func TestLedgerCheckpointAndKey(t *testing.T) {
	t.Parallel()
	f := setupLedger(t, &shelf{note: "origin\n1\n", key: "exposuregraph+12345678+AAAA"})
	response, body := f.do(t, "GET", "/ledgers/acme/checkpoint", "admin", nil)
	require.Equal(t, 200, response.StatusCode)
	require.Equal(t, "text/plain; charset=utf-8", response.Header.Get("Content-Type"))
	require.Equal(t, "origin\n1\n", body)
	response, body = f.do(t, "GET", "/ledger-key", "admin", nil)
	require.Equal(t, 200, response.StatusCode)
	require.Equal(t, "exposuregraph+12345678+AAAA\n", body)
	response, body = f.do(t, "GET", "/ledger-key", "viewer", nil)
	requireRefused(t, response, body, 403, "SCOPE_MISSING")

	f = setupLedger(t, &shelf{})
	response, body = f.do(t, "GET", "/ledgers/acme/checkpoint", "admin", nil)
	requireRefused(t, response, body, 404, "CHECKPOINT_MISSING")
	response, body = f.do(t, "GET", "/ledger-key", "admin", nil)
	requireRefused(t, response, body, 404, "LEDGER_KEY_MISSING")
}
