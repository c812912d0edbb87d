package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// checkTime bounds a check of /readyz.
const checkTime = 2 * time.Second

// Check is something the server cannot serve without.
type Check struct {
	Name string
	Run  func(context.Context) error
}

// checkResult is one check in the answer of /readyz.
type checkResult struct {
	OK      bool   `json:"ok"`
	Code    string `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
}

func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]string{"status": "ok"})
}

func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), checkTime)
	defer cancel()
	ready, results := true, make(map[string]checkResult, len(s.Checks))
	for _, check := range s.Checks {
		err := check.Run(ctx)
		if err == nil {
			results[check.Name] = checkResult{OK: true}
			continue
		}
		ready = false
		s.Logger.WarnContext(r.Context(), "not ready", "check", check.Name, "error", err)
		// Only words that were written for a caller go to one.
		result := checkResult{Code: "CHECK_FAILED", Message: "the server's log says why"}
		var typed *problem.Error
		if errors.As(err, &typed) {
			result = checkResult{Code: typed.Code, Message: typed.Message}
		}
		results[check.Name] = result
	}
	status := http.StatusOK
	if !ready {
		status = http.StatusServiceUnavailable
	}
	answer(w, status, map[string]any{"ready": ready, "checks": results})
}
