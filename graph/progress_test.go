package graph_test

import (
	"bufio"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/graph"
	"github.com/exposuregraph/exposuregraph/graph/model"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/org"
	"github.com/exposuregraph/exposuregraph/internal/posture"
	"github.com/exposuregraph/exposuregraph/internal/problem"
	"github.com/exposuregraph/exposuregraph/internal/progress"
	"github.com/exposuregraph/exposuregraph/internal/triage"
)

// replica is a server on the database of a bench, whose board may write when the test
// says so.
type replica struct {
	*httptest.Server
	board *progress.Board
	ticks chan time.Time
}

// actors are who asks, by what they say they are.
var actors = map[string]access.Actor{
	"root": root, "viewer": viewer,
	"blind":    {Subject: "blind", Organizations: []string{"acme"}, Scopes: []access.Scope{access.Operate}},
	"stranger": {Subject: "stranger", Organizations: []string{"rival"}, Scopes: []access.Scope{access.View}},
}

func (b *bench) replica(t *testing.T) *replica {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	r := &replica{ticks: make(chan time.Time)}
	r.board = progress.New(progress.Config{
		DB: b.DB, Readers: b.DB, Now: b.now, Log: log, Poll: time.Millisecond,
		Ticks: func() (<-chan time.Time, func()) { return r.ticks, func() {} },
	})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.board.Run(ctx) }()
	handler := graph.NewHandler(graph.Config{
		DB: b.DB, Organizations: &org.Store{}, Paths: b.paths, Exposures: &exposure.Reader{}, Clusters: &posture.Reader{}, Log: log,
		Triage: triage.New(b.DB, b.paths, b.now), Board: r.board,
	})
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		handler.ServeHTTP(w, request.WithContext(access.With(request.Context(), actors[request.Header.Get("Authorization")])))
	}))
	t.Cleanup(func() {
		r.Close()
		stop()
		require.NoError(t, <-ended)
	})
	return r
}

const progressOf = `subscription($organization: String!, $id: ID!) { syncProgress(organization: $organization, id: $id) {
	phase records code startedAt updatedAt sync { id version outcome recordsRead source { name } } } }`

// look gives the frames of a delivery as they come, until the stream is complete.
func (r *replica) look(t *testing.T, who, organization, of string) <-chan answer {
	t.Helper()
	body, err := json.Marshal(map[string]any{"query": progressOf, "variables": map[string]any{"organization": organization, "id": of}})
	require.NoError(t, err)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL, strings.NewReader(string(body)))
	require.NoError(t, err)
	for name, value := range map[string]string{"Content-Type": "application/json", "Accept": "text/event-stream", "Authorization": who} {
		request.Header.Set(name, value)
	}
	response, err := r.Client().Do(request)
	require.NoError(t, err)
	frames := make(chan answer, 100)
	go func() {
		defer close(frames)
		defer response.Body.Close()
		lines := bufio.NewScanner(response.Body)
		for lines.Scan() {
			var a answer
			if data, found := strings.CutPrefix(lines.Text(), "data: "); found && json.Unmarshal([]byte(data), &a) == nil {
				frames <- a
			}
		}
	}()
	return frames
}

// shown is a delivery that goes on when all who look have seen how far it is.
type shown struct {
	*progress.Delivery
	t       *testing.T
	ticks   chan time.Time
	looking []<-chan answer
	seen    []map[string]any
}

func (s *shown) Phase(phase authority.Phase) {
	s.Delivery.Phase(phase)
	s.ticks <- time.Time{}
	s.see(phase)
}

// see takes one frame of each, which must be of the phase.
func (s *shown) see(phase authority.Phase) {
	for i, frames := range s.looking {
		var a answer
		select {
		case a = <-frames:
		case <-time.After(time.Minute):
		}
		require.Empty(s.t, a.Errors)
		frame := at[map[string]any](s.t, a.Data, "syncProgress")
		require.Equal(s.t, strings.ToUpper(string(phase)), frame["phase"])
		if i == 0 {
			s.seen = append(s.seen, frame)
		} else {
			require.Equal(s.t, s.seen[len(s.seen)-1], frame, "on every replica")
		}
	}
}

