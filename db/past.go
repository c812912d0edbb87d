package db

import (
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// A statement that reads has a second text, its past: what it reads as of an
// instant. It is made of the first by markers, or written out beside it:
//
//	/* at */ entity e          the rows of the table as of then (past.sql)
//	/* page at */ entity e     the same, read part by part; see Query.Merged
//	/* open */ m.to_at IS NULL an interval that stood then
//	-- name: overview@past     a past of its own text
//	-- timeless                what the statement reads never changes
//
// A past of its own may name a table that changes only behind /* bare */: it sees
// itself to the instant; /* bare any */ is in sight.go. What has no past refuses to be asked for one, so that
// nothing of today gets into an answer about another day.

//go:embed past.sql
var pastSQL string

const asOfArg = "as_of"

var (
	ofTable  = regexp.MustCompile(`/\* (page |part \d+ )?at \*/ (\w+) (\w+)`)
	ofOpen   = regexp.MustCompile(`/\* open \*/ (\w+)\.to_at IS NULL`)
	anyTime  = regexp.MustCompile(`/\* (?:(?:page |part \d+ )?at|open|bare|bare any) \*/ `)
	mention  = regexp.MustCompile(`\b(?:FROM|JOIN)\s+(/\* (?:(?:page |part \d+ )?at|bare|bare any) \*/ )?(\w+)`)
	relation = parsePast(pastSQL)
)

// nowOnly are tables that keep no past, or whose past no relation gives.
var nowOnly = []string{"cluster_member", "cluster_workload", "cluster_identity", "cluster_evidence", "cluster_counter", "posture_counter", "identity_posture",
	"egress", "ledger_head", "ledger_request", "access_class", "access_class_set", "asset_cover", "endpoint", "file_upload"}

// parsePast reads the parts of each relation.
func parsePast(file string) map[string][]string {
	relations := map[string][]string{}
	for _, part := range strings.Split("\n"+file, "\n-- relation: ")[1:] {
		name, text, _ := strings.Cut(part, "\n")
		var lines []string
		for line := range strings.Lines(text) {
			if !strings.HasPrefix(line, "--") {
				lines = append(lines, line)
			}
		}
		relations[name] = strings.Split(strings.TrimSpace(strings.Join(lines, "")), "\nUNION ALL\n")
	}
	for again := true; again; { // one relation may be made of another
		again = false
		for _, parts := range relations {
			for i, part := range parts {
				parts[i] = rewrite(part, relations)
				again = again || parts[i] != part
			}
		}
	}
	return relations
}

// live is a text without its marks of time, as it always was.
func live(text string) string { return anyTime.ReplaceAllString(text, "") }

// past is what a text with marks of time says as of an instant.
func past(text string) string { return anyTime.ReplaceAllString(rewrite(text, relation), "") }

func rewrite(text string, relations map[string][]string) string {
	text = ofTable.ReplaceAllStringFunc(text, func(found string) string {
		m := ofTable.FindStringSubmatch(found)
		return together(relations, m[2], m[1]) + " " + m[3]
	})
	return openThen(text)
}

// together is a relation, or the part of it that a mark names.
func together(relations map[string][]string, name, mark string) string {
	parts, known := relations[name]
	if !known {
		panic(fmt.Sprintf("past.sql has no relation %q", name))
	}
	if n, err := strconv.Atoi(strings.TrimPrefix(strings.TrimSpace(mark), "part ")); err == nil {
		parts = parts[n : n+1]
	}
	return "(" + strings.Join(parts, " UNION ALL ") + ")"
}

func openThen(text string) string {
	return ofOpen.ReplaceAllString(text, "($1.from_at <= @as_of AND ($1.to_at IS NULL OR $1.to_at > @as_of))")
}

// Merged gives the query whose past reads each part of its paged relation in the
// given order, and not further than a page, before it puts them together: what
// is put together first has no index to be read by.
func (q Query) Merged(order string) Query {
	for _, m := range ofTable.FindAllStringSubmatch(q.Past, -1) {
		parts, alias := relation[m[2]], m[3]
		if m[1] == "" || len(parts) == 1 {
			continue
		}
		pages := make([]string, len(parts))
		for i := range parts {
			pages[i] = "(" + strings.Replace(q.Past, m[0], fmt.Sprintf("/* part %d at */ %s %s", i, m[2], alias), 1) + ")"
		}
		q.Past = "/* " + q.Name + "@past */ SELECT " + alias + ".* FROM (" + strings.Join(pages, " UNION ALL ") + ") " + alias + " " + order + " LIMIT @limit"
		return q
	}
	return q
}

// AsOf is the query that reads the past, at @as_of.
func (q Query) AsOf() (Query, error) {
	if q.Past == "" {
		return q, problem.New(problem.Invalid, "ASOF_NOT_KEPT", "what this field says has no past that is kept; ask for it without asOf")
	}
	if q.then == nil || q.then.marked != q.Past { // it was put together since
		q.then = newThen(q.Past)
	}
	return Query{Name: q.Name + "@past", SQL: q.then.named, numbered: &q.then.numbered}, nil
}

// then is a past as the server takes it.
type then struct {
	numbered
	marked string // the text that this was made of
}

func newThen(marked string) *then { return &then{numbered: *number(past(marked)), marked: marked} }

// argsAt are the arguments of a past: those that it names, with the instant. That
// of the organization it has to name.
func (q Query) argsAt(args pgx.StrictNamedArgs, at time.Time) pgx.StrictNamedArgs {
	named := make(pgx.StrictNamedArgs, len(args)+1)
	for name, value := range args {
		if name == organizationArg || slices.Contains(q.numbered.names, name) {
			named[name] = value
		}
	}
	if slices.Contains(q.numbered.names, asOfArg) {
		named[asOfArg] = at
	}
	return named
}

// ReadAsTheyAre names the tables that the past of a statement reads as they are
// now, without saying that it sees to the instant itself. There should be none.
func (q Query) ReadAsTheyAre() (tables []string) {
	for _, m := range mention.FindAllStringSubmatch(q.Past, -1) {
		if _, changes := relation[m[2]]; m[1] == "" && (changes || slices.Contains(nowOnly, m[2])) {
			tables = append(tables, m[2])
		}
	}
	return tables
}
