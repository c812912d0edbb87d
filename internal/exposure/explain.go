package exposure

import (
	"context"
	_ "embed"
	"regexp"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

//go:embed explain.sql
var explainSQL string

var explainQueries = db.Parse("exposure.explain", explainSQL)

// inserting is how a statement of assess.sql begins that fills a work table.
var inserting = regexp.MustCompile(`(?s)^.*?\bINSERT INTO \w+(?: \([^)]*\))?\s+`)

// asJudged is a statement that asks what statements of a judgement ask, so that
// an explanation cannot see other facts than the verdict did.
func asJudged(name string, takenIn ...string) db.Query {
	query := explainQueries.Get(name)
	for _, statement := range takenIn {
		body := assessQueries.Get(statement).SQL
		head := inserting.FindString(body)
		if head == "" {
			panic("the statement " + statement + " fills no table")
		}
		query = query.With(statement, body[len(head):])
	}
	return query
}

var (
	factsOfWorkloads  = asJudged("facts_of_workloads", "find_workload_facts")
	factsOfIdentities = asJudged("facts_of_identities", "find_growth", "find_identity_facts")
	factsOfPrivileges = asJudged("facts_of_privileges", "find_privileges")
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
	}
	return records
}

// Explanations say of exposures what their rules asked, and what was found. Of a
// resolved exposure it is what was found while it stood. Standings are those of
// StandingsByExposures.
func (*Reader) Explanations(ctx context.Context, snapshot *db.Snapshot, organization id.ID, standings []*Standing) (map[Key][]Asked, error) {
	type ground struct {
		Key
		WorkloadID, ResourceID id.ID
		IdentityID             *id.ID
		WorkloadSeen, SeenFrom time.Time
		DormantAfterDays       *int
		ProofGraceDays         *int
		PrivilegeWindowDays    *int
		SharedWorkloads        *int
	}
	keys, versions, byKey := make([]Key, len(standings)), make([]int, len(standings)), make(map[Key]*Standing, len(standings))
	for i, s := range standings {
		keys[i], versions[i], byKey[s.Key] = s.Key, s.SettingVersion, s
	}
	grounds, err := explainByKeys[ground](ctx, snapshot, organization, "grounds", keys, pgx.StrictNamedArgs{"settings": versions})
	if err != nil {
		return nil, err
	}
	q := snapshot.Of(organization) // explainByKeys asked whether the caller may
	settings, err := CurrentSettings(ctx, q)
	if err != nil {
		return nil, err
	}
	want := &wanted{window: settings.PrivilegeWindow}
	places := make(map[Key]place, len(grounds))
	for _, g := range grounds {
		p := place{path: g.PathID, workload: g.WorkloadID, identity: g.IdentityID, resource: g.ResourceID, workloadSeen: g.WorkloadSeen}
		places[g.Key] = p
		want.want(rule.Rule(g.Type), p)
	}
	shelf, err := want.fetch(ctx, q)
	if err != nil {
		return nil, err
	}
	explanations := make(map[Key][]Asked, len(grounds))
	for _, g := range grounds {
		s, r, p := byKey[g.Key], rule.Rule(g.Type), places[g.Key]
		f := rule.Facts{
			Settings: rule.Defaults(), Doubted: s.IndeterminateSince != nil, Sensitivity: s.Sensitivity, Actions: s.Actions, Identity: g.IdentityID, FirstSeen: g.SeenFrom,
		}
		if s.Evidence != nil {
			f.Evidence = *s.Evidence
		}
		if g.DormantAfterDays != nil {
			f.Settings = rule.Settings{
				Version: s.SettingVersion, DormantAfter: time.Duration(*g.DormantAfterDays) * Day, ProofGrace: time.Duration(*g.ProofGraceDays) * Day,
				PrivilegeWindow: time.Duration(*g.PrivilegeWindowDays) * Day, SharedWorkloads: *g.SharedWorkloads,
			}
		}
		current := s.WindowAt != nil
		if current {
			f.WindowAt = *s.WindowAt
			if r == rule.PrivilegeGap {
				f.Use = shelf.used(p, s.Actions, f.Settings, f.WindowAt)
			}
		}
		explanations[g.Key] = shelf.explained(r, p, f, current)
	}
	return explanations, nil
}

