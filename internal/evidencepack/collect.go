package evidencepack

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// collection is the rows that a pack is made of.
type collection struct {
	organization id.ID
	subject      subject
	types        []rule.Type
	limits       limits

	head             *headRow
	paths            []*pathRow
	pathVersions     []*pathVersionRow
	exposures        []*exposureRow
	exposureVersions []*exposureVersionRow
	evidence         []*evidenceRow
	entities         []*entityRow
	surroundings
}

type (
	headRow struct {
		Slug                string
		At, WindowAt        *time.Time
		DormantAfterDays    int
		PrivilegeWindowDays int
		Sources             []sourceRow
	}
	sourceRow struct {
		ID                   id.ID
		Name, System, Format string
		Sync                 *id.ID
		At, ObservedAt       *time.Time
	}
	pathRow struct {
		ID, LineageID, WorkloadID id.ID
		IdentityID                *id.ID
		ResourceID                id.ID
		FirstSeenAt               time.Time
		LastSeenAt, RemovedAt     *time.Time
		pathState
	}
	pathVersionRow struct {
		ID   id.ID
		ToAt time.Time
		pathState
	}
	pathState struct {
		Status          authority.PathStatus
		Effective       bool
		RoleIDs         []id.ID `db:"role_ids"`
		Actions         []string
		AuthChainDepth  int
		CompositionHash []byte
		DataDomain      *string
		Sensitivity     authority.Sensitivity
		OwnershipStatus authority.OwnershipStatus
		EgressCategory  authority.EgressCategory
		Execution30d    *int64                    `db:"execution_30d"`
		ExecutionBasis  *authority.ExecutionBasis `db:"execution_basis"`
		Version         int
		FromAt          time.Time
		SyncVersion     int64
	}
	exposureRow struct {
		exposure.Key
		Severity           rule.Severity
		Factors            rule.Factors
		Explanation        string
		EvidenceDigest     id.ID
		Disposition        exposure.Disposition
		EffectiveFrom      time.Time
		EffectiveBasis     rule.Basis
		LineageFrom        time.Time
		IndeterminateSince *time.Time
		Version            int
		VersionFrom        time.Time
		FromAt             time.Time
		ToAt               *time.Time
		ResolutionReason   *rule.Reason

		RuleVersion                 *int
		ConditionSubject            *id.ID
		ConditionOrdinal            *int
		ConditionVersion            *int
		Evidence                    json.RawMessage
		ConditionIndeterminateSince *time.Time

		SettingVersion      int
		DormantAfterDays    *int
		ProofGraceDays      *int
		PrivilegeWindowDays *int
		SharedWorkloads     *int

		Actions     []string
		Sensitivity authority.Sensitivity

		BeforePath    *id.ID
		BeforeOrdinal *int
		AfterPath     *id.ID
		AfterOrdinal  *int
	}
	exposureVersionRow struct {
		exposure.Key
		Version            int
		FromAt, ToAt       time.Time
		Severity           rule.Severity
		Factors            rule.Factors
		Explanation        string
		EvidenceDigest     id.ID
		Disposition        exposure.Disposition
		IndeterminateSince *time.Time
	}
	evidenceRow struct {
		WorkloadID, IdentityID, ResourceID id.ID
		Action                             string
		Day                                time.Time
		Related                            bool
		SourceID                           id.ID
		Basis                              authority.ExecutionBasis
		Count                              int64
		LastAt                             *time.Time
	}
	entityRow struct {
		ID                 id.ID
		Kind               record.EntityKind
		System             string
		ExternalID         string
		Name               string
		Status             record.Status
		Environment        *string
		OwnerTeam          *string
		BusinessTier       *string
		ExecutionMode      *record.ExecutionMode
		ArtifactIdentifier *string
		SourceType         *string
		DataDomain         *string
		DataDomainStated   *string
		Sensitivity        authority.Sensitivity
		SensitivityStated  *string
		OwnerType          *record.OwnerType
		Title              *string
		LastActiveAt       *time.Time
		CreatedInSourceAt  *time.Time
		FirstSeenAt        time.Time
		RemovedAt          *time.Time
		Sources            []id.ID
		Bases              []record.Basis
	}
	conditionRow struct {
		SubjectID          id.ID           `json:"subject_id"`
		Rule               rule.Rule       `json:"rule"`
		Ordinal            int             `json:"ordinal"`
		RuleVersion        int             `json:"rule_version"`
		Explanation        string          `json:"explanation"`
		Evidence           json.RawMessage `json:"evidence"`
		EvidenceDigest     id.ID           `json:"evidence_digest"`
		EffectiveFrom      time.Time       `json:"effective_from"`
		EffectiveBasis     rule.Basis      `json:"effective_basis"`
		IndeterminateSince *time.Time      `json:"indeterminate_since"`
		Version            int             `json:"version"`
		VersionFrom        time.Time       `json:"version_from"`
		FromAt             time.Time       `json:"from_at"`
		ToAt               *time.Time      `json:"to_at"`
		ResolutionReason   *rule.Reason    `json:"resolution_reason"`
	}
	conditionVersionRow struct {
		SubjectID          id.ID           `json:"subject_id"`
		Rule               rule.Rule       `json:"rule"`
		Ordinal            int             `json:"ordinal"`
		RuleVersion        int             `json:"rule_version"`
		Explanation        string          `json:"explanation"`
		Evidence           json.RawMessage `json:"evidence"`
		EvidenceDigest     id.ID           `json:"evidence_digest"`
		IndeterminateSince *time.Time      `json:"indeterminate_since"`
		Version            int             `json:"version"`
		FromAt             time.Time       `json:"from_at"`
		ToAt               time.Time       `json:"to_at"`
	}
	coverageRow struct {
		claim coverage
		span  coverageSpan
	}
)

