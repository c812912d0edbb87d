package posture

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/page"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// WorkloadExposure is what the authority of a workload comes to.
type WorkloadExposure struct {
	OrganizationID   id.ID
	WorkloadID       id.ID
	Code             string // the id that people use
	Class            int
	Live             bool
	Listed           bool
	ExecutionMode    *record.ExecutionMode
	OwnershipStatus  authority.OwnershipStatus
	EgressCategory   authority.EgressCategory // the gravest
	EgressCategories int16                    // all that were seen; see EgressBits
	IdentityIDs      []id.ID                  `db:"identity_ids"` // the nearest first, then by name
	Paths            int
	SensitivePaths   int
	DormantPaths     int
	ExecutedPaths    int
	UnwatchedPaths   int
	Findings         int
	FindingRules     int32 // bits of the rules
	MaxSeverity      rule.Severity
	DataDomains      []string
	SensitiveDomains []string
	Clusters         int32 // bits of the clusters
	Executions       *int64
	OwnExecutions    int64
	LastExecutionAt  *time.Time
}

// Binding says whether any identity of a workload is known.
type Binding string

// The bindings.
const (
	Bound   Binding = "bound"
	Unbound Binding = "unknown"
)

// Binding says whether any identity of the workload is known.
func (w *WorkloadExposure) Binding() Binding {
	if len(w.IdentityIDs) == 0 {
		return Unbound
	}
	return Bound
}

// Rules are the rules of the findings, by number.
func (w *WorkloadExposure) Rules() []rule.Rule {
	rules := []rule.Rule{}
	for _, d := range rule.Definitions {
		if w.FindingRules&d.Type.Bit() != 0 {
			rules = append(rules, d.Rule)
		}
	}
	slices.Sort(rules)
	return rules
}

// Egress are the categories that were seen, the gravest first.
func (w *WorkloadExposure) Egress() []authority.EgressCategory {
	seen := []authority.EgressCategory{}
	for _, category := range []authority.EgressCategory{authority.EgressLLM, authority.EgressExternal, authority.EgressInternal} {
		if w.EgressCategories&egressBit(category) != 0 {
			seen = append(seen, category)
		}
	}
	return seen
}

// In says whether a path of the workload is a member of the cluster.
func (w *WorkloadExposure) In(cluster int16) bool { return w.Clusters&(1<<(cluster-1)) != 0 }

// egressBit is the bit of a category that can be seen, 0 for the others.
func egressBit(category authority.EgressCategory) int16 {
	switch category {
	case authority.EgressInternal:
		return 1
	case authority.EgressExternal:
		return 2
	case authority.EgressLLM:
		return 4
	}
	return 0
}

// WorkloadFilter narrows a list of workload exposures. Conditions join with AND,
// the values of one condition with OR; an empty condition narrows nothing.
type WorkloadFilter struct {
	Severities       []rule.Severity
	Clusters         []int16 // by their numbers
	Egress           []authority.EgressCategory
	EgressCategories []authority.EgressCategory // any of which was seen
	Ownership        []authority.OwnershipStatus
	Modes            []record.ExecutionMode
	ModeKnown        *bool
	DataDomains      []string
	Bindings         []Binding
	Rules            []rule.Rule
	And              []WorkloadFilter
	Or               []WorkloadFilter
	Not              *WorkloadFilter
}

// Bounds of a filter of filters.
const (
	maxFilterDepth = 4
	maxFilters     = 40
)

// Empty says whether the filter narrows nothing.
func (f WorkloadFilter) Empty() bool {
	return len(f.Severities)+len(f.Clusters)+len(f.Egress)+len(f.EgressCategories)+len(f.Ownership)+len(f.Modes)+
		len(f.DataDomains)+len(f.Bindings)+len(f.Rules)+len(f.And)+len(f.Or) == 0 && f.ModeKnown == nil && f.Not == nil
}

