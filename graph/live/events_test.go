package live_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/graph/live"
)

func requireCode(t *testing.T, response *http.Response, code string) {
	t.Helper()
	var body struct {
		Errors []struct {
			Message    string
			Extensions struct{ Code, Kind string }
		}
	}
	require.Equal(t, "application/json", response.Header.Get("Content-Type"))
	require.NoError(t, json.NewDecoder(response.Body).Decode(&body))
	require.Len(t, body.Errors, 1)
	require.Equal(t, code, body.Errors[0].Extensions.Code)
	require.NotEmpty(t, body.Errors[0].Extensions.Kind)
	require.NotEmpty(t, body.Errors[0].Message)
}

func TestEvents(t *testing.T) {
	t.Parallel()
	next := func(payload string) string { return "event: next\ndata: " + payload + "\n\n" }
	const complete = "event: complete\ndata:\n\n"
	for query, want := range map[string]string{
		"subscription{ticks(count:2)}": next(`{"data":{"ticks":1}}`) + next(`{"data":{"ticks":2}}`) + complete,
		"{name}":                       next(`{"data":{"name":"healthy"}}`) + complete,
		"subscription{":                next(`{"errors":[{"message":"Expected Name, found <EOF>","extensions":{"code":"DOCUMENT"}}]}`) + complete,
		"subscription{refused}":        next(`{"errors":[{"message":"no cursor","extensions":{"code":"CURSOR_INVALID"}}]}`) + complete,
		"subscription{late}":           next(`{"data":{"late":1}}`) + next(`{"errors":[{"message":"down","extensions":{"code":"DATABASE_UNAVAILABLE"}}]}`) + complete,
		"subscription{fault}":          next(`{"errors":[{"message":"of this tick"}],"data":null}`) + next(`{"data":{"fault":2}}`) + complete,
		"subscription{panics}":         next(`{"errors":[{"message":"internal error","extensions":{"code":"INTERNAL"}}]}`) + complete,
	} {
		t.Run(query, func(t *testing.T) {
			t.Parallel()
			h := setup(t, live.Limits{})
			text, err := io.ReadAll(h.events(t, "ann", query))
			require.NoError(t, err)
			require.Equal(t, ":\n\n"+strings.ReplaceAll(want, "<EOF>", `\u003cEOF\u003e`), string(text))
			h.quiet(t)
		})
	}
}

func TestSubscriptionsNeedAStream(t *testing.T) {
	t.Parallel()
	h := setup(t, live.Limits{})
	for _, accept := range []string{"application/json", "*/*", ""} {
		response := h.post(t, "ann", accept, "subscription{ticks(count:1)}")
		require.Equal(t, http.StatusNotAcceptable, response.StatusCode)
		requireCode(t, response, "SUBSCRIPTION_NEEDS_STREAM")
	}
	response, err := h.Client().Get(h.URL + "?query=" + url.QueryEscape("subscription{ticks(count:1)}"))
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusNotAcceptable, response.StatusCode)
	requireCode(t, response, "SUBSCRIPTION_NEEDS_STREAM")
	require.Zero(t, h.running.Load())
	h.healthy(t)
}
