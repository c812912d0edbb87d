package benchmark

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"
)

const (
	liveEvents = 2000             // that are sent to subscribers, in a run with the most of them
	lateAfter  = 20 * time.Second // of silence, the rest counts as late
	liveQuery  = `subscription Follow($organization: String!, $after: String) { exposureChanges(organization: $organization, after: $after) { heartbeat seq type title occurredAt } }`
)

// measureLive has more and more subscribers follow a feed. They are in a process of
// their own, so that what the server holds is not theirs.
func (s *stand) measureLive(ctx context.Context, options Options, f *Feed) (err error) {
	p, err := s.pressOf(ctx)
	if err != nil {
		return err
	}
	end, err := s.follow(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	c, err := s.serveTo(ctx, 1, feedSlug)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	events := min(liveEvents, options.Load*2)
	for _, subscribers := range options.Subscribers {
		one, idle, err := p.live(ctx, c, subscribers, events)
		if err != nil {
			return fmt.Errorf("%d subscribers: %w", subscribers, err)
		}
		f.Live, f.Idle = append(f.Live, one), idle
		say(options, "%d subscribers: p50 %s, p99 %s, %d late, %d bytes each while idle", subscribers, one.P50, one.P99, one.Missing, idle)
	}
	return nil
}

// order is what the process of the subscribers is told.
type order struct {
	URL, Token, Organization string
	After                    string
	Subscribers              int
}

// received is what it says in the end.
type received struct {
	P50, P99 time.Duration
	Missing  int64
	Err      string
}

func (p *press) live(ctx context.Context, c *client, subscribers, events int) (result Live, idle int64, err error) {
	cursor, err := p.cursor(ctx, c)
	if err != nil {
		return result, 0, err
	}
	before := held()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	program, err := os.Executable()
	if err != nil {
		return result, 0, err
	}
	followers := exec.CommandContext(ctx, program, followerArgument)
	followers.Stderr = os.Stderr
	in, err := followers.StdinPipe()
	if err != nil {
		return result, 0, err
	}
	out, err := followers.StdoutPipe()
	if err != nil {
		return result, 0, err
	}
	if err := followers.Start(); err != nil {
		return result, 0, err
	}
	defer func() {
		cancel()
		_ = followers.Wait() // it has said what it had to say, or was ended
	}()
	say, hear := json.NewEncoder(in), json.NewDecoder(out)
	var ready bool
	if err := errors.Join(say.Encode(order{c.url, c.token, feedSlug, cursor, subscribers}), hear.Decode(&ready)); err != nil {
		return result, 0, err
	}
	idle = (held() - before) / int64(subscribers)
	since := now()
	if err := p.paced(ctx, events); err != nil {
		return result, 0, err
	}
	result = Live{Subscribers: subscribers, Sent: events, Rate: float64(events) / now().Sub(since).Seconds()}
	var heard received
	if err := errors.Join(say.Encode(events), hear.Decode(&heard)); err != nil {
		return result, 0, err
	}
	if heard.Err != "" {
		err = errors.New(heard.Err)
	}
	result.P50, result.P99, result.Missing = heard.P50, heard.P99, heard.Missing
	return result, idle, err
}

// cursor is where the feed stands.
func (p *press) cursor(ctx context.Context, c *client) (string, error) {
	body, err := json.Marshal(map[string]any{"query": `{ organization(slug: "` + feedSlug + `") { exposureChangeFeed { cursor pending } } }`})
	if err != nil {
		return "", err
	}
	for {
		answer, err := c.post(ctx, body)
		if err != nil {
			return "", err
		}
		var decoded struct {
			Data struct {
				Organization struct {
					ExposureChangeFeed struct {
						Cursor  string
						Pending int
					}
				}
			}
		}
		if err := json.Unmarshal(answer, &decoded); err != nil {
			return "", err
		}
		if feed := decoded.Data.Organization.ExposureChangeFeed; feed.Pending == 0 {
			return feed.Cursor, nil
		}
	}
}

const followerArgument = "follow"

// IsFollower says whether the program was started to be the subscribers of a run.
func IsFollower(args []string) bool { return len(args) == 2 && args[1] == followerArgument }

// Follow is the process of the subscribers: it takes an order, says when all of them
// wait, takes how many events were sent, and says how long they were under way.
func Follow(in io.Reader, out io.Writer) {
	hear, say := json.NewDecoder(in), json.NewEncoder(out)
	var what order
	if err := hear.Decode(&what); err != nil {
		_ = say.Encode(false) // whoever asked sees it
		return
	}
	f := &followers{order: what, delays: make([][]time.Duration, what.Subscribers)}
	f.http.Transport = &http.Transport{MaxConnsPerHost: 0, DisableCompression: true}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	f.waiting.Add(what.Subscribers)
	for i := range what.Subscribers {
		all.Go(func() {
			if err := f.follow(ctx, i); err != nil && ctx.Err() == nil {
				f.failed.Store(err.Error())
			}
		})
	}
	f.waiting.Wait()
	_ = say.Encode(f.failed.Load() == nil)
	var events int
	if err := hear.Decode(&events); err == nil {
		f.settle(int64(events) * int64(what.Subscribers))
	}
	cancel()
	all.Wait()
	_ = say.Encode(f.result(events))
}

type followers struct {
	order
	http    http.Client
	waiting sync.WaitGroup // for their first heartbeat
	count   atomic.Int64
	delays  [][]time.Duration
	failed  atomic.Value
}

// settle waits until everything is there, or nothing comes any more.
func (f *followers) settle(expected int64) {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	last, since := f.count.Load(), now()
	for range ticker.C {
		count := f.count.Load()
		switch {
		case count >= expected, count == last && now().Sub(since) > lateAfter:
			return
		case count != last:
			last, since = count, now()
		}
	}
}

func (f *followers) result(events int) received {
	var all []time.Duration
	for _, delays := range f.delays {
		all = append(all, delays...)
	}
	r := received{P50: percentile(all, 50), P99: percentile(all, 99), Missing: int64(events)*int64(f.Subscribers) - int64(len(all))}
	if failed, ok := f.failed.Load().(string); ok {
		r.Err = failed
	}
	return r
}

// follow is one subscriber.
func (f *followers) follow(ctx context.Context, i int) error {
	ready := sync.OnceFunc(f.waiting.Done)
	defer ready()
	body, err := json.Marshal(map[string]any{"query": liveQuery, "variables": map[string]any{"organization": f.Organization, "after": f.After}})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, f.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+f.Token)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "text/event-stream")
	response, err := f.http.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	lines := bufio.NewReaderSize(response.Body, 4096)
	for {
		line, err := lines.ReadSlice('\n')
		if err != nil {
			return err
		}
		data, isData := bytes.CutPrefix(line, []byte("data: "))
		switch {
		case !isData:
		case bytes.Contains(data, []byte(`"heartbeat":true`)):
			ready()
		default:
			at, err := occurred(data)
			if err != nil {
				return err
			}
			f.delays[i] = append(f.delays[i], now().Sub(at))
			f.count.Add(1)
		}
	}
}

// occurred reads when an event happened. Whoever decoded them whole would measure
// the decoder.
func occurred(data []byte) (time.Time, error) {
	_, rest, found := bytes.Cut(data, []byte(`"occurredAt":"`))
	text, _, closed := bytes.Cut(rest, []byte(`"`))
	if !found || !closed {
		return time.Time{}, fmt.Errorf("an event without its instant: %.300s", data)
	}
	return time.Parse(time.RFC3339Nano, string(text))
}
