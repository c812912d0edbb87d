package audit

import "context"

// Queries are all statements.
var Queries = queries

// SetPageRows makes every boundary of a page of an export be crossed by a few rows.
func SetPageRows(rows int) { pageRows = rows }

// Line is an entry as an export has it.
func (e *Entry) Line(slug string) string { return string(e.line(slug)) }

// Write writes what waits, as Run does from time to time.
func (r *Refusals) Write(ctx context.Context) { r.write(ctx) }

// Held is how much is remembered: what waits to be written, and accounts.
func (r *Refusals) Held() (pending, accounts int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.pending), len(r.tallies)
}
