package benchmark

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// tracer remembers, between a start and a stop, each statement that was sent and
// how long it took. Those that begin, address and end a transaction are left out,
// unless they are asked for.
type tracer struct {
	mu     sync.Mutex
	on     bool
	framed bool
	sent   []statement
}

// statement is one that was sent, by the name it carries.
type statement struct {
	Name string
	Took time.Duration
	Rows int64
	SQL  string // of a statement in a batch, with its arguments, so that it can be sent again
	Args []any

	Framing bool // it begins, addresses or ends a transaction
}

var (
	_ pgx.QueryTracer    = (*tracer)(nil)
	_ pgx.BatchTracer    = (*tracer)(nil)
	_ pgx.CopyFromTracer = (*tracer)(nil)
)

func (t *tracer) start() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.on, t.framed, t.sent = true, false, nil
}

// startFramed also remembers what frames transactions.
func (t *tracer) startFramed() {
	t.start()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.framed = true
}

func (t *tracer) stop() []statement {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.on = false
	return t.sent
}

func (t *tracer) note(s statement) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.on && (t.framed || !s.Framing) {
		t.sent = append(t.sent, s)
	}
}

// nameOf is the name that a statement carries in its first comment; framing
// statements have none.
func nameOf(sql string) (name string, framing bool) {
	if name, _, named := strings.Cut(strings.TrimPrefix(sql, "/* "), " */"); named {
		return name, false
	}
	lower := strings.ToLower(sql)
	for _, frame := range []string{"begin", "commit", "rollback", "select set_config("} {
		if strings.HasPrefix(lower, frame) {
			return sql, true
		}
	}
	return sql, false
}

// running is a statement between its two events.
type running struct {
	name    string
	framing bool
	since   time.Time
}

type runningKey struct{}

func begin(ctx context.Context, sql string) context.Context {
	name, framing := nameOf(sql)
	return context.WithValue(ctx, runningKey{}, running{name, framing, now()})
}

func (t *tracer) end(ctx context.Context, rows int64) {
	if r, ok := ctx.Value(runningKey{}).(running); ok {
		t.note(statement{Name: r.name, Took: now().Sub(r.since), Rows: rows, Framing: r.framing})
	}
}

// TraceQueryStart notes when a statement is sent.
func (t *tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	return begin(ctx, data.SQL)
}

// TraceQueryEnd notes that its last row was read.
func (t *tracer) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	t.end(ctx, data.CommandTag.RowsAffected())
}

// TraceBatchStart notes when a batch is sent.
func (t *tracer) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return context.WithValue(ctx, runningKey{}, running{since: now()})
}

// TraceBatchQuery notes a statement of a batch.
func (t *tracer) TraceBatchQuery(_ context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	name, framing := nameOf(data.SQL)
	t.note(statement{Name: name, Rows: data.CommandTag.RowsAffected(), SQL: data.SQL, Args: data.Args, Framing: framing})
}

// TraceBatchEnd notes how long the batch took, as the time of its last statement:
// a read of the server has one statement and what begins the transaction.
func (t *tracer) TraceBatchEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchEndData) {
	r, ok := ctx.Value(runningKey{}).(running)
	t.mu.Lock()
	defer t.mu.Unlock()
	if ok && t.on && len(t.sent) > 0 {
		t.sent[len(t.sent)-1].Took = now().Sub(r.since)
	}
}

// TraceCopyFromStart notes when a COPY begins.
func (t *tracer) TraceCopyFromStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceCopyFromStartData) context.Context {
	return begin(ctx, "/* copy "+strings.Join(data.TableName, ".")+" */")
}

// TraceCopyFromEnd notes that it ended.
func (t *tracer) TraceCopyFromEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceCopyFromEndData) {
	t.end(ctx, data.CommandTag.RowsAffected())
}

// breakdown adds up what was sent, by name, the slowest first.
func breakdown(sent []statement) []statement {
	byName := map[string]*statement{}
	var list []*statement
	for _, s := range sent {
		if byName[s.Name] == nil {
			byName[s.Name] = &statement{Name: s.Name, Framing: s.Framing}
			list = append(list, byName[s.Name])
		}
		byName[s.Name].Took += s.Took
		byName[s.Name].Rows += s.Rows
	}
	slices.SortStableFunc(list, func(a, b *statement) int { return cmp.Compare(b.Took, a.Took) })
	sorted := make([]statement, len(list))
	for i, s := range list {
		sorted[i] = *s
	}
	return sorted
}
