package triage_test

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/triage"
)

// setup is all that the source says.
type setup struct {
	owner       [2]int // of w1 and w2: nobody, an active person, one who left, a group
	sensitivity [2]int // of the ledger and the archive
	egress      [2]int // none, to the outside, to a model
	archive     bool   // whether the role grants the archive, too
	second      bool   // whether there is a second workload
}

func drawSetup(rt *rapid.T) (s setup) {
	for i := range 2 {
		s.owner[i] = rapid.IntRange(0, 3).Draw(rt, "owner")
		s.sensitivity[i] = rapid.IntRange(0, 2).Draw(rt, "sensitivity")
		s.egress[i] = rapid.IntRange(0, 2).Draw(rt, "egress")
	}
	s.archive, s.second = rapid.Bool().Draw(rt, "archive"), rapid.Bool().Draw(rt, "second")
	return s
}

// drawNext changes a little of what was said, so that what was judged often lasts.
func drawNext(rt *rapid.T, s setup) setup {
	n := drawSetup(rt)
	switch rapid.IntRange(0, 5).Draw(rt, "part") {
	case 0:
		s.owner = n.owner
	case 1:
		s.sensitivity = n.sensitivity
	case 2:
		s.egress = n.egress
	case 3:
		s.archive = n.archive
	case 4:
		s.second = n.second
	}
	return s
}

func (s setup) facts() []record.Fact {
	reader := ref(record.Role, "reader")
	facts := []record.Fact{
		record.Entity{Ref: ref(record.Identity, "i1")}, record.Entity{Ref: reader}, record.Coverage{Kind: record.Ownership}, record.Coverage{Kind: record.EgressObs}, record.Coverage{Kind: record.Binding},
		record.Entity{Ref: ref(record.Owner, "olga"), OwnerType: record.Individual, Status: record.Active},
		record.Entity{Ref: ref(record.Owner, "ned"), OwnerType: record.Individual, Status: record.Disabled},
		record.Entity{Ref: ref(record.Owner, "team"), OwnerType: record.Group, Status: record.Active},
		edge(record.HasRole, ref(record.Identity, "i1"), reader, "*"),
	}
	for i, name := range []string{"ledger", "archive"} {
		resource := ref(record.Resource, name)
		facts = append(facts, record.Entity{Ref: resource, Sensitivity: []string{"internal", "confidential", "restricted"}[s.sensitivity[i]], DataDomain: "finance"})
		if i == 0 || s.archive {
			facts = append(facts, edge(record.Grants, reader, resource, "*", "get"))
		}
	}
	for i, name := range []string{"w1", "w2"} {
		if i == 1 && !s.second {
			break
		}
		workload := ref(record.Workload, name)
		facts = append(facts, record.Entity{Ref: workload}, edge(record.RunsAs, workload, ref(record.Identity, "i1"), ""))
		if owner := []string{"", "olga", "ned", "team"}[s.owner[i]]; owner != "" {
			facts = append(facts, edge(record.OwnedBy, workload, ref(record.Owner, owner), ""))
		}
		switch s.egress[i] {
		case 1:
			facts = append(facts, record.Egress{Workload: workload, Host: "files.example.com", Category: record.EgressExternal})
		case 2:
			facts = append(facts, record.Egress{Workload: workload, Host: "api.model.example", Category: record.EgressLLM})
		}
	}
	return facts
}

// live has both organizations told for the first time.
func (h *history) live(rt *rapid.T) {
	h.setup = drawSetup(rt)
	h.deliver(rt)
	h.compare(rt)
}

func (h *history) deliver(rt *rapid.T) {
	h.now = h.now.Add(time.Hour)
	h.raise()
	var at time.Time
	for _, slug := range []string{h.slug, h.twin} {
		report, err := h.desk.paths.Sync(machine, authority.SyncRequest{Organization: slug, Format: "snapshot", CreateOrganization: true, Strict: true, ObservedAt: h.now},
			func(out record.Emitter) error {
				for i, fact := range h.setup.facts() {
					if err := out.Record(record.Record{Position: record.Position{Line: i + 1}, Fact: fact}); err != nil {
						return err
					}
				}
				return nil
			})
		require.NoError(h.loud(rt), err)
		if slug == h.slug {
			at = report.At.UTC()
		}
	}
	h.judged(rt, at, false)
}

func (h *history) evaluate(rt *rapid.T) {
	h.now = h.now.Add(time.Hour)
	h.raise()
	var at time.Time
	for _, slug := range []string{h.slug, h.twin} {
		evaluation, err := h.desk.paths.Reevaluate(machine, id.Organization(slug), authority.ByRequest, nil)
		require.NoError(h.loud(rt), err)
		if slug == h.slug {
			at = evaluation.At.UTC()
		}
	}
	h.judged(rt, at, true)
}

