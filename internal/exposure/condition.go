package exposure

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// factBatch bounds the subjects that are held in memory.
const factBatch = 4096

// changes collects what verdicts do to conditions.
type changes struct {
	*judgement
	versions map[rule.Rule]int
	rows     db.Rows
	count    map[string]int
}

func newChanges(j *judgement) *changes {
	c := &changes{judgement: j, versions: map[rule.Rule]int{}, count: map[string]int{}}
	for _, d := range j.rules {
		c.versions[d.Rule] = d.Version
	}
	return c
}

func (c *changes) total() (n int) {
	for _, count := range c.count {
		n += count
	}
	return n
}

// workloads judges the workloads.
func (c *changes) workloads(ctx context.Context) error {
	return each(ctx, c, "workload_facts", func(f *workloadFact) error {
		open, err := recall(f.Open)
		if err != nil {
			return err
		}
		if f.Removed {
			c.closeAll(f.ID, open, rule.WorkloadRemoved)
			return nil
		}
		c.decide(f.ID, f.Class, open, rule.JudgeWorkload(f.workload(), c.settings, c.WindowAt, recalled(open)))
		return nil
	})
}

// identities judges the identities. What is judged of one belongs to no class:
// it is seen through a path that is.
func (c *changes) identities(ctx context.Context) error {
	return each(ctx, c, "identity_facts", func(f *identityFact) error {
		open, err := recall(f.Open)
		if err != nil {
			return err
		}
		if f.Removed {
			c.closeAll(f.ID, open, rule.IdentityRemoved)
			return nil
		}
		c.decide(f.ID, 0, open, rule.JudgeIdentity(f.identity(), c.settings, c.WindowAt, recalled(open)))
		return nil
	})
}

// each reads facts batch by batch, judges them and stores what changes.
func each[F any](ctx context.Context, c *changes, name string, judge func(*F) error) error {
	for after := 0; ; after += factBatch {
		facts, err := db.Select[F](ctx, c.tx.Local(), assessQueries.Get(name), pgx.StrictNamedArgs{"after": after, "size": factBatch})
		if err != nil || len(facts) == 0 {
			return err
		}
		for _, fact := range facts {
			if err := judge(fact); err != nil {
				return err
			}
		}
		if err := c.flush(ctx); err != nil || len(facts) < factBatch {
			return err
		}
	}
}

func (c *changes) flush(ctx context.Context) error {
	_, err := c.tx.CopyRows(ctx, "condition_change", conditionColumns, &c.rows)
	return err
}

// standing is an open condition as the database has it.
type standing struct {
	Rule            rule.Rule
	RuleVersion     int
	Class           int
	Explanation     string
	PathExplanation *string
	Evidence        json.RawMessage
	Digest          id.ID
	Doubted         bool
	decoded         rule.Evidence
}

func recall(open json.RawMessage) (map[rule.Rule]*standing, error) {
	if len(open) == 0 {
		return nil, nil
	}
	var list []*standing
	if err := json.Unmarshal(open, &list); err != nil {
		return nil, err
	}
	byRule := make(map[rule.Rule]*standing, len(list))
	for _, s := range list {
		if err := json.Unmarshal(s.Evidence, &s.decoded); err != nil {
			return nil, err
		}
		byRule[s.Rule] = s
	}
	return byRule, nil
}

func recalled(open map[rule.Rule]*standing) map[rule.Rule]rule.Open {
	known := make(map[rule.Rule]rule.Open, len(open))
	for r, s := range open {
		known[r] = rule.Open{RuleVersion: s.RuleVersion, Evidence: s.decoded}
	}
	return known
}

func (c *changes) closeAll(subject id.ID, open map[rule.Rule]*standing, reason rule.Reason) {
	for r, s := range open {
		c.close(subject, r, s, reason)
	}
}

func (c *changes) close(subject id.ID, r rule.Rule, s *standing, reason rule.Reason) {
	c.add("close", subject, r, s.RuleVersion, s.Class, nil, nil, nil, nil, nil, nil, string(reason))
}

// conditionColumns are those of the table of changes: the five that each change has,
// and what is said where a condition opens, changes or closes.
var conditionColumns = []string{
	"op", "subject_id", "rule", "rule_version", "class",
	"explanation", "path_explanation", "evidence", "evidence_digest", "effective_from", "effective_basis", "reason"}

func (c *changes) add(op string, subject id.ID, r rule.Rule, version, class int, said ...any) {
	c.count[op]++
	c.rows.Begin(len(conditionColumns))
	c.rows.Put(op, subject, int16(r), int32(version), int32(class)) //nolint:gosec // both are small
	c.rows.Put(said...)
}

