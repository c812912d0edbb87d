package invariant

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// maxDepth is over how many systems a workload may authenticate.
const maxDepth = 8

// The first digits of a code, and what it looks like.
const (
	prefix   = "EXP-"
	shortest = 8
)

var code = regexp.MustCompile(`^` + prefix + `[0-9a-f]{8,64}$`)

// seen is what evidence of any age says of when somebody last acted.
type seen struct {
	workloads  map[int32]int64 // microseconds
	identities map[int32]int64 // where it names no workload
}

func (s seen) note(whom triple, at int64) {
	switch {
	case whom.workload != none:
		s.workloads[whom.workload] = max(s.workloads[whom.workload], at)
	case whom.identity != none:
		s.identities[whom.identity] = max(s.identities[whom.identity], at)
	}
}

// worker is the row of a workload, but for its code.
type worker struct {
	class                                          int32
	live, listed                                   bool
	mode, ownership, egress                        string
	categories                                     int16
	identities                                     string
	paths, sensitive, dormant, executed, unwatched int64
	findings                                       int64
	rules                                          int32
	severity                                       int16
	domains, sensitiveDomains                      string
	clusters                                       int32
	executions                                     int64 // -1: null
	own                                            int64
	last                                           string
}

func (r worker) fields() []field {
	return []field{
		{"class", r.class}, {"live", r.live}, {"listed", r.listed}, {"execution_mode", r.mode}, {"ownership_status", r.ownership},
		{"egress_category", r.egress}, {"egress_categories", r.categories}, {"identity_ids", r.identities}, {"paths", r.paths},
		{"sensitive_paths", r.sensitive}, {"dormant_paths", r.dormant}, {"executed_paths", r.executed}, {"unwatched_paths", r.unwatched},
		{"findings", r.findings}, {"finding_rules", r.rules}, {"max_severity", r.severity}, {"data_domains", r.domains},
		{"sensitive_domains", r.sensitiveDomains}, {"clusters", r.clusters}, {"executions", r.executions}, {"own_executions", r.own},
		{"last_execution_at", r.last},
	}
}

// readTies reads whom workloads run as and authenticate as, what they send where,
// and which of those that are removed lived once.
func (w *world) readTies(ctx context.Context) error {
	type edge struct {
		Kind     string
		FromID   id.ID
		Scope    string
		ToID     id.ID
		SourceID id.ID
	}
	err := walk(ctx, w.reader, "edges", nil,
		func(r *edge) pgx.StrictNamedArgs {
			return pgx.StrictNamedArgs{"kind": r.Kind, "from_id": r.FromID, "scope": r.Scope, "to_id": r.ToID, "source_id": r.SourceID}
		},
		func(r *edge) {
			from, to := w.indexOf(r.FromID), w.indexOf(r.ToID)
			if r.Kind == "runs_as" {
				w.runsAs[from] = append(w.runsAs[from], to)
			} else {
				w.authenticates[from] = append(w.authenticates[from], to)
			}
		})
	if err != nil {
		return err
	}
	type egress struct {
		WorkloadID id.ID
		Host       string
		SourceID   id.ID
		Category   string
	}
	err = walk(ctx, w.reader, "egress", nil,
		func(r *egress) pgx.StrictNamedArgs {
			return pgx.StrictNamedArgs{"workload_id": r.WorkloadID, "host": r.Host, "source_id": r.SourceID}
		},
		func(r *egress) {
			w.categories[w.indexOf(r.WorkloadID)] |= map[string]int16{"internal": 1, "external": 2, "llm": 4}[r.Category]
		})
	if err != nil {
		return err
	}
	type version struct {
		ID      id.ID
		Version int32
		Status  string
	}
	return walk(ctx, w.reader, "entity_versions", nil,
		func(r *version) pgx.StrictNamedArgs { return pgx.StrictNamedArgs{"id": r.ID, "version": r.Version} },
		func(r *version) {
			if r.Status != "removed" {
				w.lived[w.indexOf(r.ID)] = true
			}
		})
}

func (w *world) alive(of int32) bool { return w.known[of] && w.entities[of].status != "removed" }

// bound are the identities that a workload ends up with, the nearest first.
func (w *world) bound(workload int32) []int32 {
	depths := map[int32]int{}
	layer := w.runsAs[workload]
	for depth := 0; depth <= maxDepth; depth++ {
		var next []int32
		if depth == 0 {
			next = slices.Clone(w.authenticates[workload])
		}
		for _, i := range layer {
			if _, nearer := depths[i]; nearer || !w.alive(i) {
				continue
			}
			depths[i] = depth
			next = append(next, w.authenticates[i]...)
		}
		layer = next
	}
	list := make([]int32, 0, len(depths))
	for i := range depths {
		list = append(list, i)
	}
	slices.SortFunc(list, func(a, b int32) int {
		return cmp.Or(cmp.Compare(depths[a], depths[b]), cmp.Compare(w.entities[a].name, w.entities[b].name), bytes.Compare(w.ids[a][:], w.ids[b][:]))
	})
	return list
}

