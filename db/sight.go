package db

import (
	"context"
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strings"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/internal/id"
)

// A caller whose token has attribute filters sees a part of an organization: the
// workloads of some access classes, and what hangs on them. For such a caller a
// statement has one more text, and so has its past, in which each table that it names
// is what the caller may see of it (sight.sql). A statement that reads what is counted
// for everybody may have such a text of its own:
//
//	-- name: overview@seen         as it is
//	-- name: overview@past@seen    as of an instant
//	/* bare any */ entity e        in a past: rows of whatever class, of what is
//	                               seen already
//
// A table of which sight.sql says nothing is refused, so that what is forgotten there
// is shown to nobody.

//go:embed sight.sql
var sightSQL string

// visibleArg is the argument with the classes that a caller may see.
const visibleArg = "visible"

// Attributes say which workloads a caller may see: those that have one of the values
// of each attribute. An attribute without values is no condition.
type Attributes struct{ Environments, Owners, BusinessTiers []string }

// sight is what may be seen of one table.
type sight struct {
	shared  bool
	rows    string // a condition on t
	counted string // what stands in place of the table
}

var (
	sights = parseSights(sightSQL)

	sightHead = regexp.MustCompile(`(?m)^-- (shared|rows|counted): (.*)$`)
	ofSight   = regexp.MustCompile(`/\* (at|seen) \*/ (\w+) (\w+)`)
	ofWith    = regexp.MustCompile(`(?:\bWITH(?: RECURSIVE)?|,)\s+(\w+)\s*(?:\([^()]*\))?\s+AS\s+(?:MATERIALIZED\s+)?\(`)

	// named is a table that a text names: behind FROM or JOIN, its mark, its name, and
	// what it is called there. Key words are in capitals.
	named = regexp.MustCompile(`\b((?:FROM|JOIN)\s+)(?:/\* ((?:page |part \d+ )?at|bare|bare any) \*/ )?([a-z_]\w*)(?:\s+(?:AS\s+)?([a-z]\w*))?`)
)

// parseSights reads what is said of each table.
func parseSights(file string) map[string]sight {
	found := map[string]sight{}
	heads := sightHead.FindAllStringSubmatchIndex(file, -1)
	for i, head := range heads {
		end := len(file)
		if i+1 < len(heads) {
			end = heads[i+1][0]
		}
		var lines []string
		for line := range strings.Lines(file[head[1]:end]) {
			if !strings.HasPrefix(line, "--") {
				lines = append(lines, line)
			}
		}
		text := strings.TrimSpace(strings.Join(lines, ""))
		s := sight{shared: file[head[2]:head[3]] == "shared"}
		switch file[head[2]:head[3]] {
		case "rows":
			s.rows = text
		case "counted":
			s.counted = text
		}
		for name := range strings.SplitSeq(file[head[4]:head[5]], ", ") {
			if _, twice := found[name]; twice || s.shared != (text == "") {
				panic(fmt.Sprintf("sight.sql says nothing of %q, or says it twice", name))
			}
			found[name] = s
		}
	}
	return found
}

// see is a text in which each table is what may be seen of it, now or as of an instant.
func see(text string, past bool) (string, error) {
	var own []string // names that the text itself gives to what it selects
	for _, m := range ofWith.FindAllStringSubmatch(text, -1) {
		own = append(own, m[1])
	}
	var seen strings.Builder
	end := 0
	for _, m := range named.FindAllStringSubmatchIndex(text, -1) {
		mark, name, alias := part(text, m, 2), part(text, m, 3), part(text, m, 4)
		if rest := text[m[7]:]; strings.HasPrefix(rest, "(") || strings.HasPrefix(rest, ".") || slices.Contains(own, name) {
			continue // a function, a column, or what the text selects itself
		}
		if alias == "" {
			alias = name
		}
		table, err := seenTable(name, mark, alias, past)
		if err != nil {
			return "", err
		}
		seen.WriteString(text[end:m[3]] + table)
		end = m[1]
	}
	seen.WriteString(text[end:])
	if past {
		return anyTime.ReplaceAllString(openThen(seen.String()), ""), nil
	}
	return seen.String(), nil
}

func part(text string, match []int, group int) string {
	if match[2*group] < 0 {
		return ""
	}
	return text[match[2*group]:match[2*group+1]]
}

// seenTable is what stands in place of a table.
func seenTable(name, mark, alias string, past bool) (string, error) {
	s, known := sights[name]
	if !known {
		return "", fmt.Errorf("sight.sql says nothing of the table %s", name)
	}
	table := name
	if then := past && strings.HasSuffix(mark, "at"); then {
		table = together(relation, name, strings.TrimSuffix(mark, "at"))
	}
	switch {
	case s.shared || mark == "bare any":
		return table + " " + alias, nil
	case s.counted == "":
		condition, err := seenIn(s.rows, past)
		return "(SELECT t.* FROM " + table + " t WHERE t.organization_id = @organization AND (" + condition + ")) " + alias, err
	case past && (table == name || !strings.Contains(s.counted, "/* at */")):
		return "", fmt.Errorf("what is counted in %s has no past that a caller with attribute filters could see; the statement needs a text of its own", name)
	}
	counted, err := seenIn(s.counted, past)
	return "(" + counted + ") " + alias, err
}

