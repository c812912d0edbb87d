package server

import (
	"io"
	"net/http"

	"github.com/exposuregraph/exposuregraph/internal/audit"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// ledger answers GET /ledgers/{slug} with the ledger of an organization, as a
// file that can be verified without the server. It is sent as it is read.
func (s *Server) ledger(w http.ResponseWriter, r *http.Request) {
	s.export(w, r, audit.ExportLedger, func(_ *audit.Event, out io.Writer) error {
		return s.Ledger.Export(r.Context(), r.PathValue("slug"), out)
	})
}

// takeExport refuses at once: whoever downloads slowly would keep others waiting.
func (s *Server) takeExport() error {
	select {
	case s.exports <- struct{}{}:
		return nil
	default:
		return problem.New(problem.Unavailable, "EXPORTS_BUSY", "%d ledgers and audit logs are handed out already; try again later", s.Limits.Exports)
	}
}

// checkpoint answers GET /ledgers/{slug}/checkpoint with the newest signed note.
func (s *Server) checkpoint(w http.ResponseWriter, r *http.Request) {
	var text string
	err := s.audited(r, r.PathValue("slug"), audit.ExportCheckpoint, func(*audit.Event) (err error) {
		text, err = s.Ledger.Checkpoint(r.Context(), r.PathValue("slug"))
		if err == nil && text == "" {
			err = problem.New(problem.NotFound, "CHECKPOINT_MISSING", "the ledger of this organization was not signed yet; the server signs it when it has a key and there are entries")
		}
		return err
	})
	s.plain(w, r, text, err)
}

// ledgerKey answers GET /ledger-key with the key that checks new checkpoints.
func (s *Server) ledgerKey(w http.ResponseWriter, r *http.Request) {
	key, err := s.Ledger.PublicKey(r.Context())
	if err == nil && key == "" {
		err = problem.New(problem.NotFound, "LEDGER_KEY_MISSING", "this server has no key and signs no checkpoints; give it one with --ledger-key")
	}
	s.plain(w, r, key+"\n", err)
}

func (s *Server) plain(w http.ResponseWriter, r *http.Request, text string, err error) {
	if err != nil {
		refuse(w, r, s.Logger, err)
		return
	}
	_, _ = io.WriteString(&download{w: w, media: "text/plain; charset=utf-8"}, text) // the client went away
}

// download is a file that begins with its first byte: until then the answer may
// still be a refusal.
type download struct {
	w     http.ResponseWriter
	media string
	begun bool
}

// Write sends a part of the file.
func (d *download) Write(p []byte) (int, error) {
	if !d.begun {
		d.begun = true
		d.w.Header().Set("Content-Type", d.media)
		d.w.Header().Set("Cache-Control", "no-store")
		d.w.WriteHeader(http.StatusOK)
	}
	return d.w.Write(p)
}
