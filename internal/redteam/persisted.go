package redteam

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
)

// persistedRows are attacks on what is kept of documents.
func persistedRows() []Row {
	hash := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return hex.EncodeToString(sum[:])
	}
	persisted := func(document, sha string) []byte {
		body := map[string]any{"extensions": map[string]any{"persistedQuery": map[string]any{"version": 1, "sha256Hash": sha}}}
		if document != "" {
			body["query"] = document
		}
		return marshal(body)
	}
	const poison, known = `{ viewer { subject } }`, `{ __typename }`
	posting := func(body func() []byte) func(context.Context, *Attack) (*answer, error) {
		return func(ctx context.Context, a *Attack) (*answer, error) { return a.member.post(ctx, body(), graphqlJSON) }
	}
	return []Row{{Number: "24", Name: "poisoned and flooded caches of documents", Checks: []Check{
		sending("a document under the hash of another", posting(func() []byte { return persisted(poison, hash(known)) }), refusedAs(400, 404, 422), noData, noFault),
		sending("that hash alone, afterwards", posting(func() []byte { return persisted("", hash(known)) }), without("subject"), noFault),
		sending("a hash that is none", posting(func() []byte { return persisted(poison, "nonsense") }), refusedAs(400, 404, 422), noData, noFault),
		sending("a huge document under its hash", posting(sync.OnceValue(func() []byte {
			document := "#" + strings.Repeat("x", 300_000) + "\n" + known
			return persisted(document, hash(document))
		})), is(413, tooLarge)),
		{Request: "2,000 distinct documents of 200 kB", Once: true, Run: func(ctx context.Context, a *Attack) (string, error) {
			comment := "#" + strings.Repeat("x", 200_000)
			return distinct(ctx, a, a.Large, func(i int) string { return fmt.Sprintf("%s%d\n{ viewer { subject } }", comment, i) })
		}},
		{Request: "2,000 distinct documents of a string of 200 kB", Once: true, Run: func(ctx context.Context, a *Attack) (string, error) {
			text := strings.Repeat("x", 200_000)
			return distinct(ctx, a, a.Large, func(i int) string { return fmt.Sprintf(`{ node(id: "%s%d") { id } }`, text, i) })
		}},
		{Request: "2,000 distinct documents of 950 tokens", Once: true, Run: func(ctx context.Context, a *Attack) (string, error) {
			return distinct(ctx, a, a.Large, func(i int) string {
				return fmt.Sprintf(`{ nodes(ids: [%s"%d"]) { id } }`, strings.Repeat(`"x" `, 940), i)
			})
		}},
		{Request: "100,000 distinct documents", Once: true, Run: func(ctx context.Context, a *Attack) (string, error) {
			return distinct(ctx, a, a.Documents, func(i int) string { return fmt.Sprintf("query D%d { viewer { subject } }", i) })
		}},
	}}}
}

// distinct sends documents that are all different, from a few connections. The row
// bounds the memory that they leave behind.
func distinct(ctx context.Context, a *Attack, count int, document func(i int) string) (string, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var running sync.WaitGroup
	for range 2 {
		running.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= count {
					return
				}
				got, err := a.member.ask(ctx, document(i))
				switch {
				case err != nil:
					cancel(err)
				case got.status != http.StatusOK && got.status != http.StatusTooManyRequests:
					cancel(fmt.Errorf("the document %d is answered %s: %.300s", i, got, got.body))
				}
			}
		})
	}
	running.Wait()
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return "", err
	}
	return fmt.Sprintf("%d answered, %s resident", count, memory(a.victim.resident("VmRSS:"))), ctx.Err()
}
