package redteam

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// secretRows are attempts to be told what is nobody's business.
func secretRows() []Row {
	return []Row{
		{Number: "11", Name: "introspection and IDE, for nobody in particular", Checks: []Check{
			anonymous("__schema", func(ctx context.Context, c *client) (*answer, error) { return c.ask(ctx, `{__schema{types{name}}}`) }),
			anonymous("__type", func(ctx context.Context, c *client) (*answer, error) {
				return c.ask(ctx, `{__type(name:"Query"){fields{name}}}`)
			}),
			anonymous("__schema over GET", func(ctx context.Context, c *client) (*answer, error) { return c.get(ctx, `{__schema{types{name}}}`) }),
			anonymous("__schema as a batch", func(ctx context.Context, c *client) (*answer, error) {
				return c.post(ctx, []byte(`[{"query":"{__schema{types{name}}}"}]`), plainJSON)
			}),
			sending("GET /graphql, as a browser", func(ctx context.Context, a *Attack) (*answer, error) {
				return a.nobody.send(ctx, request{method: http.MethodGet, header: http.Header{"Accept": {"text/html"}}})
			}, refusedAs(400, 401, 404, 405, 406), without("<html"), without("<!DOCTYPE")),
		}},
		{Number: "12", Name: "suggestions", Checks: []Check{
			anonymous("{clustrs}, of nobody in particular", func(ctx context.Context, c *client) (*answer, error) { return c.ask(ctx, `{clustrs}`) }),
			guess("{clustrs}", `{clustrs}`),
			guess("a field, misspelt", `{organisation(slug:"acme"){id}}`),
			guess("an argument, misspelt", `{organization(slgu:"acme"){id}}`),
			guess("a type, misspelt", `{organization(slug:"acme"){... on Organizaton{id}}}`),
			guess("a fragment's type, misspelt", `{organization(slug:"acme"){...F}} fragment F on Organizaton{id}`),
			guess("a value of an enum, misspelt", `{organization(slug:"acme"){exposures(filter:{severity:[HIHG]}){totalCount}}}`),
			guess("a field of an input, misspelt", `{organization(slug:"acme"){exposures(filter:{sevrity:[HIGH]}){totalCount}}}`),
			guess("a variable, misspelt", `query($slug:String!){organization(slug:$slgu){id}}`),
			guess("a directive, misspelt", `{__typename @inclde(if:true)}`),
		}},
		{Number: "13", Name: "verbose errors", Checks: []Check{forcedPanic(), uniqueViolation(), cutStatement()}},
	}
}

// anonymous is a check of somebody without a token: 401, and not a word more.
func anonymous(request string, send func(context.Context, *client) (*answer, error)) Check {
	return sending(request, func(ctx context.Context, a *Attack) (*answer, error) { return send(ctx, a.nobody) },
		refusedAs(400, 401), noData, without("Did you mean"), without("AuthorityPath"), below(1024))
}

// guess is a misspelt document: the fault is named, and what would be right is not.
func guess(request, text string) Check {
	return document(request, constant(text), oneOf(validation), without("Did you mean"), without("did you mean"))
}

// inner are words that only the inside of the server has.
var inner = regexp.MustCompile(`(?i)panic|goroutine|\.go:|/work|sqlstate|duplicate key|constraint|relation|select |insert |update |redteam_|postgres|pgx|canceling|deadlock|runtime error|no rule|no predicates`)

// discreet holds that the answer has a code and the id of the request, and nothing of
// the inside.
func discreet(got *answer) error {
	if found := inner.Find(got.body); found != nil {
		return fmt.Errorf("the answer tells of %q: %.600s", found, got.body)
	}
	if codes := got.codes(); len(codes) == 0 || codes[0] == "" {
		return fmt.Errorf("no code: %d: %.300s", got.status, got.body)
	}
	if !strings.Contains(string(got.body), `"requestId":`) && strings.Contains(string(got.body), "INTERNAL") {
		return fmt.Errorf("no requestId: %.300s", got.body)
	}
	return nil
}