// TestSyncProgress follows deliveries on the replica that has them and on another.
func TestSyncProgress(t *testing.T) {
	t.Parallel()
	b := setupWith(t, time.Nanosecond)
	here, there := b.replica(t), b.replica(t)
	ctx := access.With(context.Background(), root)
	run := func(request authority.SyncRequest, facts ...record.Fact) *shown {
		t.Helper()
		delivery := uuid.New()
		s := &shown{t: t, ticks: here.ticks, looking: []<-chan answer{there.look(t, "viewer", "acme", delivery.String())}} // it has not begun
		var err error
		s.Delivery, err = here.board.Begin(ctx, id.Organization("acme"), delivery)
		require.NoError(t, err)
		s.looking = append(s.looking, here.look(t, "root", "acme", delivery.String()))
		s.see(authority.PhaseWaiting)
		request.Organization, request.CreateOrganization, request.Format, request.Progress = "acme", true, "snapshot", s
		report, err := b.paths.Sync(ctx, request, func(out record.Emitter) error {
			for i, fact := range facts {
				if err := out.Record(record.Record{Position: record.Position{Line: i + 1}, Fact: fact}); err != nil {
					return err
				}
			}
			return nil
		})
		s.End(report, err)
		if err != nil {
			s.see(authority.PhaseFailed)
		} else {
			s.see(authority.PhaseDone)
		}
		for _, frames := range s.looking {
			_, more := <-frames
			require.False(t, more, "nothing comes behind the end")
		}
		for _, frame := range s.seen[:len(s.seen)-1] {
			require.Nil(t, frame["sync"])
			require.Nil(t, frame["code"])
		}
		return s
	}
	phases := func(s *shown) (list []string) {
		for _, frame := range s.seen {
			list = append(list, at[string](t, frame, "phase"))
		}
		return list
	}

	facts := kiosk("old", "internal", "get")
	applied := run(authority.SyncRequest{ObservedAt: epoch}, facts...)
	require.Equal(t, []string{"WAITING", "RECEIVING", "MERGING", "DERIVING", "JUDGING", "WRITING", "COUNTING", "COMMITTING", "DONE"}, phases(applied))
	require.Equal(t, 0.0, applied.seen[1]["records"])
	for _, frame := range applied.seen[2:] {
		require.Equal(t, float64(len(facts)), frame["records"])
		require.Equal(t, "2026-03-01T12:00:00Z", frame["startedAt"])
	}
	end := applied.seen[len(applied.seen)-1]
	require.Equal(t, "APPLIED", at[string](t, end, "sync", "outcome"))
	require.Equal(t, "snapshot", at[string](t, end, "sync", "source", "name"))
	require.Nil(t, end["code"])

	// What was applied before has become what it was then.
	repeated := run(authority.SyncRequest{ObservedAt: epoch}, facts...)
	require.Equal(t, []string{"WAITING", "RECEIVING", "MERGING", "DONE"}, phases(repeated))
	require.Equal(t, end["sync"], repeated.seen[3]["sync"])
	b.clock.Add(int64(time.Hour))
	unchanged := run(authority.SyncRequest{}, facts...)
	require.Equal(t, []string{"WAITING", "RECEIVING", "MERGING", "COMMITTING", "DONE"}, phases(unchanged))
	require.Equal(t, "UNCHANGED", at[string](t, unchanged.seen[4], "sync", "outcome"))
	late := run(authority.SyncRequest{ObservedAt: epoch.Add(-time.Hour)}, facts[1:]...)
	require.Equal(t, "LATE", at[string](t, late.seen[len(late.seen)-1], "sync", "outcome"))
	refused := run(authority.SyncRequest{Strict: true}, append(facts, facts[0])...)
	require.Equal(t, []string{"WAITING", "RECEIVING", "MERGING", "FAILED"}, phases(refused))
	require.Equal(t, "DUPLICATE_RECORD", refused.seen[3]["code"])
	require.Nil(t, refused.seen[3]["sync"])

	// A sync is done, by its own id, wherever and whenever.
	frames := there.look(t, "viewer", "acme", at[string](t, end, "sync", "id"))
	whole := <-frames
	require.Equal(t, end["sync"], at[map[string]any](t, whole.Data, "syncProgress", "sync"))
	require.Equal(t, "DONE", at[string](t, whole.Data, "syncProgress", "phase"))
	require.Equal(t, float64(len(facts)), at[float64](t, whole.Data, "syncProgress", "records"))
	_, more := <-frames
	require.False(t, more)
}

