package db

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Query is a named statement of a package's queries.sql.
type Query struct {
	Name string
	SQL  string
	Past string // what it reads as of an instant, with its marks of time; empty where no past is kept

	Seen, SeenPast string // what it and its past are to callers with attribute filters, if it is written out; see sight.go

	timeless bool
	numbered *numbered // of the text it was read with
	then     *then     // of the past it was read with
}

// numbered is a statement as the server takes it: with numbers for arguments.
type numbered struct {
	named string // the text that this was made of
	sql   string
	names []string // of the arguments, in the order of their numbers
}

// argument is what may be the name of one; the driver knows which are.
var argument = regexp.MustCompile(`@([A-Za-z_]\w*)`)

// number has the driver put numbers for names, once.
func number(sql string) *numbered {
	names := pgx.NamedArgs{}
	for _, match := range argument.FindAllStringSubmatch(sql, -1) {
		names[match[1]] = match[1]
	}
	text, found, err := names.RewriteQuery(context.Background(), nil, sql, nil)
	if err != nil {
		panic(fmt.Sprintf("the arguments of %.40q: %v", sql, err))
	}
	n := &numbered{named: sql, sql: text, names: make([]string, len(found))}
	for i, name := range found {
		n.names[i], _ = name.(string)
	}
	return n
}

// bind gives the query with its arguments as the driver takes them. Each argument
// must be given, and each given must be one: a query that does not mention the
// organization cannot run on behalf of one.
func (q Query) bind(args pgx.StrictNamedArgs) (sql string, bound []any, err error) {
	if q.numbered == nil || q.numbered.named != q.SQL { // it was put together since
		return q.SQL, []any{args}, nil
	}
	bound = make([]any, len(q.numbered.names))
	for i, name := range q.numbered.names {
		value, given := args[name]
		if !given {
			return "", nil, fmt.Errorf("the argument %s is not given", name)
		}
		bound[i] = value
	}
	for name := range args {
		if !slices.Contains(q.numbered.names, name) {
			return "", nil, fmt.Errorf("there is no argument %s", name)
		}
	}
	return q.numbered.sql, bound, nil
}

// Queries are the statements of one file.
type Queries struct {
	pkg    string
	byName map[string]Query
}

// Parse reads a file of statements, each headed by a line "-- name: <name>".
// Comment lines right after the head explain the statement. What stands before
// the first name is a comment, but for lists of columns, each headed by a line
// "-- columns: <name>": a statement takes one in by /* columns: <name> */. What
// makes the past of a statement stands in past.go, and what makes the text for those
// who see a part in sight.go. It panics on a malformed file: the file is part of the
// program.
func Parse(pkg, file string) Queries {
	queries := Queries{pkg: pkg, byName: map[string]Query{}}
	parts := strings.Split("\n"+file, "\n-- name: ")
	more := map[string]map[string]string{"@past@seen": {}, "@past": {}, "@seen": {}} // texts of statements that have a first one
	var columns []string                                                             // markers and what they stand for, in turn
	for _, list := range strings.Split(parts[0], "\n-- columns: ")[1:] {
		name, text, _ := strings.Cut(list, "\n")
		columns = append(columns, "/* columns: "+strings.TrimSpace(name)+" */", strings.TrimSpace(text))
	}
	lists := strings.NewReplacer(columns...)
	for _, part := range parts[1:] {
		name, sql, found := strings.Cut(part, "\n")
		name = pkg + "." + strings.TrimSpace(name)
		sql = lists.Replace(strings.TrimSuffix(strings.TrimSpace(sql), ";"))
		of, which, _ := strings.Cut(name, "@")
		_, twice := queries.byName[name]
		if which != "" {
			which = "@" + which
			twice = more[which] == nil || more[which][of] != ""
		}
		if twice || !found || sql == "" || strings.Contains(sql, "/* columns:") {
			panic(fmt.Sprintf("statement %q is empty, defined twice or names columns that nobody lists", name))
		}
		if which != "" {
			more[which][of] = sql
		} else {
			queries.byName[name] = newQuery(name, sql)
		}
	}
	for name, text := range more["@past"] {
		query, known := queries.byName[name]
		if !known || query.Past != "" {
			panic(fmt.Sprintf("the past of %q is that of no statement, or a second one", name))
		}
		queries.byName[name] = query.withPast(text)
	}
	for name, text := range more["@seen"] {
		queries.add(name, func(q *Query) { q.Seen = "/* " + name + "@seen */ " + text })
	}
	for name, text := range more["@past@seen"] {
		queries.add(name, func(q *Query) { q.SeenPast = "/* " + name + "@past@seen */ " + text })
	}
	return queries
}

