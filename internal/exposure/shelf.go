package exposure

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// Asked is a predicate with what it rests on.
type Asked struct {
	rule.Predicate
	Coverage *Covered // of the kind of evidence that it rests on; nil: it rests on none, or nobody knows any more
	Records  []Record
}

// Covered says how completely a kind of evidence is known, and for when: as the
// source says that counts, which is the one that looked best.
type Covered struct {
	Kind     record.EvidenceKind
	State    rule.Coverage
	Since    *time.Time // nil: from the beginning, or nobody said
	Until    *time.Time // nil: up to the last look
	LookedAt *time.Time // nil: nobody looks
}

// Record is something on record that an explanation refers to.
type Record struct {
	Kind RecordKind
	ID   id.ID
}

// RecordKind says what a record is.
type RecordKind string

// The kinds of records. Those after RecordPath have no node; their ids are made
// here.
const (
	RecordWorkload      RecordKind = "workload"
	RecordIdentity      RecordKind = "identity"
	RecordResource      RecordKind = "resource"
	RecordOwner         RecordKind = "owner"
	RecordPath          RecordKind = "path"
	RecordTie           RecordKind = "tie"           // what ties two entities: kind, from, to
	RecordEgress        RecordKind = "egress"        // a host that a workload sends data to: workload, host
	RecordLink          RecordKind = "link"          // what leads to a workload from outside: workload, value of the asset
	RecordExecution     RecordKind = "execution"     // a day of evidence: whom it names, action, day, related, source
	RecordCoverage      RecordKind = "coverage"      // what a source claims to have looked at: source, kind, entity
	RecordBaseline      RecordKind = "baseline"      // identity, instant
	RecordJustification RecordKind = "justification" // path, instant
)

func tie(kind record.EdgeKind, from, to id.ID) Record {
	return Record{RecordTie, id.New("record/tie/1").Text(string(kind)).ID(from).ID(to).Short()}
}

func egressTo(workload id.ID, host string) Record {
	return Record{RecordEgress, id.New("record/egress/1").ID(workload).Text(host).Short()}
}

func linkTo(workload id.ID, asset string) Record {
	return Record{RecordLink, id.New("record/link/1").ID(workload).Text(asset).Short()}
}

func baselineAt(identity id.ID, at time.Time) Record {
	return Record{RecordBaseline, id.New("record/baseline/1").ID(identity).Text(instantText(at)).Short()}
}

func excuse(path id.ID, at time.Time) Record {
	return Record{RecordJustification, id.New("record/justification/1").ID(path).Text(instantText(at)).Short()}
}

func instantText(at time.Time) string { return at.UTC().Format(time.RFC3339Nano) }

// evidenceKey names a row of evidence.
type evidenceKey struct {
	WorkloadID, IdentityID, ResourceID id.ID
	Action                             string
	Day                                time.Time
	Related                            bool
	SourceID                           id.ID
}

func (e *evidenceKey) record() Record {
	related := "direct"
	if e.Related {
		related = "related"
	}
	return Record{RecordExecution, id.New("record/execution/1").ID(e.WorkloadID).ID(e.IdentityID).ID(e.ResourceID).Text(e.Action).
		Text(e.Day.UTC().Format(time.DateOnly)).Text(related).ID(e.SourceID).Short()}
}

// claim is what a source says it looked at.
type claim struct {
	EntityID id.ID
	Kind     record.EvidenceKind
	SourceID id.ID
	Complete bool
	FromAt   *time.Time
	ToAt     *time.Time
	LookedAt *time.Time
	MaxAge   *int64 // seconds
}

func (c *claim) record() Record {
	return Record{RecordCoverage, id.New("record/coverage/1").ID(c.SourceID).Text(string(c.Kind)).ID(c.EntityID).Short()}
}

// state is how good the claim is for somebody who needs it from an instant on;
// zero: from the beginning of what is asked.
func (c *claim) state(from, windowAt time.Time) rule.Coverage {
	switch execution := c.Kind == record.Execution; {
	case !c.Complete:
		return rule.Incomplete
	case execution && c.ToAt != nil && c.ToAt.Before(windowAt.Add(-Day)), execution && c.FromAt != nil && c.FromAt.After(from):
		return rule.Incomplete
	case c.MaxAge != nil && c.LookedAt != nil && c.LookedAt.Add(time.Duration(*c.MaxAge)*time.Second).Before(windowAt):
		return rule.Expired
	}
	return rule.Complete
}

// place is around whom an exposure or a question stands.
type place struct {
	path, workload, resource id.ID
	identity                 *id.ID
	workloadSeen             time.Time
}

// coverer is whom the coverage of a kind is asked of, for a rule; the nil id: of
// several at once.
func (p place) coverer(r rule.Rule, kind record.EvidenceKind) id.ID {
	if rule.Define(r).Grain != rule.OfIdentity {
		return p.workload
	}
	if kind == record.Ownership || p.identity == nil {
		return id.Nil
	}
	return *p.identity
}

