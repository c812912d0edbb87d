package audience_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"pgregory.net/rapid"

	"github.com/exposuregraph/exposuregraph/graph/audience"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

var schema = gqlparser.MustLoadSchema(&ast.Source{Input: `
directive @shown(as: String) on FIELD
type Query { seq: Int }
type Subscription { changes(after: String, kind: String): Change }
type Change { seq: Int title(long: Boolean): String path(first: Int, in: [Int!]): Change }`})

type asked struct {
	document     string
	variables    map[string]any
	actor        access.Actor
	organization string
}

func (a asked) context(t *testing.T) context.Context {
	t.Helper()
	document, errs := gqlparser.LoadQueryWithRules(schema, a.document, nil)
	require.Empty(t, errs)
	operation := &graphql.OperationContext{RawQuery: a.document, Variables: a.variables, Doc: document, Operation: document.Operations[0]}
	return access.With(graphql.WithOperationContext(t.Context(), operation), a.actor)
}

func (a asked) join(t *testing.T, house *audience.House) *audience.Audience {
	t.Helper()
	joined, err := house.Join(a.context(t), id.Organization(a.organization))
	require.NoError(t, err)
	return joined
}

// clock is a time that tests move.
type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(0, c.at.Load()) }
func (c *clock) advance(d time.Duration) { c.at.Add(int64(d)) }

const plain = `subscription($after: String) { changes(after: $after) { seq } }`

func viewer(organizations ...string) access.Actor {
	return access.Actor{Subject: "ann", Role: access.Client, Scopes: []access.Scope{access.View, access.Audit}, Organizations: organizations}
}

func TestWhoIsShownTheSame(t *testing.T) {
	t.Parallel()
	const (
		nested   = `subscription($after: String, $n: Int) { changes(after: $after) { path(first: $n) { seq } } }`
		listed   = `subscription($n: Int!) { changes { path(in: [1, $n]) { seq } } }`
		skipped  = `subscription($s: Boolean!) { changes { seq @skip(if: $s) } }`
		spread   = `subscription($n: Int, $after: String) { ...changes } fragment changes on Subscription { changes(after: $after) { ... { path(first: $n) { seq } } } }`
		directed = `subscription($as: String) { changes @shown(as: $as) { seq } }`
	)
	ann := viewer("acme", "demo")
	bob := ann
	bob.Subject, bob.ExpiresAt = "bob", time.Unix(5, 0)
	bob.Scopes, bob.Organizations = []access.Scope{access.Audit, access.View}, []string{"demo", "acme"}
	with := func(change func(a *access.Actor)) access.Actor {
		other := viewer("acme", "demo")
		change(&other)
		return other
	}
	for _, c := range []struct {
		name string
		a, b asked
		same bool
	}{
		{"the same twice", asked{document: plain}, asked{document: plain}, true},
		{"from another cursor", asked{document: plain, variables: map[string]any{"after": "a"}}, asked{document: plain, variables: map[string]any{"after": "b"}}, true},
		{"another subject with the same rights", asked{document: plain}, asked{document: plain, actor: bob}, true},
		{"another document", asked{document: plain}, asked{document: plain + " "}, false},
		{"another organization", asked{document: plain}, asked{document: plain, organization: "demo"}, false},
		{"fewer scopes", asked{document: plain}, asked{document: plain, actor: with(func(a *access.Actor) { a.Scopes = a.Scopes[:1] })}, false},
		{"fewer organizations", asked{document: plain}, asked{document: plain, actor: with(func(a *access.Actor) { a.Organizations = a.Organizations[:1] })}, false},
		{"another role", asked{document: plain}, asked{document: plain, actor: with(func(a *access.Actor) { a.Role = access.Admin })}, false},
		{"all organizations", asked{document: plain}, asked{document: plain, actor: with(func(a *access.Actor) { a.AllOrganizations = true })}, false},
		{"an attribute", asked{document: plain}, asked{document: plain, actor: with(func(a *access.Actor) { a.Attributes.Environment = []string{"prod"} })}, false},
		{"another attribute", asked{document: plain, actor: with(func(a *access.Actor) { a.Attributes.Owner = []string{"prod"} })}, asked{document: plain, actor: with(func(a *access.Actor) { a.Attributes.Environment = []string{"prod"} })}, false},
		{"the same attributes", asked{document: plain, actor: with(func(a *access.Actor) { a.Attributes.BusinessTier = []string{"1", "2"} })}, asked{document: plain, actor: with(func(a *access.Actor) { a.Attributes.BusinessTier = []string{"2", "1"} })}, true},
		{"a deprecated token", asked{document: plain}, asked{document: plain, actor: with(func(a *access.Actor) { a.Deprecated = true })}, false},
		{"another token, on behalf", asked{document: plain}, asked{document: plain, actor: with(func(a *access.Actor) { a.TokenID, a.Delegates = "x", []string{"bot"} })}, true},
		{"a variable below", asked{document: nested, variables: map[string]any{"n": 1}}, asked{document: nested, variables: map[string]any{"n": 2}}, false},
		{"the same variable below", asked{document: nested, variables: map[string]any{"n": 1, "after": "a"}}, asked{document: nested, variables: map[string]any{"n": 1}}, true},
		{"a variable in a list", asked{document: listed, variables: map[string]any{"n": 1}}, asked{document: listed, variables: map[string]any{"n": 2}}, false},
		{"a variable of a directive", asked{document: skipped, variables: map[string]any{"s": true}}, asked{document: skipped, variables: map[string]any{"s": false}}, false},
		{"a variable of a directive of the root", asked{document: directed, variables: map[string]any{"as": "a"}}, asked{document: directed, variables: map[string]any{"as": "b"}}, false},
		{"a variable in a fragment", asked{document: spread, variables: map[string]any{"n": 1}}, asked{document: spread, variables: map[string]any{"n": 2}}, false},
		{"a cursor in a fragment", asked{document: spread, variables: map[string]any{"n": 1, "after": "a"}}, asked{document: spread, variables: map[string]any{"n": 1}}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, a := range []*asked{&c.a, &c.b} {
				if a.actor.Subject == "" {
					a.actor = ann
				}
				if a.organization == "" {
					a.organization = "acme"
				}
			}
			house := audience.NewHouse((&clock{}).now)
			require.Equal(t, c.same, c.a.join(t, house) == c.b.join(t, house))
		})
	}
}