// add gives a statement one more text.
func (q Queries) add(name string, text func(*Query)) {
	query, known := q.byName[name]
	if !known {
		panic(fmt.Sprintf("there is no statement %q that somebody could see in part", name))
	}
	text(&query)
	q.byName[name] = query
}

// timeless is the line that says that what a statement reads never changes.
const timeless = "-- timeless\n"

func newQuery(name, sql string) Query {
	marked, always := strings.CutPrefix(sql, timeless)
	text := live(marked)
	// The name travels with the statement, into logs and pg_stat_activity.
	query := Query{Name: name, SQL: "/* " + name + " */ " + text, timeless: always}
	query.numbered = number(query.SQL)
	if text == sql {
		return query
	}
	return query.withPast(marked)
}

func (q Query) withPast(marked string) Query {
	q.Past = "/* " + q.Name + "@past */ " + marked
	q.then = newThen(q.Past)
	return q
}

// Get is the statement of this name. It panics on an unknown one, so that a
// misspelt name fails when the program starts.
func (q Queries) Get(name string) Query {
	query, ok := q.byName[q.pkg+"."+name]
	if !ok {
		panic(fmt.Sprintf("no statement %q in package %s", name, q.pkg))
	}
	return query
}

// All gives every statement, by name.
func (q Queries) All() []Query {
	return slices.SortedFunc(maps.Values(q.byName), func(a, b Query) int { return strings.Compare(a.Name, b.Name) })
}

// Where collects the conditions of a dynamic filter with their arguments.
type Where struct {
	conditions []condition
	args       pgx.StrictNamedArgs
}

// condition is one for the present and for the past, with its marks of time.
type condition struct{ live, past string }

// And adds a condition that uses one argument, @name.
func (w *Where) And(condition, name string, value any) {
	w.Plain(condition)
	w.Arg(name, value)
}

// Plain adds a condition that uses no argument of its own.
func (w *Where) Plain(condition string) { w.Either(condition, condition) }

// Either adds a condition that is another one in the past.
func (w *Where) Either(live, past string) {
	w.conditions = append(w.conditions, condition{live, past})
}

// Arg adds an argument alone.
func (w *Where) Arg(name string, value any) {
	if w.args == nil {
		w.args = pgx.StrictNamedArgs{}
	}
	w.args[name] = value
}

// Clone is a copy that can be added to without the original.
func (w *Where) Clone() Where {
	return Where{conditions: slices.Clone(w.conditions), args: maps.Clone(w.args)}
}

// Args are the arguments collected so far.
func (w *Where) Args() pgx.StrictNamedArgs { return w.args }

// Where puts the conditions at the query's /* where */ marker.
func (q Query) Where(w Where) Query {
	var now, then strings.Builder
	for _, condition := range w.conditions {
		now.WriteString(" AND (" + condition.live + ")")
		then.WriteString(" AND (" + condition.past + ")")
	}
	return q.with("where", now.String(), then.String())
}

// With puts text at a marker of the query and of its past. The text is code of
// ours, never input.
func (q Query) With(marker, text string) Query { return q.with(marker, text, text) }

func (q Query) with(marker, now, then string) Query {
	marker = "/* " + marker + " */"
	now = live(now)
	return Query{
		Name: q.Name, SQL: strings.ReplaceAll(q.SQL, marker, now), Past: strings.ReplaceAll(q.Past, marker, then),
		Seen: strings.ReplaceAll(q.Seen, marker, now), SeenPast: strings.ReplaceAll(q.SeenPast, marker, then), timeless: q.timeless,
	}
}