// sumWorkloads works out the row of every workload that ever lived.
func (w *world) sumWorkloads() {
	paths := map[int32][]int32{}
	for i := range w.paths {
		if p := &w.paths[i]; p.active && w.entityOf(p.workload).kind == "workload" {
			paths[p.workload] = append(paths[p.workload], int32(i)) //nolint:gosec // no memory holds more of them
		}
	}
	findings := map[int32]int32{} // bits of rules
	for of, open := range w.lasts {
		if d, ok := definition(of.rule); open && ok && of.subject != none && w.entities[of.subject].kind == string(d.Grain) {
			findings[of.subject] |= 1 << (of.rule - 1)
		}
	}
	active := map[int32][]triple{} // evidence that names a workload and no resource
	for whom := range w.runs {
		if whom.workload != none && whom.resource == none {
			active[whom.workload] = append(active[whom.workload], whom)
		}
	}
	w.workers = map[int32]worker{}
	for i, e := range w.entities {
		of := int32(i) //nolint:gosec // no memory holds more of them
		if !w.known[of] || e.kind != "workload" || e.status == "removed" && !w.lived[of] {
			continue
		}
		row := worker{class: e.class, live: e.status != "removed", mode: e.mode, ownership: e.ownership, egress: e.egress, executions: -1}
		if row.live {
			w.sumWorkload(&row, of, paths[of], findings, active[of])
		}
		w.workers[of] = row
	}
}

// entityOf is what is known of one that may not exist.
func (w *world) entityOf(of int32) entity {
	if of == none {
		return entity{}
	}
	return w.entities[of]
}

func (w *world) sumWorkload(row *worker, of int32, paths []int32, findings map[int32]int32, active []triple) {
	identities := w.bound(of)
	names := make([]string, len(identities))
	for i, identity := range identities {
		names[i] = w.ids[identity].String()
	}
	row.identities = strings.Join(names, " ")
	row.clusters, row.categories = w.clustersOf[of], w.categories[of]

	count := func(bits int32) {
		for rest := bits; rest != 0; rest &= rest - 1 {
			row.findings++
		}
		row.rules |= bits
	}
	count(findings[of])
	for _, identity := range identities {
		count(findings[identity])
	}
	domains, sensitiveDomains, subjectsOf := map[string]bool{}, map[string]bool{}, map[triple]bool{}
	effective, watched := false, true
	for _, i := range paths {
		p := &w.paths[i]
		resource := w.entityOf(p.resource)
		row.paths++
		if resource.domain != "" {
			domains[resource.domain] = true
		}
		if resource.sensitivity >= sensitive {
			row.sensitive++
			if resource.domain != "" {
				sensitiveDomains[resource.domain] = true
			}
		}
		if p.dormant() {
			row.dormant++
		}
		switch {
		case p.executions < 0:
			row.unwatched++
		case p.executions > 0:
			row.executed++
		}
		watched = watched && p.executions == 0
		effective = effective || p.effective
		row.severity = max(row.severity, p.counted.severity)
		for _, e := range w.open[p.begin:p.end] {
			if d, ok := definition(e.typ); ok && d.Grain == rule.OfPath && e.disposition < falsePositive {
				row.findings++
				row.rules |= 1 << (e.typ - 1)
			}
		}
		for _, whom := range subjects(p, p.basis) {
			if w.runs[whom.triple] > 0 {
				subjectsOf[whom.triple] = true
			}
		}
	}
	if !effective {
		for _, d := range rule.Definitions {
			if severity, _ := rule.SeverityOn(d.Rule, rule.Trait{}); findings[of]&(1<<(d.Rule-1)) != 0 {
				row.severity = max(row.severity, int16(severity))
			}
		}
	}
	if row.paths == 0 {
		for _, whom := range active {
			subjectsOf[whom] = true
		}
	}
	if len(subjectsOf) > 0 || row.paths > 0 && watched {
		row.executions = 0
	}
	for whom := range subjectsOf {
		row.executions += w.runs[whom]
		if whom.workload == of {
			row.own += w.runs[whom]
		}
	}
	row.domains, row.sensitiveDomains = sortedWords(domains), sortedWords(sensitiveDomains)
	row.listed = row.paths > 0 || row.findings > 0
	last, acted := w.seen.workloads[of]
	for _, identity := range identities {
		if at, did := w.seen.identities[identity]; did && w.seen.workloads[of] == 0 {
			last, acted = max(last, at), true
		}
	}
	if acted {
		row.last = instant(last)
	}
}

