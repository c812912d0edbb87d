package server

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// metricsTime bounds reading all measures.
const metricsTime = 2 * time.Second

// Measure is a number of /metrics. It says nothing of one organization: whoever
// reaches the port may read it.
type Measure struct {
	Name    string // without the prefix of the program
	Help    string // one line
	Counter bool   // it never falls while the process lives; else it goes up and down
	Read    func(context.Context) (int64, error)
}

// metrics answers in the text format that Prometheus reads. What cannot be read is
// left out: an alert on its absence says so, and a number that is made up would not.
func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), metricsTime)
	defer cancel()
	var text strings.Builder
	version := "devel"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		version = info.Main.Version
	}
	sample(&text, "build_info", "What the program is.", "gauge", fmt.Sprintf("{version=%q,go=%q}", version, runtime.Version()), 1)
	for _, measure := range s.Measures {
		value, err := measure.Read(ctx)
		if err != nil {
			s.Logger.WarnContext(r.Context(), "not measured", "measure", measure.Name, "error", err)
			continue
		}
		kind := "gauge"
		if measure.Counter {
			kind = "counter"
		}
		sample(&text, measure.Name, measure.Help, kind, "", value)
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte(text.String())) // a client that is gone needs no answer
}

func sample(text *strings.Builder, name, help, kind, labels string, value int64) {
	name = "exposuregraph_" + name
	_, _ = fmt.Fprintf(text, "# HELP %s %s\n# TYPE %s %s\n%s%s %d\n", name, help, name, kind, name, labels, value) // a Builder takes everything
}