// explainByKeys is byKeys for a statement of explain.sql.
func explainByKeys[T any](ctx context.Context, snapshot *db.Snapshot, organization id.ID, query string, keys []Key, args pgx.StrictNamedArgs) ([]*T, error) {
	q, err := view(ctx, snapshot, organization)
	if err != nil {
		return nil, err
	}
	paths, types, ordinals := make([]id.ID, len(keys)), make([]rule.Type, len(keys)), make([]int, len(keys))
	for i, key := range keys {
		paths[i], types[i], ordinals[i] = key.PathID, key.Type, key.Ordinal
	}
	args["paths"], args["types"], args["ordinals"] = paths, types, ordinals
	return db.Select[T](ctx, q, explainQueries.Get(query), args)
}

// LatestByPaths gives the last interval of each type on each path, by type.
func (*Reader) LatestByPaths(ctx context.Context, snapshot *db.Snapshot, organization id.ID, paths []id.ID) ([]*Exposure, error) {
	q, err := view(ctx, snapshot, organization)
	if err != nil {
		return nil, err
	}
	return db.Select[Exposure](ctx, q, explainQueries.Get("latest_exposures"), pgx.StrictNamedArgs{"paths": paths})
}

// CarrierKey is a type of exposures on the paths of a workload.
type CarrierKey struct {
	Workload id.ID
	Type     rule.Type
}

// Carriers are the paths of a workload that carry an exposure of a type.
type Carriers struct {
	Open         int         // how many carry one that is open
	Acknowledged int         // or acknowledged
	Accepted     int         // or whose risk was accepted
	Exposures    []*Exposure // at most carriersShown, open ones first, those that somebody called false last
}

// carriersShown bounds the carriers that are named.
const carriersShown = 100

// CarriersOf gives those that there are.
func (*Reader) CarriersOf(ctx context.Context, snapshot *db.Snapshot, organization id.ID, keys []CarrierKey) (map[CarrierKey]*Carriers, error) {
	q, err := view(ctx, snapshot, organization)
	if err != nil {
		return nil, err
	}
	type row struct {
		Exposure
		OpenPaths, AcknowledgedPaths, AcceptedPaths int
	}
	workloads, types := make([]id.ID, len(keys)), make([]rule.Type, len(keys))
	for i, k := range keys {
		workloads[i], types[i] = k.Workload, k.Type
	}
	rows, err := db.Select[row](ctx, q, explainQueries.Get("carriers"), pgx.StrictNamedArgs{"workloads": workloads, "types": types, "limit": carriersShown})
	found := make(map[CarrierKey]*Carriers, len(keys))
	for _, r := range rows {
		k := CarrierKey{r.WorkloadID, r.Type}
		if found[k] == nil {
			found[k] = &Carriers{Open: r.OpenPaths, Acknowledged: r.AcknowledgedPaths, Accepted: r.AcceptedPaths}
		}
		found[k].Exposures = append(found[k].Exposures, &r.Exposure)
	}
	return found, err
}

// Verdict is what a rule says of a path now.
type Verdict struct {
	Rule     rule.Rule
	Disabled bool // the organization switched it off: it says nothing, and Outcome is Unknown
	Outcome  rule.Outcome
	Asked    []Asked
}

// Verdicts judge paths as they stand, by the facts that a judgement goes by and
// without writing anything down, and give what each rule says of each path, by
// rule. Paths that no longer stand, or are ineffective, are not judged.
func (*Reader) Verdicts(ctx context.Context, snapshot *db.Snapshot, organization id.ID, paths []id.ID) (map[id.ID][]*Verdict, error) {
	q, err := view(ctx, snapshot, organization)
	if err != nil {
		return nil, err
	}
	j := &inquest{q: q}
	if err := j.read(ctx, paths); err != nil {
		return nil, err
	}
	verdicts := make(map[id.ID][]*Verdict, len(j.paths))
	for _, p := range j.paths {
		verdicts[p.ID] = j.judge(p)
	}
	return verdicts, nil
}