// seenIn is a text of sight.sql, for now or for an instant.
func seenIn(text string, past bool) (expanded string, err error) {
	expanded = ofSight.ReplaceAllStringFunc(text, func(found string) string {
		m := ofSight.FindStringSubmatch(found)
		if m[1] == "at" && !past {
			return m[2] + " " + m[3]
		}
		if m[1] == "at" {
			return together(relation, m[2], "") + " " + m[3]
		}
		table, failed := seenTable(m[2], "at", m[3], past)
		if failed != nil {
			err = failed
		}
		return table
	})
	return expanded, err
}

// asked is what the text for a caller with attribute filters is made of.
type asked struct {
	text, past, seen, seenPast string
	timeless, then             bool
}

// keptSights are so many texts at most, because lists put theirs together from what
// they are asked for. Making one takes as long as a small statement does.
const keptSights = 512

var seenTexts = func() *lru.Cache[asked, Query] {
	cache, err := lru.New[asked, Query](keptSights)
	if err != nil {
		panic(err) // of a size that is none
	}
	return cache
}()

// AsSeen is the query as a caller with attribute filters reads it, now or as of an instant.
// It names the classes as @visible where it reads what has one.
func (q Query) AsSeen(past bool) (Query, error) {
	key := asked{q.SQL, q.Past, q.Seen, q.SeenPast, q.timeless, past}
	if made, known := seenTexts.Get(key); known {
		return made, nil
	}
	made, err := q.makeSeen(past)
	if err == nil {
		seenTexts.Add(key, made)
	}
	return made, err
}

func (q Query) makeSeen(past bool) (Query, error) {
	name, text, own := q.Name+"@seen", q.SQL, q.Seen
	if past {
		if q.Past == "" {
			return q.AsOf() // which says so
		}
		name, text, own = q.Name+"@past@seen", q.Past, q.SeenPast
		if q.timeless {
			own = q.Seen
		}
	}
	switch {
	case own == "":
		var err error
		if text, err = see(text, past); err != nil {
			return q, fmt.Errorf("%s: %w", name, err)
		}
	case past:
		text = anyTime.ReplaceAllString(openThen(own), "")
	default:
		text = own
	}
	return Query{Name: name, SQL: text, numbered: number(text)}, nil
}

var visibleClasses = queries.Get("visible_classes")

// VisibleClasses are the access classes of an organization that the attributes let
// through.
func VisibleClasses(ctx context.Context, q Querier, a Attributes) ([]int, error) {
	given := func(values []string) []string { return append([]string{}, values...) } // not null
	classes, err := Column[int](ctx, q, visibleClasses, pgx.StrictNamedArgs{
		"environments": given(a.Environments), "owners": given(a.Owners), "business_tiers": given(a.BusinessTiers)})
	return append([]int{}, classes...), err
}

// Through is the snapshot as somebody sees one organization through attributes.
func (s *Snapshot) Through(organization id.ID, a Attributes) Querier {
	return seenView{tenantView{s, organization}, a}
}

type seenView struct {
	tenantView
	attributes Attributes
}

func (v seenView) query(ctx context.Context, query Query, args pgx.StrictNamedArgs, read func(pgx.Rows) error) error {
	classes, err := v.snapshot.visible(ctx, v.tenantView, v.attributes)
	if err != nil {
		return err
	}
	past := v.snapshot.instant != nil
	seen, err := query.AsSeen(past)
	if err != nil {
		return err
	}
	bound := pgx.StrictNamedArgs{}
	for _, name := range seen.numbered.names {
		switch value, given := args[name]; {
		case given:
			bound[name] = value
		case name == organizationArg:
			bound[name] = v.organization
		case name == visibleArg:
			bound[name] = classes
		case name == asOfArg && past:
			bound[name] = *v.snapshot.instant
		}
	}
	return v.snapshot.query(ctx, v.organization, seen, bound, read)
}

// visible are the classes that somebody sees, who is the same in all of a session.
func (s *session) visible(ctx context.Context, v tenantView, a Attributes) ([]int, error) {
	key := fmt.Sprintf("%s %q", v.organization, a)
	s.sightMu.Lock()
	defer s.sightMu.Unlock()
	if classes, known := s.sight[key]; known {
		return classes, nil
	}
	now := tenantView{&Snapshot{session: s}, v.organization}
	classes, err := VisibleClasses(ctx, now, a)
	if err != nil {
		return nil, err
	}
	if s.sight == nil {
		s.sight = map[string][]int{}
	}
	s.sight[key] = classes
	return classes, nil
}
