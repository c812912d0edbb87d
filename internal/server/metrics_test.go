package server_test

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/server"
)

// TestMetrics: the text format that Prometheus reads, without what cannot be read.
func TestMetrics(t *testing.T) {
	t.Parallel()
	var failures int64
	f := setup(t, func(c *server.Config) {
		c.Measures = []server.Measure{
			{Name: "failures_total", Help: "What failed.", Counter: true, Read: func(context.Context) (int64, error) { failures++; return failures, nil }},
			{Name: "broken", Help: "Nobody knows.", Read: func(context.Context) (int64, error) { return 7, errors.New("secret host") }},
			{Name: "waiting", Help: "What waits.", Read: func(ctx context.Context) (int64, error) {
				_, bounded := ctx.Deadline()
				require.True(t, bounded)
				return 12, nil
			}},
		}
	})
	response, body := f.do(t, http.MethodGet, "/metrics", "", nil)
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Equal(t, "text/plain; version=0.0.4; charset=utf-8", response.Header.Get("Content-Type"))
	require.Contains(t, body, "# HELP exposuregraph_failures_total What failed.\n# TYPE exposuregraph_failures_total counter\nexposuregraph_failures_total 1\n")
	require.Contains(t, body, "# HELP exposuregraph_waiting What waits.\n# TYPE exposuregraph_waiting gauge\nexposuregraph_waiting 12\n")
	require.NotContains(t, body, "broken")
	require.NotContains(t, body, "secret")
	require.Contains(t, f.log.String(), "secret host")
	line := regexp.MustCompile(`^(# (HELP|TYPE) exposuregraph_[a-z_]+ .+|exposuregraph_[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? -?[0-9]+)$`)
	for text := range strings.Lines(body) {
		require.Regexp(t, line, strings.TrimSuffix(text, "\n"))
	}
	require.Regexp(t, `(?m)^exposuregraph_build_info\{version="[^"]+",go="go[^"]+"\} 1$`, body)

	_, body = f.do(t, http.MethodGet, "/metrics", "", nil)
	require.Contains(t, body, "exposuregraph_failures_total 2\n")
	response, _ = f.do(t, http.MethodPost, "/metrics", "", nil)
	require.Equal(t, http.StatusMethodNotAllowed, response.StatusCode)
	response, body = f.do(t, http.MethodHead, "/metrics", "", nil)
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Empty(t, body)
}