// decide brings the conditions of a subject up to the verdicts.
func (c *changes) decide(subject id.ID, class int, open map[rule.Rule]*standing, verdicts []rule.Verdict) {
	for r, s := range open {
		if rule.Retired(r, c.settings) {
			c.close(subject, r, s, rule.RuleRetired)
		}
	}
	for _, v := range verdicts {
		var was *rule.Open
		s := open[v.Rule]
		if s != nil {
			was = &rule.Open{RuleVersion: s.RuleVersion, Evidence: s.decoded}
		}
		change := rule.Decide(was, v, c.versions[v.Rule])
		switch change.Kind {
		case rule.ChangeOpen:
			c.put("open", subject, class, v)
		case rule.ChangeUpdate, rule.ChangeKeep:
			if s.differs(class, c.versions[v.Rule], v) {
				c.put("update", subject, class, v)
			}
		case rule.ChangeDoubt:
			if !s.Doubted || s.Class != class {
				c.add("doubt", subject, v.Rule, s.RuleVersion, class, nil, nil, nil, nil, nil, nil, nil)
			}
		case rule.ChangeClose:
			c.close(subject, v.Rule, s, change.Reason)
		case rule.ChangeNone:
		}
	}
}

func (c *changes) put(op string, subject id.ID, class int, v rule.Verdict) {
	c.add(op, subject, v.Rule, c.versions[v.Rule], class, v.Explanation, unlessEmpty(v.PathExplanation), json.RawMessage(v.Evidence.JSON()), v.EvidenceDigest,
		moment(v.EffectiveFrom), string(v.Basis), nil)
}

// differs says whether a verdict says something else than what stands.
func (s *standing) differs(class, version int, v rule.Verdict) bool {
	var path string
	if s.PathExplanation != nil {
		path = *s.PathExplanation
	}
	return s.Doubted || s.Class != class || s.RuleVersion != version || s.Explanation != v.Explanation || path != v.PathExplanation ||
		s.Digest != v.EvidenceDigest || !bytes.Equal(s.decoded.JSON(), v.Evidence.JSON())
}

func unlessEmpty(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func moment(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t
}

// workloadFact is a row of workload_facts.
type workloadFact struct {
	ID              id.ID
	Name            string
	Removed         bool
	Class           int
	FirstSeenAt     time.Time
	Ownership       rule.Coverage
	Binding         rule.Coverage
	Execution       rule.Coverage
	Egress          rule.Coverage
	OwnerIDs        []id.ID `db:"owner_ids"`
	OwnerNames      []string
	OwnerGroups     []bool
	OwnerActives    []bool
	OwnerLastActive []*time.Time
	Bound           int
	Unresolved      int
	Unbound         int
	LastExecuted    *time.Time
	HostNames       []string
	HostCategories  []string
	AssetNames      []string
	AssetsGone      []string
	Open            json.RawMessage
}

func (f *workloadFact) workload() rule.Workload {
	w := rule.Workload{
		ID: f.ID, Name: f.Name, Removed: f.Removed, FirstSeen: f.FirstSeenAt.UTC(), Ownership: f.Ownership, Binding: f.Binding, Execution: f.Execution,
		Egress: f.Egress, Bound: f.Bound, Unresolved: f.Unresolved, Unbound: f.Unbound, LastExecuted: stated(f.LastExecuted),
		Assets: f.AssetNames, AssetsGone: f.AssetsGone,
	}
	for i, owner := range f.OwnerIDs {
		w.Owners = append(w.Owners, rule.Owner{
			ID: owner, Name: f.OwnerNames[i], Group: f.OwnerGroups[i], Active: f.OwnerActives[i], LastActive: stated(f.OwnerLastActive[i])})
	}
	for i, host := range f.HostNames {
		w.Hosts = append(w.Hosts, rule.Host{Name: host, Category: authority.EgressCategory(f.HostCategories[i])})
	}
	return w
}

func stated(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// identityFact is a row of identity_facts.
type identityFact struct {
	ID           id.ID
	Name         string
	Removed      bool
	Disabled     bool
	FirstSeenAt  time.Time
	Execution    rule.Coverage
	Roles        rule.Coverage
	Binding      rule.Coverage
	Ownership    rule.Coverage
	LastActiveAt *time.Time
	BaselineAt   *time.Time
	Attested     bool
	RolesThen    int
	RolesNow     int
	RolesAdded   []string
	ActionsAdded []string
	Newly        int
	Workloads    int
	OwnerSets    int
	Owners       int
	Open         json.RawMessage
}

func (f *identityFact) identity() rule.Identity {
	i := rule.Identity{
		ID: f.ID, Name: f.Name, Removed: f.Removed, Disabled: f.Disabled, FirstSeen: f.FirstSeenAt.UTC(), Execution: f.Execution, Roles: f.Roles,
		Binding: f.Binding, Ownership: f.Ownership, LastActive: stated(f.LastActiveAt), Workloads: f.Workloads, OwnerSets: f.OwnerSets, Owners: f.Owners,
	}
	if f.BaselineAt != nil {
		i.Scope = &rule.Scope{
			BaselineAt: f.BaselineAt.UTC(), Attested: f.Attested, RolesThen: f.RolesThen, RolesNow: f.RolesNow,
			RolesAdded: f.RolesAdded, ActionsAdded: f.ActionsAdded, Newly: f.Newly,
		}
	}
	return i
}
