package redteam

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/internal/access"
)

// The organizations that checks use.
const (
	acme   = "acme"   // whose members are attacked
	rival  = "rival"  // whose member attacks
	broken = "broken" // in whose rows there are faults
)

// Attack is what checks work with.
type Attack struct {
	Scale

	victim   *victim
	registry *access.Registry
	begun    time.Time

	nobody   *client // has no token
	admin    *client // may everything
	member   *client // of acme
	attacker *client // a member of rival, and of what is broken

	mu    sync.Mutex // of super
	super *pgx.Conn  // behind the walls

	serial atomic.Int64 // of what is not used twice
	deaf   *socket      // does not read, from the beginning on
}

// stage starts the server and gives it a little data. Whoever calls it closes the
// Attack.
func stage(ctx context.Context, database Database, scale Scale) (a *Attack, err error) {
	a = &Attack{Scale: scale, begun: now()}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.close(context.WithoutCancel(ctx)))
		}
	}()
	if a.victim, err = begin(ctx, database); err != nil {
		return a, err
	}
	if a.super, err = pgx.Connect(ctx, database.SuperURL); err != nil {
		return a, err
	}
	if a.registry, err = access.OpenRegistry(ctx, access.RegistryConfig{OwnerURL: database.OwnerURL, Now: now}); err != nil {
		return a, err
	}
	a.nobody = newClient(a.victim.url, "")
	for _, c := range []struct {
		client **client
		actor  access.Actor
	}{
		{&a.admin, access.Actor{Subject: "root", Role: access.Admin, AllOrganizations: true, Scopes: access.Scopes}},
		{&a.member, access.Actor{Subject: "member", Role: access.Client, Organizations: []string{acme}, Scopes: access.Scopes}},
		{&a.attacker, access.Actor{Subject: "attacker", Role: access.Client, Organizations: []string{rival, broken}, Scopes: access.Scopes}},
	} {
		if *c.client, err = a.as(ctx, c.actor, time.Hour*12); err != nil {
			return a, err
		}
	}
	for slug, jobs := range map[string][]string{acme: {"invoice", "payroll"}, rival: {"crawler", "indexer", "mailer", "printer", "scanner", "sweeper"}, broken: {"wreck"}} {
		if err := a.deliver(ctx, slug, 0, jobs...); err != nil {
			return a, err
		}
		if err := a.scan(ctx, slug); err != nil {
			return a, err
		}
	}
	for _, slug := range []string{acme, rival} {
		if _, err := a.head(ctx, slug); err != nil {
			return a, err
		}
	}
	return a, a.goDeaf(ctx)
}

// as is a client with a token of an actor.
func (a *Attack) as(ctx context.Context, actor access.Actor, ttl time.Duration) (*client, error) {
	token, err := a.registry.Issue(ctx, access.Order{Actor: actor, TTL: ttl})
	if err != nil {
		return nil, err
	}
	return newClient(a.victim.url, token.Text), nil
}

// somebody is a client of an organization that nobody else is.
func (a *Attack) somebody(ctx context.Context, subject string, ttl time.Duration, organization string) (*client, error) {
	return a.as(ctx, access.Actor{Subject: subject, Role: access.Client, Organizations: []string{organization}, Scopes: access.Scopes}, ttl)
}

func (a *Attack) close(ctx context.Context) error {
	var errs []error
	if a.deaf != nil {
		a.deaf.drop()
	}
	if a.super != nil {
		errs = append(errs, a.super.Close(ctx))
	}
	if a.registry != nil {
		a.registry.Close()
	}
	if a.victim != nil {
		errs = append(errs, a.victim.stop())
	}
	return errors.Join(errs...)
}