// surroundings are rows of many kinds. Most have the shape of the document
// already.
type surroundings struct {
	ties              []tie
	egresses          []egress
	coverages         []coverageRow
	conditions        []conditionRow
	conditionVersions []conditionVersionRow
	baselines         []baseline
	justifications    []justification
	rotations         []rotation
	successions       []succession
}

// collect reads the rows. Each statement is bounded by what a pack holds.
func (c *collection) collect(ctx context.Context, q db.Querier) (found bool, err error) {
	defaults := rule.Defaults()
	c.head, err = db.First[headRow](ctx, q, readQueries.Get("head"), pgx.StrictNamedArgs{
		"dormant": exposure.Days(defaults.DormantAfter), "privilege": exposure.Days(defaults.PrivilegeWindow)})
	if err != nil || c.head == nil {
		return false, err
	}
	one, all := id.Nil, id.Nil
	if c.subject.Path != nil {
		one = *c.subject.Path
	} else {
		all = *c.subject.Workload
	}
	c.paths, err = bounded[pathRow](ctx, q, c, "paths", c.limits.paths, "authority paths", pgx.StrictNamedArgs{"path": one, "workload": all})
	if err != nil || c.subject.Path != nil && len(c.paths) == 0 {
		return false, err
	}
	m := c.mention()
	c.exposures, err = bounded[exposureRow](ctx, q, c, "exposures", c.limits.exposures, "exposures",
		pgx.StrictNamedArgs{"paths": m.paths, "types": c.types, "of_identity": ofIdentity()})
	if err != nil || !c.covers() {
		return false, err
	}
	c.pathVersions, err = bounded[pathVersionRow](ctx, q, c, "path_versions", c.limits.records, "former versions of paths",
		pgx.StrictNamedArgs{"paths": m.paths})
	if err != nil {
		return false, err
	}
	c.exposureVersions, err = bounded[exposureVersionRow](ctx, q, c, "exposure_versions", c.limits.records, "former versions of exposures",
		pgx.StrictNamedArgs{"paths": m.paths, "types": c.types})
	if err != nil {
		return false, err
	}
	names := c.named()
	c.evidence, err = bounded[evidenceRow](ctx, q, c, "evidence", c.limits.evidence, "days of evidence",
		pgx.StrictNamedArgs{"workloads": names[0], "identities": names[1], "resources": names[2], "since": c.since()})
	if err != nil {
		return false, err
	}
	if err := c.surround(ctx, q, m); err != nil {
		return false, err
	}
	c.entities, err = db.Select[entityRow](ctx, q, readQueries.Get("entities"), pgx.StrictNamedArgs{"ids": c.everybody(m)})
	return c.lives(), err
}