// watchedFrom is since when an execution had to be watched for a rule.
func (p place) watchedFrom(r rule.Rule, s rule.Settings, windowAt time.Time) time.Time {
	switch r {
	case rule.DormantAuthority:
		return windowAt.Add(-s.DormantAfter)
	case rule.PrivilegeGap:
		return windowAt.Add(-s.PrivilegeWindow)
	}
	return p.workloadSeen
}

// shelf holds the records that explanations refer to.
type shelf struct {
	claims  map[claimKey][]*claim
	ties    map[id.ID][]Record
	acts    map[id.ID]Record
	uses    map[id.ID][]*use
	excuses map[id.ID]*excused
}

type claimKey struct {
	entity id.ID
	kind   record.EvidenceKind
}

type use struct {
	PathID id.ID
	evidenceKey
}

type excused struct {
	PathID  id.ID
	FromAt  time.Time
	Actions []string
}

// tiesShown bounds the ties that are named of one subject.
const tiesShown = 100

// wanted are the records that are to be read.
type wanted struct {
	entities                              []id.ID
	kinds                                 []string
	asked                                 map[claimKey]bool
	boundOf, sharedBy, actors, privileged []id.ID
	window                                time.Duration
}

func (w *wanted) want(r rule.Rule, p place) {
	if w.asked == nil {
		w.asked = map[claimKey]bool{}
	}
	for _, kind := range restsOn[r] {
		entity := p.coverer(r, kind)
		if k := (claimKey{entity, kind}); entity != id.Nil && !w.asked[k] {
			w.asked[k] = true
			w.entities, w.kinds = append(w.entities, entity), append(w.kinds, string(kind))
		}
	}
	switch {
	case r == rule.UnknownBinding:
		w.boundOf = append(w.boundOf, p.workload)
	case r == rule.IdentityReuse && p.identity != nil:
		w.sharedBy = append(w.sharedBy, *p.identity)
	case r == rule.DormantAuthority && p.identity != nil:
		w.actors = append(w.actors, *p.identity)
	case r == rule.PrivilegeGap:
		w.privileged = append(w.privileged, p.path)
	}
}

// restsOn are the kinds of evidence that a rule asks about.
var restsOn = map[rule.Rule][]record.EvidenceKind{
	rule.OrphanedOwnership: {record.Ownership}, rule.OwnershipDegraded: {record.Ownership}, rule.OwnershipAmbiguous: {record.Ownership},
	rule.OwnershipUnknown: {record.Ownership}, rule.DormantAuthority: {record.Execution}, rule.UnknownBinding: {record.Binding},
	rule.UnprovenExecution: {record.Execution}, rule.ScopeDrift: {record.Roles}, rule.PrivilegeGap: {record.Execution},
	rule.ExternalEgress: {record.EgressObs}, rule.LLMEgress: {record.EgressObs}, rule.IdentityReuse: {record.Binding, record.Ownership},
}

// fetch reads what is wanted: a fixed number of statements, however much it is.
func (w *wanted) fetch(ctx context.Context, q db.Querier) (*shelf, error) {
	s := &shelf{claims: map[claimKey][]*claim{}, ties: map[id.ID][]Record{}, acts: map[id.ID]Record{}, uses: map[id.ID][]*use{}, excuses: map[id.ID]*excused{}}
	claims, err := db.Select[claim](ctx, q, explainQueries.Get("claims"), pgx.StrictNamedArgs{"entities": listed(w.entities), "kinds": listed(w.kinds), "nil": id.Nil})
	if err != nil {
		return nil, err
	}
	for _, c := range claims {
		k := claimKey{c.EntityID, c.Kind}
		s.claims[k] = append(s.claims[k], c)
	}
	type bound struct {
		SubjectID    id.ID
		Kind         record.EdgeKind
		FromID, ToID id.ID
	}
	ties, err := db.Select[bound](ctx, q, explainQueries.Get("ties"),
		pgx.StrictNamedArgs{"workloads": distinct(w.boundOf), "identities": distinct(w.sharedBy), "limit": tiesShown})
	if err != nil {
		return nil, err
	}
	for _, b := range ties {
		s.ties[b.SubjectID] = append(s.ties[b.SubjectID], tie(b.Kind, b.FromID, b.ToID))
	}
	acts, err := db.Select[evidenceKey](ctx, q, explainQueries.Get("acts"), pgx.StrictNamedArgs{"identities": distinct(w.actors)})
	if err != nil {
		return nil, err
	}
	for _, e := range acts {
		s.acts[e.IdentityID] = e.record()
	}
	uses, err := db.Select[use](ctx, q, explainQueries.Get("uses"), pgx.StrictNamedArgs{"paths": distinct(w.privileged), "window": w.window, "nil": id.Nil})
	if err != nil {
		return nil, err
	}
	for _, u := range uses {
		s.uses[u.PathID] = append(s.uses[u.PathID], u)
	}
	excuses, err := db.Select[excused](ctx, q, explainQueries.Get("excuses"), pgx.StrictNamedArgs{"paths": distinct(w.privileged)})
	for _, e := range excuses {
		s.excuses[e.PathID] = e
	}
	return s, err
}

