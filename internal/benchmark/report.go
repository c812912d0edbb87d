package benchmark

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Markdown is the result as docs/performance.md shows it.
func (r *Result) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s paths. %s. %s.\n", thousands(int64(r.Paths)), r.Day.UTC().Format("2006-01-02"), r.Machine)
	if r.Parse > 0 {
		fmt.Fprintf(&b, "The snapshot has %s records in %.0f MB; the parser alone reads it in %s.\n\n",
			thousands(int64(r.Delivery.Records)), float64(r.Delivery.Bytes)/1e6, seconds(r.Parse))
	}
	if r.First.Took > 0 {
		r.syncTable(&b)
	}
	if len(r.Operations) > 0 {
		b.WriteByte('\n')
		r.operationTable(&b)
	}
	if len(r.Growth) > 0 {
		b.WriteByte('\n')
		r.growthTable(&b)
	}
	if len(r.Sight) > 0 {
		b.WriteByte('\n')
		r.sightTable(&b)
	}
	if r.Decisions != nil {
		b.WriteByte('\n')
		r.decisionTable(&b)
	}
	if r.Feed != nil {
		b.WriteByte('\n')
		r.feedTable(&b)
	}
	return b.String()
}

func (r *Result) syncTable(b *strings.Builder) {
	b.WriteString("| sync | time | paths/s | rows written | WAL | memory | limit | ratio | target |\n|---|---:|---:|---:|---:|---:|---|---:|---:|\n")
	row := func(s Sync, limit string, against time.Duration, target string) {
		ratio := ""
		if against > 0 {
			ratio = times(s.Took, against)
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", s.Name, seconds(s.Took), thousands(int64(float64(r.Paths)/s.Took.Seconds())),
			thousands(s.Rows), megabytes(s.WAL), megabytes(s.Peak), limit, ratio, target)
	}
	row(r.First, fmt.Sprintf("%s %s", r.FirstLimit.Name, seconds(r.FirstLimit.Took)), r.FirstLimit.Took, "≤ 8")
	row(r.Repeated, "", 0, "0 rows")
	row(r.Unchanged, fmt.Sprintf("%s %s", r.UnchangedLimit.Name, seconds(r.UnchangedLimit.Took)), r.UnchangedLimit.Took, "≤ 1.3")
	changed := r.Changed
	changed.Name = fmt.Sprintf("1 %% changed (%s paths)", thousands(int64(r.Changes.Added+r.Changes.Changed+r.Changes.Removed)))
	row(changed, "unchanged sync "+seconds(r.Unchanged.Took), r.Unchanged.Took, "≤ 3")
	fmt.Fprintf(b, "\nThe rows of the first sync alone, %s of them by INSERT into empty tables with the same indexes, in %s: %s times its limit.\n",
		thousands(r.Writing.Rows), seconds(r.Writing.Took), times(r.Writing.Took, r.FirstLimit.Took))
}

func (r *Result) operationTable(b *strings.Builder) {
	fmt.Fprintf(b, "| operation | statements | p50 ms | p99 ms | requests/s (%d) | answer kB | limit ms | ratio | in statements ms | alone ms | ratio |\n"+
		"|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n", r.Connections)
	for _, o := range r.Operations {
		limit, ratio := "", ""
		if o.Limit > 0 {
			limit, ratio = milliseconds(o.Limit), times(o.P50, o.Limit)
		}
		fmt.Fprintf(b, "| %s | %d | %s | %s | %s | %.1f | %s | %s | %s | %s | %s |\n", o.Name, len(o.Statements), milliseconds(o.P50), milliseconds(o.P99),
			thousands(int64(o.Rate)), float64(o.Bytes)/1e3, limit, ratio, milliseconds(o.Database), milliseconds(o.Alone), times(o.Database, o.Alone))
	}
}

// Breakdown says where the time of the syncs and of their limits went, and which
// statements the operations sent.
func (r *Result) Breakdown() string {
	var b strings.Builder
	parts := func(name string, took time.Duration, list []statement) {
		fmt.Fprintf(&b, "\n%s, %s:\n", name, seconds(took))
		var known time.Duration
		for _, s := range list {
			known += s.Took
			if s.Took >= time.Millisecond {
				fmt.Fprintf(&b, "%9.1f ms %10s rows  %s\n", s.Took.Seconds()*1e3, thousands(s.Rows), s.Name)
			}
		}
		fmt.Fprintf(&b, "%9.1f ms %16s between statements (parser, digests, commit)\n", (took-known).Seconds()*1e3, "")
	}
	if r.First.Took > 0 {
		parts(r.First.Name, r.First.Took, r.First.Statements)
		parts(r.FirstLimit.Name, r.FirstLimit.Took, r.FirstLimit.Parts)
		parts(r.Writing.Name, r.Writing.Took, r.Writing.Parts)
		parts(r.Repeated.Name, r.Repeated.Took, r.Repeated.Statements)
		parts(r.Unchanged.Name, r.Unchanged.Took, r.Unchanged.Statements)
		parts(r.UnchangedLimit.Name, r.UnchangedLimit.Took, r.UnchangedLimit.Parts)
		parts(r.Changed.Name, r.Changed.Took, r.Changed.Statements)
	}
	for _, o := range r.Operations {
		fmt.Fprintf(&b, "\n%s:\n", o.Name)
		count := map[string]int{}
		for _, name := range o.Statements {
			count[name]++
		}
		for _, name := range slices.Sorted(maps.Keys(count)) {
			fmt.Fprintf(&b, "%5d  %s\n", count[name], name)
		}
	}
	if r.Decisions != nil {
		r.decisionBreakdown(&b)
	}
	return b.String()
}

func seconds(d time.Duration) string      { return fmt.Sprintf("%.2f s", d.Seconds()) }
func milliseconds(d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()*1e3) }
func megabytes(bytes int64) string        { return fmt.Sprintf("%.0f MB", float64(bytes)/1e6) }

func times(took, limit time.Duration) string {
	return fmt.Sprintf("%.1f", took.Seconds()/limit.Seconds())
}

// thousands writes a number with commas.
func thousands(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// The marks of docs/performance.md between which a table stands.
func marks(name string) (begin, end string) {
	return "<!-- bench " + name + " begin -->", "<!-- bench " + name + " end -->"
}

// Insert replaces what stands between the marks of a name.
func Insert(document, name, table string) (string, error) {
	begin, end := marks(name)
	head, rest, found := strings.Cut(document, begin)
	_, tail, closed := strings.Cut(rest, end)
	if !found || !closed {
		return "", fmt.Errorf("the document has no marks %s … %s", begin, end)
	}
	return head + begin + "\n" + table + end + tail, nil
}