// bounded runs a statement that may give more than a pack holds.
func bounded[T any](ctx context.Context, q db.Querier, c *collection, query string, limit int, what string, args pgx.StrictNamedArgs) ([]*T, error) {
	args["limit"] = limit + 1
	rows, err := db.Select[T](ctx, q, readQueries.Get(query), args)
	if err == nil && len(rows) > limit {
		return nil, c.tooLarge(limit, what)
	}
	return rows, err
}

func (c *collection) tooLarge(limit int, what string) error {
	narrower := "ask for the pack of one of its paths"
	switch c.subject.Kind {
	case "path":
		narrower = "ask for the pack of one of its exposures"
	case "exposure":
		narrower = "there is none that is narrower"
	}
	return problem.New(problem.Limit, "EVIDENCE_PACK_TOO_LARGE", "the evidence pack of this %s would hold more than %d %s, and a pack is never cut: %s",
		c.subject.Kind, limit, what, narrower)
}

// covers says whether the exposure that was asked for is among those found.
func (c *collection) covers() bool {
	if c.subject.Kind != "exposure" {
		return true
	}
	for _, x := range c.exposures {
		if x.Ordinal == c.subject.Ordinal {
			return true
		}
	}
	return false
}

// lives says whether the workload that was asked for is one.
func (c *collection) lives() bool {
	if c.subject.Workload == nil {
		return true
	}
	for _, e := range c.entities {
		if e.ID == *c.subject.Workload {
			return e.Kind == record.Workload
		}
	}
	return false
}

func ofIdentity() (types []rule.Type) {
	for _, d := range rule.Definitions {
		if d.Grain == rule.OfIdentity {
			types = append(types, d.Type)
		}
	}
	return types
}

// executionWindow is what a path's executions are counted in.
const executionWindow = 30 * exposure.Day

// since is the instant that the evidence of a pack begins at: where the longest
// window of its rules does.
func (c *collection) since() time.Time {
	if c.head.WindowAt == nil {
		return time.Time{}
	}
	longest := executionWindow
	for _, t := range c.types {
		switch t {
		case rule.DormantPath:
			longest = max(longest, time.Duration(c.head.DormantAfterDays)*exposure.Day)
		case rule.ExcessPrivilege:
			longest = max(longest, time.Duration(c.head.PrivilegeWindowDays)*exposure.Day)
		}
	}
	return c.head.WindowAt.Add(-longest)
}

// set collects ids, each once, in the order in which they came.
type set struct {
	has  map[id.ID]bool
	list []id.ID
}

func (s *set) add(ids ...id.ID) {
	if s.has == nil {
		s.has, s.list = map[id.ID]bool{}, []id.ID{}
	}
	for _, one := range ids {
		if one != id.Nil && !s.has[one] {
			s.has[one] = true
			s.list = append(s.list, one)
		}
	}
}

func (s *set) optional(one *id.ID) {
	if one != nil {
		s.add(*one)
	}
}

// mentioned are the ids that the paths name.
type mentioned struct {
	paths                                             []id.ID
	workloads, identities, resources, roles, declared set
	unbound                                           bool // of a path no identity is known
}

func (c *collection) mention() *mentioned {
	m := &mentioned{paths: []id.ID{}}
	for _, s := range []*set{&m.workloads, &m.identities, &m.resources, &m.roles, &m.declared} {
		s.add()
	}
	m.workloads.optional(c.subject.Workload)
	for _, p := range c.paths {
		m.paths = append(m.paths, p.ID)
		m.workloads.add(p.WorkloadID)
		m.identities.optional(p.IdentityID)
		m.resources.add(p.ResourceID)
		m.roles.add(p.RoleIDs...)
		if p.IdentityID == nil {
			m.unbound = true
			m.declared.add(p.ResourceID)
		}
	}
	return m
}

// triple is whom evidence names; who is not named is the nil id.
type triple struct{ workload, identity, resource id.ID }

// subjects are whom evidence of the path can name.
func (p *pathRow) subjects() []triple {
	list := []triple{{p.WorkloadID, id.Nil, id.Nil}, {p.WorkloadID, id.Nil, p.ResourceID}}
	if i := p.IdentityID; i != nil {
		list = append(list, triple{p.WorkloadID, *i, id.Nil}, triple{p.WorkloadID, *i, p.ResourceID},
			triple{id.Nil, *i, id.Nil}, triple{id.Nil, *i, p.ResourceID})
	}
	return list
}