// dormant says whether an exposure to dormant authority counts on a path, accepted
// or not.
func (p *path) dormant() bool { return p.counted.masks[topLevel-1]&(1<<(rule.DormantAuthority-1)) != 0 }

func sortedWords(set map[string]bool) string {
	words := make([]string, 0, len(set))
	for word := range set {
		words = append(words, word)
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

func workloadName(of id.ID) string { return "workload " + of.String() }

// checkWorkloads holds the rows of workloads, and their codes.
func (w *world) checkWorkloads(ctx context.Context) error {
	result := w.report.of(Workloads)
	type row struct {
		WorkloadID       id.ID
		Code             string
		Class            int32
		Live             bool
		Listed           bool
		ExecutionMode    *string
		OwnershipStatus  string
		EgressCategory   string
		EgressCategories int16
		IdentityIDs      []id.ID
		Paths            int64
		SensitivePaths   int64
		DormantPaths     int64
		ExecutedPaths    int64
		UnwatchedPaths   int64
		Findings         int64
		FindingRules     int32
		MaxSeverity      int16
		DataDomains      []string
		SensitiveDomains []string
		Clusters         int32
		Executions       *int64
		OwnExecutions    int64
		LastExecutionAt  *time.Time
	}
	codes := map[int32]string{}
	err := walk(ctx, w.reader, "workload_rows", nil,
		func(r *row) pgx.StrictNamedArgs { return pgx.StrictNamedArgs{"workload_id": r.WorkloadID} },
		func(r *row) {
			result.Compared++
			of := w.indexOf(r.WorkloadID)
			codes[of] = r.Code
			want, is := w.workers[of]
			if !is {
				result.found(workloadName(r.WorkloadID), "it is no workload that ever lived and has a row", "", "")
				return
			}
			have := worker{
				class: r.Class, live: r.Live, listed: r.Listed, mode: w.optional(r.ExecutionMode), ownership: r.OwnershipStatus, egress: r.EgressCategory,
				categories: r.EgressCategories, paths: r.Paths, sensitive: r.SensitivePaths, dormant: r.DormantPaths, executed: r.ExecutedPaths,
				unwatched: r.UnwatchedPaths, findings: r.Findings, rules: r.FindingRules, severity: r.MaxSeverity,
				domains: strings.Join(r.DataDomains, " "), sensitiveDomains: strings.Join(r.SensitiveDomains, " "), clusters: r.Clusters,
				executions: -1, own: r.OwnExecutions,
			}
			names := make([]string, len(r.IdentityIDs))
			for i, identity := range r.IdentityIDs {
				names[i] = identity.String()
			}
			have.identities = strings.Join(names, " ")
			if r.Executions != nil {
				have.executions = *r.Executions
			}
			if r.LastExecutionAt != nil {
				have.last = instant(r.LastExecutionAt.UnixMicro())
			}
			if want != have {
				should, stands := difference(want.fields(), have.fields())
				result.found(workloadName(r.WorkloadID), "its row is wrong", should, stands)
			}
		})
	if err != nil {
		return err
	}
	w.missing(result, codes)
	w.checkCodes(codes)
	return nil
}

// missing tells the workloads that have no row.
func (w *world) missing(result *Result, codes map[int32]string) {
	var names []string
	for of := range w.workers {
		if _, has := codes[of]; !has {
			result.Compared++
			names = append(names, workloadName(w.ids[of]))
		}
	}
	slices.Sort(names)
	for _, name := range names {
		result.found(name, "it has no row", "", "")
	}
}

// checkCodes holds each code against the digest of its workload, and against all others.
func (w *world) checkCodes(codes map[int32]string) {
	result := w.report.of(Codes)
	owners := map[string]int{}
	list := make([]int32, 0, len(codes))
	for of, text := range codes {
		owners[text]++
		list = append(list, of)
	}
	slices.SortFunc(list, func(a, b int32) int { return bytes.Compare(w.ids[a][:], w.ids[b][:]) })
	for _, of := range list {
		result.Compared++
		text, subject := codes[of], workloadName(w.ids[of])
		sum := id.New("workload-exposure/1").ID(w.organization).ID(w.ids[of]).Sum()
		digits := hex.EncodeToString(sum[:])
		switch {
		case !code.MatchString(text):
			result.found(subject, "its code has another form", code.String(), text)
		case !strings.HasPrefix(digits, strings.TrimPrefix(text, prefix)):
			result.found(subject, "its code is not the beginning of its digest", prefix+digits[:shortest], text)
		case owners[text] > 1:
			result.found(subject, "another workload has its code", "", text)
		default:
			for n := len(prefix) + shortest; n < len(text); n++ {
				if owners[text[:n]] == 0 {
					result.found(subject, "its code is longer than it has to be", text[:n], text)
					break
				}
			}
		}
	}
}