// raise keeps the server's clock, which all histories share, from lagging behind.
func (h *history) raise() {
	for {
		now := h.clock.Load()
		if h.now.UnixMicro() <= now || h.clock.CompareAndSwap(now, h.now.UnixMicro()) {
			return
		}
	}
}

// judged brings the model up to what holds since a judgement at this instant.
func (h *history) judged(rt *rapid.T, at time.Time, everything bool) {
	type row struct {
		Workload, Resource string
		PathID             id.ID
		Type               rule.Type
		Severity           int16
		Factors            int32
		Explanation        string
		EvidenceDigest     id.ID
		ResolutionReason   *string
	}
	read := func(slug, condition string) []row {
		rows, err := h.conn.Query(context.Background(), `SELECT DISTINCT ON (w.external_id, r.external_id, x.type) w.external_id AS workload, r.external_id AS resource, x.path_id, x.type, x.severity, x.factors, x.explanation, x.evidence_digest, x.resolution_reason
			FROM exposure x JOIN authority_path p ON p.organization_id = x.organization_id AND p.id = x.path_id
			JOIN entity w ON w.organization_id = x.organization_id AND w.id = p.workload_id JOIN entity r ON r.organization_id = x.organization_id AND r.id = p.resource_id
			WHERE x.organization_id = $1 AND `+condition+` ORDER BY w.external_id, r.external_id, x.type, x.ordinal DESC`, id.Organization(slug))
		require.NoError(h.loud(rt), err)
		list, err := pgx.CollectRows(rows, pgx.RowToStructByName[row])
		require.NoError(h.loud(rt), err)
		return list
	}
	holds, reasons := map[spot]content{}, map[spot]string{}
	for _, r := range read(h.twin, "x.to_at IS NULL") {
		holds[spot{r.Workload, r.Resource, r.Type}] = content{r.Severity, r.Factors, r.Explanation, r.EvidenceDigest}
	}
	for _, r := range read(h.twin, "x.to_at IS NOT NULL") {
		reasons[spot{r.Workload, r.Resource, r.Type}] = *r.ResolutionReason
	}
	open := map[spot]bool{}
	for _, r := range read(h.slug, "x.to_at IS NULL") {
		open[spot{r.Workload, r.Resource, r.Type}] = true
	}
	for _, r := range read(h.slug, "true") {
		h.paths[r.PathID], h.ids[[2]string{r.Workload, r.Resource}] = [2]string{r.Workload, r.Resource}, r.PathID
	}

	for s := range h.intervals {
		x := h.last(s)
		if _, lasts := holds[s]; !lasts && x.to.IsZero() {
			x.to, x.reason = at, reasons[s]
		}
	}
	for s, c := range holds {
		x := h.last(s)
		switch {
		case x != nil && x.to.IsZero():
			if x.content != c {
				h.seen.add("changed")
				x.turn(at)
				x.content = c
			}
			continue
		case x != nil && x.reason == "manual":
			// A delivery judges what it touches; what it leaves alone stays resolved.
			before, held := h.held[s]
			if !everything && held && before == c && !open[s] {
				continue
			}
			if held {
				h.seen.add("reopened")
			}
		}
		next := &interval{spot: s, ordinal: len(h.intervals[s]) + 1, state: triage.Open, version: 1, content: c, from: at, since: at}
		if x != nil && x.state == triage.FalsePositive {
			if x.judged == c.digest {
				h.seen.add("inherited")
				next.state, next.seq, next.judged = triage.FalsePositive, x.seq, x.judged
			} else {
				h.seen.add("not inherited")
			}
		}
		h.intervals[s] = append(h.intervals[s], next)
	}
	h.held = holds
}

func (h *history) last(s spot) *interval {
	list := h.intervals[s]
	if len(list) == 0 {
		return nil
	}
	return list[len(list)-1]
}

func (h *history) find(key exposure.Key) *interval {
	names, known := h.paths[key.PathID]
	list := h.intervals[spot{names[0], names[1], key.Type}]
	if !known || key.Ordinal < 1 || key.Ordinal > len(list) {
		return nil
	}
	return list[key.Ordinal-1]
}

// all are the exposures, in an order that another organization would have as
// well, so that a history can be played again.
func (h *history) all() (keys []exposure.Key) {
	spots := slices.SortedFunc(maps.Keys(h.intervals), func(a, b spot) int {
		return cmp.Or(cmp.Compare(a.workload, b.workload), cmp.Compare(a.resource, b.resource), cmp.Compare(a.typ, b.typ))
	})
	for _, s := range spots {
		for _, x := range h.intervals[s] {
			keys = append(keys, exposure.Key{PathID: h.ids[[2]string{s.workload, s.resource}], Type: s.typ, Ordinal: x.ordinal})
		}
	}
	return keys
}