// named are the triples of all paths and, for a workload without any, its own.
func (c *collection) named() [3][]id.ID {
	names, seen := [3][]id.ID{{}, {}, {}}, map[triple]bool{}
	add := func(k triple) {
		if !seen[k] {
			seen[k] = true
			names[0], names[1], names[2] = append(names[0], k.workload), append(names[1], k.identity), append(names[2], k.resource)
		}
	}
	if w := c.subject.Workload; w != nil {
		add(triple{workload: *w})
	}
	for _, p := range c.paths {
		for _, k := range p.subjects() {
			add(k)
		}
	}
	return names
}

// surround reads what is around the paths and sorts it out by kind.
func (c *collection) surround(ctx context.Context, q db.Querier, m *mentioned) error {
	type row struct {
		Kind string
		Row  json.RawMessage
	}
	rows, err := bounded[row](ctx, q, c, "surroundings", c.limits.records, "records around its paths", pgx.StrictNamedArgs{
		"workloads": m.workloads.list, "identities": m.identities.list, "resources": m.resources.list, "roles": m.roles.list,
		"declared": m.declared.list, "paths": m.paths, "types": c.types, "bound": c.subject.Workload != nil, "nil": id.Nil,
		"max_depth": authority.MaxAuthDepth})
	if err != nil {
		return err
	}
	s := &c.surroundings
	for _, r := range rows {
		switch r.Kind {
		case "tie":
			s.ties, err = add(s.ties, r.Row)
		case "egress":
			s.egresses, err = add(s.egresses, r.Row)
		case "coverage":
			var c coverageRow
			if err = json.Unmarshal(r.Row, &c.claim); err == nil {
				err = json.Unmarshal(r.Row, &c.span)
			}
			s.coverages = append(s.coverages, c)
		case "condition":
			s.conditions, err = add(s.conditions, r.Row)
		case "condition_version":
			s.conditionVersions, err = add(s.conditionVersions, r.Row)
		case "baseline":
			s.baselines, err = add(s.baselines, r.Row)
		case "justification":
			s.justifications, err = add(s.justifications, r.Row)
		case "rotation":
			s.rotations, err = add(s.rotations, r.Row)
		case "succession":
			s.successions, err = add(s.successions, r.Row)
		default:
			err = fmt.Errorf("a record of the kind %q", r.Kind)
		}
		if err != nil {
			return fmt.Errorf("read the surroundings of an evidence pack: %w", err)
		}
	}
	if c.subject.Workload == nil && !m.unbound {
		s.ties = routes(s.ties, m.identities.has)
	}
	return nil
}

func add[T any](rows []T, raw json.RawMessage) ([]T, error) {
	var row T
	err := json.Unmarshal(raw, &row)
	return append(rows, row), err
}

// routes leaves out the bindings of the workload that lead to none of the
// identities: what becomes of them is nothing to the path.
func routes(ties []tie, identities map[id.ID]bool) []tie {
	leads := map[id.ID]bool{}
	for identity := range identities {
		leads[identity] = true
	}
	binds := func(t tie) bool { return t.Kind == record.RunsAs || t.Kind == record.Authenticates }
	for grown := true; grown; {
		grown = false
		for _, t := range ties {
			if binds(t) && leads[t.To] && !leads[t.From] {
				leads[t.From], grown = true, true
			}
		}
	}
	var kept []tie
	for _, t := range ties {
		if !binds(t) || leads[t.To] {
			kept = append(kept, t)
		}
	}
	return kept
}

// everybody is every entity that the document names.
func (c *collection) everybody(m *mentioned) []id.ID {
	var all set
	for _, s := range []*set{&m.workloads, &m.identities, &m.resources, &m.roles} {
		all.add(s.list...)
	}
	for _, v := range c.pathVersions {
		all.add(v.RoleIDs...)
	}
	for _, t := range c.ties {
		all.add(t.From, t.To)
	}
	for _, x := range c.conditions {
		all.add(x.SubjectID)
	}
	for _, r := range c.rotations {
		all.add(r.From, r.To)
	}
	for _, b := range c.baselines {
		all.add(b.Identity)
	}
	return all.list
}