// check refuses a filter that is too large, or has text that no column can hold.
func (f WorkloadFilter) check() error {
	filters := 0
	return f.checkAt(1, &filters)
}

func (f WorkloadFilter) checkAt(depth int, filters *int) error {
	*filters++
	if depth > maxFilterDepth {
		return problem.New(problem.Invalid, "FILTER_TOO_DEEP", "the filter nests filters more than %d levels deep; write it flatter", maxFilterDepth).On("filter")
	}
	if *filters > maxFilters {
		return problem.New(problem.Invalid, "FILTER_TOO_LARGE", "the filter is made of more than %d filters; name several values in one field instead", maxFilters).On("filter")
	}
	for field, length := range map[string]int{"cluster": len(f.Clusters), "dataDomain": len(f.DataDomains)} {
		if err := page.Bounded(field, length); err != nil {
			return err
		}
	}
	if err := authority.ReadableFilter("dataDomain", f.DataDomains...); err != nil {
		return err
	}
	for _, part := range f.parts() {
		if err := part.checkAt(depth+1, filters); err != nil {
			return err
		}
	}
	return nil
}

// parts are the filters that the filter is made of.
func (f WorkloadFilter) parts() []WorkloadFilter {
	parts := slices.Concat(f.And, f.Or)
	if f.Not != nil {
		parts = append(parts, *f.Not)
	}
	return parts
}

func (f WorkloadFilter) where() (w db.Where) {
	if !f.Empty() {
		filters := 0
		w.Plain(f.condition(&w, &filters))
	}
	return w
}

// condition is the filter in SQL. It is never null, so that NOT turns it round;
// its arguments go to w under names of their own.
func (f WorkloadFilter) condition(w *db.Where, filters *int) string {
	*filters++
	var own db.Where
	name := func(argument string) string { return argument + "_" + strconv.Itoa(*filters) }
	oneOf(&own, "w.max_severity", name("severities"), f.Severities)
	oneOf(&own, "w.egress_category", name("egress"), f.Egress)
	oneOf(&own, "w.ownership_status", name("ownership"), f.Ownership)
	oneOf(&own, "coalesce(w.execution_mode, '')", name("modes"), f.Modes)
	if f.ModeKnown != nil {
		own.And("(w.execution_mode IS NOT NULL) = @"+name("mode_known"), name("mode_known"), *f.ModeKnown)
	}
	if len(f.Bindings) > 0 {
		own.And("CASE WHEN cardinality(w.identity_ids) = 0 THEN 'unknown' ELSE 'bound' END = ANY (@"+name("bindings")+")", name("bindings"), f.Bindings)
	}
	if len(f.DataDomains) > 0 {
		own.And("w.data_domains && @"+name("domains"), name("domains"), f.DataDomains)
	}
	overlap(&own, "w.clusters", name("clusters"), bitsOf(f.Clusters), len(f.Clusters))
	overlap(&own, "w.finding_rules", name("rules"), bitsOf(f.Rules), len(f.Rules))
	categories := int32(0)
	for _, category := range f.EgressCategories {
		categories |= int32(egressBit(category))
	}
	overlap(&own, "w.egress_categories", name("categories"), categories, len(f.EgressCategories))
	for argument, value := range own.Args() {
		w.Arg(argument, value)
	}
	conditions := []string{db.Query{SQL: "true/* where */"}.Where(own).SQL}
	for _, part := range f.And {
		conditions = append(conditions, part.condition(w, filters))
	}
	if len(f.Or) > 0 {
		alternatives := make([]string, len(f.Or))
		for i, part := range f.Or {
			alternatives[i] = part.condition(w, filters)
		}
		conditions = append(conditions, "("+strings.Join(alternatives, " OR ")+")")
	}
	if f.Not != nil {
		conditions = append(conditions, "NOT "+f.Not.condition(w, filters))
	}
	return "(" + strings.Join(conditions, " AND ") + ")"
}

