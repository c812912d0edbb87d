package exposure

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

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
	q, err := access.Reader(ctx, snapshot, organization, access.View)
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