// inquest judges without a judgement.
type inquest struct {
	q          db.Querier
	settings   rule.Settings
	paths      []*questioned
	workloads  map[id.ID]*workloadFact
	identities map[id.ID]*grownFact
	open       map[id.ID]map[rule.Rule]rule.Open
	privileges map[id.ID]rule.Privilege
	shelf      *shelf
}

// questioned is a path as the rules look at it.
type questioned struct {
	ID, WorkloadID, ResourceID id.ID
	IdentityID                 *id.ID
	Status                     authority.PathStatus
	Effective                  bool
	Sensitivity                authority.Sensitivity
	Actions                    []string
	WindowAt                   time.Time
	SeenFrom                   time.Time
	RouteUsed                  bool
}

func (p *questioned) place(w *workloadFact) place {
	at := place{path: p.ID, workload: p.WorkloadID, identity: p.IdentityID, resource: p.ResourceID}
	if w != nil {
		at.workloadSeen = w.FirstSeenAt
	}
	return at
}

// grownFact is what is known of an identity, and the resources that were added.
type grownFact struct {
	identityFact
	Grown []id.ID
}

func (j *inquest) read(ctx context.Context, paths []id.ID) (err error) {
	if j.settings, err = CurrentSettings(ctx, j.q); err != nil {
		return err
	}
	j.paths, err = db.Select[questioned](ctx, j.q, explainQueries.Get("paths_in_question"),
		pgx.StrictNamedArgs{"paths": paths, "nil": id.Nil, "dormant_after": j.settings.DormantAfter})
	if err != nil {
		return err
	}
	j.paths = slices.DeleteFunc(j.paths, func(p *questioned) bool { return p.Status != authority.PathActive || !p.Effective })
	var windowAt time.Time
	var standing, workloads, identities []id.ID
	want := &wanted{window: j.settings.PrivilegeWindow}
	for _, p := range j.paths {
		windowAt = p.WindowAt
		standing, workloads = append(standing, p.ID), append(workloads, p.WorkloadID)
		if p.IdentityID != nil {
			identities = append(identities, *p.IdentityID)
		}
		for _, d := range rule.Definitions {
			want.want(d.Rule, p.place(nil))
		}
	}
	if err := j.facts(ctx, windowAt, listed(standing), distinct(workloads), distinct(identities)); err != nil {
		return err
	}
	j.shelf, err = want.fetch(ctx, j.q)
	return err
}

func (j *inquest) facts(ctx context.Context, windowAt time.Time, paths, workloads, identities []id.ID) error {
	facts, err := db.Select[workloadFact](ctx, j.q, factsOfWorkloads, pgx.StrictNamedArgs{"subjects": workloads, "nil": id.Nil, "window_at": windowAt})
	if err != nil {
		return err
	}
	j.workloads = make(map[id.ID]*workloadFact, len(facts))
	for _, f := range facts {
		j.workloads[f.ID] = f
	}
	grown, err := db.Select[grownFact](ctx, j.q, factsOfIdentities, pgx.StrictNamedArgs{
		"subjects": identities, "nil": id.Nil, "window_at": windowAt, "dormant_before": windowAt.Add(-j.settings.DormantAfter)})
	if err != nil {
		return err
	}
	j.identities = make(map[id.ID]*grownFact, len(grown))
	for _, f := range grown {
		j.identities[f.ID] = f
	}
	type privilege struct {
		PathID id.ID
		rule.Privilege
	}
	privileges, err := db.Select[privilege](ctx, j.q, factsOfPrivileges, pgx.StrictNamedArgs{
		"paths": paths, "nil": id.Nil, "at": windowAt, "type": rule.ExcessPrivilege, "window_at": windowAt, "privilege_start": windowAt.Add(-j.settings.PrivilegeWindow)})
	if err != nil {
		return err
	}
	j.privileges = make(map[id.ID]rule.Privilege, len(privileges))
	for _, p := range privileges {
		j.privileges[p.PathID] = p.Privilege
	}
	type condition struct {
		SubjectID          id.ID
		Rule               rule.Rule
		RuleVersion        int
		Evidence           rule.Evidence
		IndeterminateSince *time.Time
	}
	conditions, err := db.Select[condition](ctx, j.q, explainQueries.Get("open_conditions"), pgx.StrictNamedArgs{"subjects": slices.Concat(workloads, identities)})
	j.open = map[id.ID]map[rule.Rule]rule.Open{}
	for _, c := range conditions {
		if j.open[c.SubjectID] == nil {
			j.open[c.SubjectID] = map[rule.Rule]rule.Open{}
		}
		j.open[c.SubjectID][c.Rule] = rule.Open{RuleVersion: c.RuleVersion, Evidence: c.Evidence}
	}
	return err
}