// deliver imports a snapshot in which jobs reach a database. A later one replaces it.
func (a *Attack) deliver(ctx context.Context, slug string, later time.Duration, jobs ...string) error {
	lines := []string{
		fmt.Sprintf(`{"kind":"header","format":"exposuregraph-snapshot","version":1,"source":"platform","system":"eu","observedAt":%q}`, a.begun.Add(later-time.Hour).UTC().Format(time.RFC3339)),
		`{"kind":"identity","id":"svc"}`, `{"kind":"role","id":"writer"}`, `{"kind":"resource","id":"billing","name":"Billing","dataDomain":"finance","sensitivity":"restricted"}`,
		`{"kind":"has_role","identity":"svc","role":"writer","scope":"*"}`, `{"kind":"grants","role":"writer","scope":"*","resource":"billing","actions":["update"]}`,
		`{"kind":"owner","id":"ada@example.com","name":"Ada Moreau","status":"active","ownerType":"individual"}`,
		`{"kind":"coverage","evidence":"ownership","completeness":"complete"}`,
	}
	for _, job := range jobs {
		lines = append(lines, fmt.Sprintf(`{"kind":"workload","id":%q}`, job), fmt.Sprintf(`{"kind":"runs_as","workload":%q,"identity":"svc"}`, job))
	}
	counts := map[string]int{}
	for _, line := range lines[1:] {
		var record struct{ Kind string }
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			return err
		}
		counts[record.Kind]++
	}
	lines = append(lines, string(marshal(map[string]any{"kind": "trailer", "records": len(lines) - 1, "counts": counts})))
	return a.load(ctx, "/imports/snapshot?create=true&strict=true&org="+slug, strings.Join(lines, "\n")+"\n")
}

// scan imports a scan that shows one host.
func (a *Attack) scan(ctx context.Context, slug string) error {
	return a.load(ctx, "/imports/naabu?source=outside&system=scanner&org="+slug, `{"ip":"203.0.113.7","port":443}`+"\n")
}

func (a *Attack) load(ctx context.Context, path, content string) error {
	got, err := a.admin.send(ctx, request{path: path, body: []byte(content), header: http.Header{"Content-Type": {"application/octet-stream"}}})
	if err != nil {
		return err
	}
	if got.status != http.StatusOK {
		return fmt.Errorf("%s: %s: %.500s", path, got, got.body)
	}
	return nil
}

// head waits until all that has happened is in the feed, and gives its cursor.
func (a *Attack) head(ctx context.Context, slug string) (cursor string, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		var found struct {
			Organization struct {
				ExposureChangeFeed struct {
					Seq     int64
					Pending int
					Cursor  string
				}
			}
		}
		if err := a.admin.read(ctx, &found, `query($slug: String!) { organization(slug: $slug) { exposureChangeFeed { seq pending cursor } } }`, "slug", slug); err != nil {
			return "", err
		}
		if feed := found.Organization.ExposureChangeFeed; feed.Pending == 0 && feed.Seq > 0 {
			return feed.Cursor, nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return "", fmt.Errorf("the feed of %s: %w", slug, ctx.Err())
		}
	}
}

// another is a name that was not used before.
func (a *Attack) another(name string) string { return fmt.Sprintf("%s-%d", name, a.serial.Add(1)) }

// execute runs a statement behind the walls.
func (a *Attack) execute(ctx context.Context, sql string, args ...any) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, err := a.super.Exec(ctx, sql, args...)
	return err
}

// count counts rows behind the walls.
func (a *Attack) count(ctx context.Context, sql string, args ...any) (n int64, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return n, a.super.QueryRow(ctx, sql, args...).Scan(&n)
}

// decided counts what people have changed: each such change is an entry of a ledger.
func (a *Attack) decided(ctx context.Context) (int64, error) {
	return a.count(ctx, `SELECT count(*) FROM ledger_entry`)
}

// metric is a number of /metrics.
func (a *Attack) metric(ctx context.Context, name string) (value int64, err error) {
	got, err := a.nobody.send(ctx, request{method: http.MethodGet, path: "/metrics"})
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(got.body)) {
		if text, found := strings.CutPrefix(line, "exposuregraph_"+name+" "); found {
			_, err := fmt.Sscan(text, &value)
			return value, err
		}
	}
	return 0, fmt.Errorf("there is no metric %s", name)
}