// TestSyncProgressIsRefused: a delivery of another organization is the same as none.
func TestSyncProgressIsRefused(t *testing.T) {
	t.Parallel()
	b := setupWith(t, time.Nanosecond)
	r := b.replica(t)
	b.sync(t, "acme", kiosk("old", "internal", "get")...)
	b.sync(t, "rival", kiosk("old", "internal", "get")...)
	syncs := b.query(t, root, `{ organization(slug: "rival") { id syncs(first: 1) { nodes { id } } } }`, nil)
	of := at[string](t, syncs.Data, "organization", "syncs", "nodes", 0, "id")
	delivery := uuid.New()
	d, err := r.board.Begin(access.With(context.Background(), root), id.Organization("rival"), delivery)
	require.NoError(t, err)
	defer d.End(nil, problem.New(problem.Invalid, "OVER", "over"))
	// Time passes while one waits, by a step whenever nothing came: a stream begins
	// to wait some time after its request was sent.
	refusal := func(frames <-chan answer, step time.Duration) answer {
		t.Helper()
		for patience := time.Now().Add(time.Minute); ; b.clock.Add(int64(step)) {
			select {
			case a := <-frames:
				require.Nil(t, a.Data)
				_, more := <-frames
				require.False(t, more)
				return a
			case <-time.After(20 * time.Millisecond):
				require.True(t, time.Now().Before(patience), "nothing came")
			}
		}
	}
	for _, test := range []struct{ who, organization, id, code string }{
		{"viewer", "acme", "nonsense", "DELIVERY_ID_INVALID"}, {"viewer", "acme", "", "DELIVERY_ID_INVALID"},
		{"viewer", "acme", uuid.Nil.String(), "DELIVERY_ID_INVALID"}, {"viewer", "acme", "{" + delivery.String() + "}", "DELIVERY_ID_INVALID"},
		{"viewer", "acme", at[string](t, syncs.Data, "organization", "id"), "DELIVERY_ID_INVALID"},
		{"viewer", "acme", model.ID{Type: model.TypeSync, Organization: id.Organization("acme")}.String(), "DELIVERY_ID_INVALID"},
		{"viewer", "rival", delivery.String(), "ORGANIZATION_NOT_FOUND"}, {"viewer", "nobody", delivery.String(), "ORGANIZATION_NOT_FOUND"},
		{"viewer", "rival", of, "ORGANIZATION_NOT_FOUND"}, {"viewer", "acme", of, "DELIVERY_NOT_FOUND"}, {"root", "acme", of, "DELIVERY_NOT_FOUND"},
		{"blind", "acme", delivery.String(), "SCOPE_MISSING"}, {"stranger", "acme", delivery.String(), "ORGANIZATION_NOT_FOUND"},
	} {
		require.Equal(t, test.code, refusal(r.look(t, test.who, test.organization, test.id), 0).code(), "%+v", test)
	}

	lost := r.look(t, "stranger", "rival", delivery.String())
	frame := <-lost
	require.Equal(t, "WAITING", at[string](t, frame.Data, "syncProgress", "phase"))

	// One that nobody has, one that another organization has, and one to an organization
	// that is not there, are waited for alike.
	var waiting []<-chan answer
	for _, test := range []struct{ organization, id string }{{"acme", uuid.NewString()}, {"acme", delivery.String()}, {"nobody", delivery.String()}} {
		waiting = append(waiting, r.look(t, "root", test.organization, test.id))
	}
	first := refusal(waiting[0], 11*time.Second)
	require.Equal(t, "DELIVERY_NOT_FOUND", first.code())
	require.Equal(t, first, refusal(waiting[1], 11*time.Second))
	require.Equal(t, first, refusal(waiting[2], 11*time.Second))

	// One of which nothing more is heard.
	require.Equal(t, "DELIVERY_LOST", refusal(lost, time.Hour).code())

	whole := b.query(t, viewer, `subscription { syncProgress(organization: "acme", id: "x") { phase } }`, nil)
	require.Equal(t, "SUBSCRIPTION_NEEDS_STREAM", whole.code())
}