func oneOf[T any](w *db.Where, column, name string, values []T) {
	page.OneOf(w, column+" = ANY (@"+name+")", name, values)
}

// overlap adds that one of the bits is set, if any were asked.
func overlap(w *db.Where, column, name string, bits int32, asked int) {
	if asked > 0 {
		w.And(column+" & @"+name+"::integer <> 0", name, bits)
	}
}

// bitsOf are the bits of things with numbers from 1.
func bitsOf[T ~int16](numbers []T) (bits int32) {
	for _, number := range numbers {
		bits |= 1 << (number - 1)
	}
	return bits
}

// WorkloadOrder is how a list of workload exposures is sorted. The workload's id
// breaks ties, in the same direction.
type WorkloadOrder struct {
	Field      WorkloadOrderField
	Descending bool
}

// WorkloadOrderField is what a list of workload exposures can be sorted by.
type WorkloadOrderField string

// The sort fields.
const (
	BySeverity      WorkloadOrderField = "severity" // then by the number of findings
	ByFindings      WorkloadOrderField = "findings"
	ByPaths         WorkloadOrderField = "paths"
	ByExecutions    WorkloadOrderField = "executions"
	ByLastExecution WorkloadOrderField = "last_execution"
)

// What is null sorts as the least: a cursor compares values.
const noExecutions = int64(-1)

var never = time.Time{}

func (o WorkloadOrder) keys() []page.Key {
	tie := page.Key{Column: "w.workload_id", Parse: page.IDKey}
	findings := page.Key{Column: "w.findings", Parse: page.WholeKey}
	switch o.Field {
	case ByFindings:
		return []page.Key{findings, tie}
	case ByPaths:
		return []page.Key{{Column: "w.paths", Parse: page.WholeKey}, tie}
	case ByExecutions:
		return []page.Key{{Column: "coalesce(w.executions, -1)", Parse: page.NumberKey}, tie}
	case ByLastExecution:
		return []page.Key{{Column: "coalesce(w.last_execution_at, '0001-01-01 00:00:00+00'::timestamptz)", Parse: page.TimeKey}, tie}
	}
	return []page.Key{{Column: "w.max_severity", Parse: page.SmallKey}, findings, tie}
}

func (o WorkloadOrder) values(w *WorkloadExposure) []string {
	tie := w.WorkloadID.String()
	switch o.Field {
	case ByFindings:
		return []string{strconv.Itoa(w.Findings), tie}
	case ByPaths:
		return []string{strconv.Itoa(w.Paths), tie}
	case ByExecutions:
		return []string{strconv.FormatInt(orElse(w.Executions, noExecutions), 10), tie}
	case ByLastExecution:
		return []string{page.Stamp(orElse(w.LastExecutionAt, never)), tie}
	}
	return []string{strconv.Itoa(int(w.MaxSeverity)), strconv.Itoa(w.Findings), tie}
}

func orElse[T any](value *T, other T) T {
	if value == nil {
		return other
	}
	return *value
}

// bindWorkloads binds a cursor to a list of workload exposures.
func bindWorkloads(at *time.Time, organization id.ID, f WorkloadFilter, o WorkloadOrder) page.Binding {
	return page.BindingAt(at, "workload exposures", organization, f).Text(string(o.Field)).Text(fmt.Sprint(o.Descending)).Short()
}

// Code reads the id of a workload exposure as people write it, in either case;
// ok is false for what cannot be one.
func Code(text string) (code string, ok bool) {
	prefix, digits, found := strings.Cut(text, "-")
	if !found || !strings.EqualFold(prefix, "EXP") || len(digits) < fewestDigits || len(digits) > mostDigits {
		return "", false
	}
	digits = strings.ToLower(digits)
	if strings.Trim(digits, "0123456789abcdef") != "" {
		return "", false
	}
	return "EXP-" + digits, true
}