// Of many who ask for an event at the same time one executes.
func TestOneExecutesForAll(t *testing.T) {
	t.Parallel()
	house := audience.NewHouse((&clock{}).now)
	const members, events = 50, 20
	var executed atomic.Int64
	var all sync.WaitGroup
	for range members {
		joined := asked{document: plain, actor: viewer("acme"), organization: "acme"}.join(t, house)
		defer joined.Leave()
		all.Go(func() {
			for seq := range int64(events) {
				response := joined.Response(t.Context(), seq, func() *graphql.Response {
					executed.Add(1)
					time.Sleep(time.Millisecond) // the others come meanwhile
					return &graphql.Response{Data: fmt.Appendf(nil, "%d", seq)}
				})
				if string(response.Data) != fmt.Sprint(seq) {
					t.Errorf("event %d was shown as %s", seq, response.Data)
				}
			}
		})
	}
	all.Wait()
	require.Equal(t, int64(events), executed.Load())
	require.Positive(t, house.Held())
}

func TestWhatIsNotShared(t *testing.T) {
	t.Parallel()
	c := &clock{}
	house := audience.NewHouse(c.now)
	who := asked{document: plain, actor: viewer("acme"), organization: "acme"}
	one := who.join(t, house)
	executed := 0
	ask := func(of *audience.Audience, seq int64, answer *graphql.Response) *graphql.Response {
		return of.Response(t.Context(), seq, func() *graphql.Response { executed++; return answer })
	}
	good := func(text string) *graphql.Response { return &graphql.Response{Data: []byte(text)} }

	ask(one, 1, good("alone"))
	require.Zero(t, house.Held(), "nobody to keep it for")
	two := who.join(t, house)
	require.Equal(t, "again", string(ask(two, 1, good("again")).Data))
	require.Equal(t, "again", string(ask(one, 1, good("never")).Data))
	require.Equal(t, 2, executed)

	failed := &graphql.Response{Data: []byte("{}"), Errors: gqlerror.List{{Message: "the database is gone"}}}
	require.NotEmpty(t, ask(one, 2, failed).Errors)
	require.Equal(t, "mended", string(ask(two, 2, good("mended")).Data), "what went wrong for one is not shown to another")
	require.Nil(t, ask(one, 3, nil))
	require.Equal(t, "there", string(ask(two, 3, good("there")).Data))

	c.advance(2 * time.Second)
	require.Equal(t, "later", string(ask(one, 1, good("later")).Data), "what it says of the present is old")
	one.Leave()
	two.Leave()
	require.Zero(t, house.Held())
}

// Whatever the order in which subscriptions come, ask and go: each is shown the event
// that it asked for, as it was at most a second ago, and nothing is kept in the end.
func TestResponsesAreOfTheirEventAndFresh(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		c := &clock{}
		house := audience.NewHouse(c.now)
		who := asked{document: plain, actor: viewer("acme"), organization: "acme"}
		var members []*audience.Audience
		buffer := make([]byte, 0, 64) // as the executor has one for all responses
		for range rapid.IntRange(1, 60).Draw(r, "steps") {
			switch rapid.IntRange(0, 4).Draw(r, "step") {
			case 0:
				members = append(members, who.join(t, house))
			case 1:
				if len(members) > 0 {
					members[0].Leave()
					members = members[1:]
				}
			case 2:
				c.advance(time.Duration(rapid.IntRange(0, 700).Draw(r, "ms")) * time.Millisecond)
			default:
				if len(members) == 0 {
					continue
				}
				asking := rapid.SampledFrom(members).Draw(r, "member")
				seq := rapid.Int64Range(1, 5).Draw(r, "seq")
				response := asking.Response(t.Context(), seq, func() *graphql.Response {
					buffer = fmt.Appendf(buffer[:0], "%d %d", seq, c.at.Load())
					return &graphql.Response{Data: buffer}
				})
				var of, at int64
				_, err := fmt.Sscanf(string(response.Data), "%d %d", &of, &at)
				require.NoError(r, err)
				require.Equal(r, seq, of)
				require.LessOrEqual(r, c.at.Load()-at, int64(time.Second))
			}
		}
		for _, member := range members {
			member.Leave()
		}
		require.Zero(r, house.Held())
	})
}