// forcedPanic has an exposure be of a rule that there is not: who explains it panics.
func forcedPanic() Check {
	return Check{Request: "a resolver that panics", Once: true, Run: func(ctx context.Context, a *Attack) (short string, err error) {
		if err := a.execute(ctx, `UPDATE exposure SET type = 90 + type WHERE organization_id = (SELECT id FROM organization WHERE slug = $1)`, broken); err != nil {
			return "", err
		}
		const all = `{ organization(slug: "broken") { exposures(first: 5, filter: {status: [ACTIVE]}) { nodes { %s } } } }`
		for _, field := range []string{"explain { predicates { name } }", "type", "findingType", "severity explanation"} {
			got, err := a.attacker.ask(ctx, fmt.Sprintf(all, field))
			if err != nil {
				return short, err
			}
			if len(got.codes()) == 0 && field != "explain { predicates { name } }" {
				continue // it shows without a panic
			}
			if short, err = judged(got, nil, discreet); err != nil {
				return short, fmt.Errorf("%s: %w", field, err)
			}
		}
		if !strings.Contains(a.victim.log.String(), "panic") {
			return short, errors.New("nothing has panicked, so this shows nothing")
		}
		return short, nil
	}}
}

// uniqueViolation has the database refuse what a mutation writes.
func uniqueViolation() Check {
	return Check{Request: "a row that violates a unique index", Once: true, Run: func(ctx context.Context, a *Attack) (short string, err error) {
		for _, sql := range []string{
			`CREATE OR REPLACE FUNCTION redteam_violation() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
				RAISE EXCEPTION 'duplicate key value violates unique constraint "redteam_secret_key"' USING ERRCODE = 'unique_violation', DETAIL = 'Key (secret)=(hush) already exists.'; END $$`,
			`CREATE TRIGGER redteam_violation BEFORE INSERT ON ledger_entry FOR EACH ROW EXECUTE FUNCTION redteam_violation()`,
		} {
			if err := a.execute(ctx, sql); err != nil {
				return "", err
			}
		}
		defer func() {
			err = errors.Join(err, a.execute(context.WithoutCancel(ctx), `DROP TRIGGER redteam_violation ON ledger_entry`))
		}()
		mutation, err := a.mutation(ctx)
		if err != nil {
			return "", err
		}
		before, err := a.decided(ctx)
		if err != nil {
			return "", err
		}
		got, err := a.attacker.ask(ctx, mutation)
		if short, err = judged(got, err, noData, discreet); err != nil {
			return short, err
		}
		return unchanged(ctx, a, short, before)
	}}
}

// cutStatement has the database cut a statement off, as it does when one takes longer
// than it may.
func cutStatement() Check {
	return Check{Request: "a statement that the database cuts off", Once: true, Run: func(ctx context.Context, a *Attack) (short string, err error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		tx, err := a.super.Begin(ctx)
		if err != nil {
			return "", err
		}
		defer func() { err = errors.Join(err, tx.Rollback(context.WithoutCancel(ctx))) }()
		if _, err := tx.Exec(ctx, `LOCK TABLE asset IN ACCESS EXCLUSIVE MODE`); err != nil {
			return "", err
		}
		type reply struct {
			got *answer
			err error
		}
		answered := make(chan reply, 1)
		go func() {
			got, err := a.attacker.ask(ctx, `{ organization(slug: "broken") { assets(first: 5) { nodes { id } } } }`)
			answered <- reply{got, err}
		}()
		ticker := time.NewTicker(10 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case r := <-answered:
				if r.err == nil && r.got.hasData() && len(r.got.codes()) == 0 {
					return r.got.String(), errors.New("nothing was cut off, so this shows nothing")
				}
				return judged(r.got, r.err, discreet)
			case <-ticker.C:
				// Whatever waits for the table, except for what belongs to this check.
				if _, err := tx.Exec(ctx, `SELECT pg_stat_clear_snapshot()`); err != nil {
					return "", err
				}
				if _, err := tx.Exec(ctx, `SELECT pg_cancel_backend(pid) FROM pg_stat_activity
					WHERE wait_event_type = 'Lock' AND pid <> pg_backend_pid() AND application_name = 'exposuregraph' AND query ILIKE '%asset%'`); err != nil {
					return "", err
				}
			}
		}
	}}
}
