package app

import (
	"io"
	"net/http"

	"github.com/exposuregraph/exposuregraph/internal/web"
)

// examples are the tabs that GraphiQL opens with.
var examples []web.Tab

// graphQL is the handler of the API.
func (a *App) graphQL() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `{"errors":[{"message":"the API is not part of this build","extensions":{"code":"API_MISSING"}}]}`)
	})
}