// judge gives the verdicts on a path, in the order of the rules.
func (j *inquest) judge(p *questioned) []*Verdict {
	facts := map[rule.Rule]rule.Facts{}
	outcomes := map[rule.Rule]rule.Outcome{}
	at := p.place(j.workloads[p.WorkloadID])
	if f := j.workloads[p.WorkloadID]; f != nil {
		w := f.workload()
		owned := false
		for _, v := range rule.JudgeWorkload(w, j.settings, p.WindowAt, j.open[p.WorkloadID]) {
			outcomes[v.Rule] = v.Outcome
			known := w.Facts(v.Rule, j.settings, p.WindowAt)
			if _, open := j.open[p.WorkloadID][v.Rule]; v.Rule < rule.OwnershipUnknown && (v.Outcome == rule.True || v.Outcome == rule.Unknown && open) {
				owned = true
			}
			known.Owned = owned && v.Rule == rule.OwnershipUnknown
			facts[v.Rule] = known
		}
	}
	if p.IdentityID != nil && j.identities[*p.IdentityID] != nil {
		f := j.identities[*p.IdentityID]
		i := f.identity()
		for _, v := range rule.JudgeIdentity(i, j.settings, p.WindowAt, j.open[*p.IdentityID]) {
			outcomes[v.Rule] = v.Outcome
			known := i.Facts(v.Rule, j.settings, p.WindowAt)
			known.RouteUsed = p.RouteUsed && v.Rule == rule.DormantAuthority
			known.NotAdded = v.Rule == rule.ScopeDrift && i.Scope.Grown() && !slices.Contains(f.Grown, p.ResourceID)
			facts[v.Rule] = known
		}
	}
	if !rule.Retired(rule.SensitiveDomain, j.settings) {
		facts[rule.SensitiveDomain] = rule.Facts{Settings: j.settings, WindowAt: p.WindowAt}
	}
	if privilege, ok := j.privileges[p.ID]; ok && !rule.Retired(rule.PrivilegeGap, j.settings) {
		facts[rule.PrivilegeGap] = privilege.Facts(j.settings, p.WindowAt)
	}
	verdicts := make([]*Verdict, 0, len(rule.Definitions))
	for _, d := range rule.Definitions {
		v := &Verdict{Rule: d.Rule, Disabled: rule.Retired(d.Rule, j.settings), Asked: []Asked{}}
		verdicts = append(verdicts, v)
		f, judged := facts[d.Rule]
		if v.Disabled {
			v.Outcome = rule.Unknown
		}
		if !judged {
			continue // switched off, or there is no identity to judge
		}
		f.Sensitivity, f.Actions, f.Identity, f.FirstSeen = p.Sensitivity, p.Actions, p.IdentityID, p.SeenFrom
		v.Asked = j.shelf.explained(d.Rule, at, f, true)
		predicates := make([]rule.Predicate, len(v.Asked))
		for i, a := range v.Asked {
			predicates[i] = a.Predicate
		}
		v.Outcome = rule.Holding(predicates)
		if of, subject := outcomes[d.Rule]; subject && of != rule.True {
			v.Outcome = of // what is not true of a workload or an identity is true of none of its paths
		}
	}
	return verdicts
}