func distinct(ids []id.ID) []id.ID {
	seen, list := map[id.ID]bool{}, []id.ID{}
	for _, one := range ids {
		if !seen[one] {
			seen[one] = true
			list = append(list, one)
		}
	}
	return list
}

func listed[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// best is the claim that counts, of those on a kind of evidence.
func (s *shelf) best(p place, r rule.Rule, kind record.EvidenceKind, from, windowAt time.Time) (*claim, rule.Coverage) {
	var best *claim
	state := rule.NotCollected
	for _, c := range s.claims[claimKey{p.coverer(r, kind), kind}] {
		if is := c.state(from, windowAt); best == nil || is > state {
			best, state = c, is
		}
	}
	return best, state
}

// used is how a path was used in its window, as far as the shelf says.
func (s *shelf) used(p place, granted []string, settings rule.Settings, windowAt time.Time) *rule.Use {
	u := &rule.Use{Used: []string{}, Justified: []string{}}
	_, u.Execution = s.best(p, rule.PrivilegeGap, record.Execution, p.watchedFrom(rule.PrivilegeGap, settings, windowAt), windowAt)
	for _, e := range s.uses[p.path] {
		if e.Action == "" {
			u.Opaque = true
		} else {
			u.Used = append(u.Used, e.Action)
		}
	}
	slices.Sort(u.Used)
	if e := s.excuses[p.path]; e != nil {
		for _, action := range granted {
			if slices.Contains(e.Actions, action) {
				u.Justified = append(u.Justified, action)
			}
		}
	}
	return u
}

// explained puts what a rule asked together with what it rests on. Current says
// that what is claimed now is what the rule saw, or would see.
func (s *shelf) explained(r rule.Rule, p place, f rule.Facts, current bool) []Asked {
	predicates := rule.Predicates(r, f)
	asked := make([]Asked, len(predicates))
	for i, predicate := range predicates {
		asked[i] = Asked{Predicate: predicate, Records: s.records(r, predicate.Name, p, f)}
		kind := predicate.Rests
		if kind == "" {
			continue
		}
		seen, told := f.Evidence.Completeness[string(kind)]
		covered := &Covered{Kind: kind, State: rule.CoverageOf(seen)}
		if current && p.coverer(r, kind) != id.Nil {
			best, state := s.best(p, r, kind, p.watchedFrom(r, f.Settings, f.WindowAt), f.WindowAt)
			if !told || f.Doubted {
				covered.State = state
			}
			told = true
			if best != nil {
				covered.Since, covered.Until, covered.LookedAt = best.FromAt, best.ToAt, best.LookedAt
				asked[i].Records = append(asked[i].Records, best.record())
			}
		}
		if told {
			asked[i].Coverage = covered
		}
	}
	return asked
}

// records are what a predicate refers to.
func (s *shelf) records(r rule.Rule, name string, p place, f rule.Facts) []Record {
	workload, path := Record{RecordWorkload, p.workload}, Record{RecordPath, p.path}
	records := []Record{workload}
	identity := id.Nil
	if p.identity != nil {
		identity = *p.identity
	}
	if rule.Define(r).Grain == rule.OfIdentity {
		records = []Record{{RecordIdentity, identity}}
	}
	switch name {
	case "active_owners", "active_individual_owners", "active_group_owners", "inactive_owners":
		for _, o := range f.Evidence.Owners {
			records = append(records, Record{RecordOwner, o.ID}, tie(record.OwnedBy, p.workload, o.ID))
		}
	case "identity_last_active_at":
		if act, ok := s.acts[identity]; ok && f.Evidence.LastActiveAt != nil {
			records = append(records, act)
		}
	case "path_first_seen_at", "granted_actions_that_change_something", "path_added":
		records = []Record{path}
	case "route_used":
		records = []Record{path, workload}
	case "sensitivity":
		records = []Record{path, {RecordResource, p.resource}}
	case "identity_of_path":
		records = []Record{path}
		if p.identity != nil {
			records = append(records, Record{RecordIdentity, identity})
		}
	case "unresolved_bindings", "bound_identities":
		records = append(records, s.ties[p.workload]...)
	case "workloads", "owner_sets":
		records = append(records, s.ties[identity]...)
	case "baseline_at", "roles_added", "actions_added", "destinations_added":
		if at := f.Evidence.BaselineAt; at != nil {
			records = append(records, baselineAt(identity, *at))
		}
	case "used_actions", "unused_unjustified_actions":
		records = []Record{path}
		for _, u := range s.uses[p.path] {
			records = append(records, u.record())
		}
	case "justified_actions":
		records = []Record{path}
		if e := s.excuses[p.path]; e != nil {
			records = append(records, excuse(e.PathID, e.FromAt))
		}
	case "external_hosts", "language_model_hosts":
		for _, host := range f.Evidence.Hosts {
			records = append(records, egressTo(p.workload, host))
		}
	case "reachable_assets":
		for _, asset := range f.Evidence.Assets {
			records = append(records, linkTo(p.workload, asset))
		}
	}
	return records
}
