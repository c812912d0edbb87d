package evidencepack

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/canonical"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
)

// compose makes the document of the rows. It sorts every list by what its
// elements are, so that the order in which they were read says nothing.
func (c *collection) compose() document {
	d := document{
		Format:       Format,
		Organization: organization{ID: c.organization, Slug: c.head.Slug},
		Subject:      c.subject,
		AsOf:         asOf{At: instant(c.head.At), WindowEnd: instant(c.head.WindowAt)},
		State: state{
			Entities: mapped(c.entities, entityOf), Paths: c.composePaths(), Exposures: c.composeExposures(), Conditions: c.composeConditions(),
			Ties: list(c.ties), Egress: list(c.egresses), Evidence: c.composeEvidence(), Baselines: list(c.baselines),
			Justifications: list(c.justifications), Rotations: list(c.rotations), Successions: list(c.successions),
		},
	}
	slices.SortFunc(d.State.Ties, func(a, b tie) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), compare(a.From, b.From), compare(a.To, b.To), cmp.Compare(a.Scope, b.Scope), compare(a.Source, b.Source))
	})
	for i := range d.State.Ties {
		d.State.Ties[i].Actions = list(d.State.Ties[i].Actions)
	}
	slices.SortFunc(d.State.Egress, func(a, b egress) int {
		return cmp.Or(compare(a.Workload, b.Workload), cmp.Compare(a.Host, b.Host), compare(a.Source, b.Source))
	})
	slices.SortFunc(d.State.Baselines, func(a, b baseline) int { return cmp.Or(compare(a.Identity, b.Identity), a.At.Compare(b.At.Time)) })
	slices.SortFunc(d.State.Justifications, func(a, b justification) int { return cmp.Or(compare(a.Path, b.Path), a.From.Compare(b.From.Time)) })
	slices.SortFunc(d.State.Rotations, func(a, b rotation) int { return cmp.Or(a.At.Compare(b.At.Time), compare(a.Workload, b.Workload)) })
	slices.SortFunc(d.State.Successions, func(a, b succession) int {
		return cmp.Or(a.At.Compare(b.At.Time), compare(a.Successor, b.Successor), compare(a.Predecessor, b.Predecessor))
	})
	d.AsOf.LastSeen = c.composeLastSeen()
	d.State.Coverage, d.AsOf.Coverage = c.composeCoverage()
	d.State.Sources, d.AsOf.Sources = c.composeSources()
	return d
}

func compare(a, b id.ID) int { return bytes.Compare(a[:], b[:]) }

func mapped[T, R any](rows []*T, one func(*T) R) []R {
	all := make([]R, len(rows))
	for i, row := range rows {
		all[i] = one(row)
	}
	return all
}

func entityOf(e *entityRow) entity {
	out := entity{
		ID: e.ID, Kind: e.Kind, System: e.System, SourceID: e.ExternalID, Name: e.Name, Status: e.Status, Environment: e.Environment,
		OwnerTeam: e.OwnerTeam, BusinessTier: e.BusinessTier, ExecutionMode: e.ExecutionMode, ArtifactIdentifier: e.ArtifactIdentifier,
		SourceType: e.SourceType, DataDomain: e.DataDomain, DataDomainStated: e.DataDomainStated, SensitivityStated: e.SensitivityStated,
		OwnerType: e.OwnerType, Title: e.Title, LastActiveAt: instant(e.LastActiveAt), CreatedInSourceAt: instant(e.CreatedInSourceAt),
		FirstSeenAt: moment{e.FirstSeenAt}, RemovedAt: instant(e.RemovedAt), AssertedBy: []voice{},
	}
	if e.Kind == record.Resource {
		out.Sensitivity = sensitivityWords[e.Sensitivity]
	}
	for i, source := range e.Sources {
		out.AssertedBy = append(out.AssertedBy, voice{Source: source, Basis: basisWords[e.Bases[i]]})
	}
	return out
}

func (c *collection) composePaths() []path {
	former := map[id.ID][]pathVersion{}
	for _, v := range c.pathVersions {
		version := v.version()
		version.To = instant(&v.ToAt)
		former[v.ID] = append(former[v.ID], version)
	}
	return mapped(c.paths, func(p *pathRow) path {
		return path{
			ID: p.ID, Lineage: p.LineageID, Workload: p.WorkloadID, Identity: p.IdentityID, Resource: p.ResourceID,
			FirstSeenAt: moment{p.FirstSeenAt}, RemovedAt: instant(p.RemovedAt), pathVersion: p.version(), Former: list(former[p.ID]),
		}
	})
}

func (s *pathState) version() pathVersion {
	v := pathVersion{
		Version: s.Version, From: moment{s.FromAt}, SyncVersion: canonical.Integer(s.SyncVersion), Status: s.Status, Effective: s.Effective,
		Roles: list(s.RoleIDs), Actions: list(s.Actions), AuthChainDepth: s.AuthChainDepth, CompositionHash: hex.EncodeToString(s.CompositionHash),
		DataDomain: s.DataDomain, Sensitivity: sensitivityWords[s.Sensitivity], Ownership: s.OwnershipStatus, Egress: s.EgressCategory,
		Execution: execution{Basis: s.ExecutionBasis},
	}
	if s.Execution30d != nil {
		count := canonical.Integer(*s.Execution30d)
		v.Execution.Count = &count
	}
	return v
}

// composeLastSeen dates each path as authority does.
func (c *collection) composeLastSeen() []lastSeen {
	complete := map[id.ID]*time.Time{}
	for _, s := range c.head.Sources {
		complete[s.ID] = s.At
	}
	confirmed := map[id.ID]*time.Time{}
	for _, e := range c.entities {
		for _, source := range e.Sources {
			if at := complete[source]; at != nil && (confirmed[e.ID] == nil || at.After(*confirmed[e.ID])) {
				confirmed[e.ID] = at
			}
		}
	}
	return mapped(c.paths, func(p *pathRow) lastSeen {
		dated := authority.Path{LastSeenAt: p.LastSeenAt, State: authority.State{FromAt: p.FromAt}}
		return lastSeen{Path: p.ID, At: moment{dated.SeenLast(confirmed[p.WorkloadID])}}
	})
}

func (c *collection) composeExposures() []exposed {
	former := map[exposure.Key][]exposureVersion{}
	for _, v := range c.exposureVersions {
		former[v.Key] = append(former[v.Key], exposureVersion{
			Version: v.Version, From: moment{v.FromAt}, To: instant(&v.ToAt), Severity: severityWords[v.Severity], Factors: v.Factors.List(),
			Explanation: v.Explanation, EvidenceDigest: v.EvidenceDigest, Disposition: dispositionWords[v.Disposition],
			IndeterminateSince: instant(v.IndeterminateSince),
		})
	}
	paths := map[id.ID]*pathRow{}
	for _, p := range c.paths {
		paths[p.ID] = p
	}
	return mapped(c.exposures, func(x *exposureRow) exposed {
		p, r := paths[x.PathID], rule.Rule(x.Type)
		holds := exposure.Exposure{Disposition: x.Disposition, ToAt: x.ToAt}
		doubt := x.IndeterminateSince
		if doubt == nil {
			doubt = x.ConditionIndeterminateSince
		}
		settings := x.settings()
		out := exposed{
			Path: x.PathID, Type: ledger.TypeWord(x.Type), Ordinal: x.Ordinal, Status: holds.Status(),
			Rule: ruleUsed{Finding: rule.Define(r).Key, Version: x.RuleVersion, SettingsVersion: x.SettingVersion, Thresholds: thresholds(r, settings)},
			Predicates: predicates(r, rule.Facts{
				Evidence: decode(x.Evidence), Settings: settings, Sensitivity: x.Sensitivity, Actions: x.Actions, Identity: p.IdentityID,
				FirstSeen: c.seenFrom(p, x.FromAt), Use: c.useOf(p, x, settings),
			}),
			Evidence: x.Evidence, EffectiveFrom: moment{x.EffectiveFrom}, EffectiveFromBasis: x.EffectiveBasis,
			LineageEffectiveFrom: moment{x.LineageFrom}, DetectedAt: moment{x.FromAt}, ResolvedAt: instant(x.ToAt), ResolutionReason: x.ResolutionReason,
			Predecessor: reference(x.BeforePath, x.Type, x.BeforeOrdinal), Successor: reference(x.AfterPath, x.Type, x.AfterOrdinal),
			exposureVersion: exposureVersion{
				Version: x.Version, From: moment{x.VersionFrom}, Severity: severityWords[x.Severity], Factors: x.Factors.List(),
				Explanation: x.Explanation, EvidenceDigest: x.EvidenceDigest, Disposition: dispositionWords[x.Disposition], IndeterminateSince: instant(doubt),
			},
			Former: list(former[x.Key]),
		}
		if x.ConditionSubject != nil {
			out.Condition = &conditionRef{Subject: *x.ConditionSubject, Ordinal: *x.ConditionOrdinal, Version: *x.ConditionVersion}
		}
		return out
	})
}

// settings are the thresholds that held for the exposure.
func (x *exposureRow) settings() rule.Settings {
	s := rule.Defaults()
	if x.SettingVersion > 0 {
		days := func(n *int) time.Duration { return time.Duration(*n) * exposure.Day }
		s.DormantAfter, s.ProofGrace, s.PrivilegeWindow = days(x.DormantAfterDays), days(x.ProofGraceDays), days(x.PrivilegeWindowDays)
		s.SharedWorkloads = *x.SharedWorkloads
	}
	return s
}

func reference(path *id.ID, typ rule.Type, ordinal *int) *exposureRef {
	if path == nil {
		return nil
	}
	return &exposureRef{Path: *path, Type: ledger.TypeWord(typ), Ordinal: *ordinal}
}

// decode reads stored evidence. The program wrote it; what it cannot read of a
// later version stands in the document as it is.
func decode(stored json.RawMessage) (e rule.Evidence) {
	_ = json.Unmarshal(stored, &e)
	return e
}

// seenFrom is since when rules take the path to be there: one that was removed
// and came back, since its return.
func (c *collection) seenFrom(p *pathRow, detected time.Time) time.Time {
	from := p.FirstSeenAt
	for _, v := range c.pathVersions {
		if v.ID == p.ID && v.Status == authority.PathRemoved && v.ToAt.After(from) && !v.ToAt.After(detected) {
			from = v.ToAt
		}
	}
	return from
}

// useOf is how an open exposure of a privilege that nobody uses sees the use of
// its path.
func (c *collection) useOf(p *pathRow, x *exposureRow, settings rule.Settings) *rule.Use {
	if x.Type != rule.ExcessPrivilege || x.ToAt != nil || c.head.WindowAt == nil {
		return nil
	}
	u := &rule.Use{}
	start := day(c.head.WindowAt.Add(-settings.PrivilegeWindow))
	subjects := p.subjects()
	for _, e := range c.evidence {
		if e.Basis == authority.BasisPath && e.Action != "" && day(e.Day) > start && slices.Contains(subjects, e.names()) {
			u.Used = append(u.Used, e.Action)
		}
	}
	u.Used = slices.Compact(slices.Sorted(slices.Values(u.Used)))
	for _, j := range c.justifications {
		if j.Path == p.ID && j.To == nil {
			for _, action := range j.Actions {
				if slices.Contains(x.Actions, action) {
					u.Justified = append(u.Justified, action)
				}
			}
		}
	}
	slices.Sort(u.Justified)
	return u
}

func (e *evidenceRow) names() triple { return triple{e.WorkloadID, e.IdentityID, e.ResourceID} }

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

func (c *collection) composeEvidence() []evidence {
	type counting struct {
		triple
		basis authority.ExecutionBasis
	}
	counted := map[counting]bool{}
	for _, p := range c.paths {
		if p.Status == authority.PathActive && p.ExecutionBasis != nil {
			for _, k := range p.subjects() {
				counted[counting{k, *p.ExecutionBasis}] = true
			}
		}
	}
	start := ""
	if c.head.WindowAt != nil {
		start = day(c.head.WindowAt.Add(-executionWindow))
	}
	return mapped(c.evidence, func(e *evidenceRow) evidence {
		return evidence{
			Workload: unlessNil(e.WorkloadID), Identity: unlessNil(e.IdentityID), Resource: unlessNil(e.ResourceID), Action: e.Action, Day: day(e.Day),
			Related: e.Related, Source: e.SourceID, Basis: e.Basis, Count: canonical.Integer(e.Count), LastAt: instant(e.LastAt),
			Counted: day(e.Day) > start && counted[counting{e.names(), e.Basis}],
		}
	})
}

func unlessNil(one id.ID) *id.ID {
	if one == id.Nil {
		return nil
	}
	return &one
}

func (c *collection) composeConditions() []condition {
	type key struct {
		subject id.ID
		rule    rule.Rule
		ordinal int
	}
	versions := slices.Clone(c.conditionVersions)
	slices.SortFunc(versions, func(a, b conditionVersionRow) int { return cmp.Compare(a.Version, b.Version) })
	former := map[key][]conditionVersion{}
	for _, v := range versions {
		k := key{v.SubjectID, v.Rule, v.Ordinal}
		former[k] = append(former[k], conditionVersion{
			Version: v.Version, From: moment{v.FromAt}, To: instant(&v.ToAt), RuleVersion: v.RuleVersion, Explanation: v.Explanation,
			Evidence: v.Evidence, EvidenceDigest: v.EvidenceDigest, IndeterminateSince: instant(v.IndeterminateSince),
		})
	}
	rows := slices.Clone(c.conditions)
	slices.SortFunc(rows, func(a, b conditionRow) int {
		return cmp.Or(compare(a.SubjectID, b.SubjectID), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Ordinal, b.Ordinal))
	})
	all := make([]condition, len(rows))
	for i, r := range rows {
		all[i] = condition{
			Subject: r.SubjectID, Finding: rule.Define(r.Rule).Key, Ordinal: r.Ordinal, EffectiveFrom: moment{r.EffectiveFrom},
			EffectiveFromBasis: r.EffectiveBasis, DetectedAt: moment{r.FromAt}, ResolvedAt: instant(r.ToAt), ResolutionReason: r.ResolutionReason,
			conditionVersion: conditionVersion{
				Version: r.Version, From: moment{r.VersionFrom}, RuleVersion: r.RuleVersion, Explanation: r.Explanation, Evidence: r.Evidence,
				EvidenceDigest: r.EvidenceDigest, IndeterminateSince: instant(r.IndeterminateSince),
			},
			Former: list(former[key{r.SubjectID, r.Rule, r.Ordinal}]),
		}
	}
	return all
}

// composeCoverage parts what is claimed from how far it reaches: a source that
// looks every day moves the second only.
func (c *collection) composeCoverage() ([]coverage, []coverageSpan) {
	rows := slices.Clone(c.coverages)
	slices.SortFunc(rows, func(a, b coverageRow) int {
		return cmp.Or(cmp.Compare(a.claim.Kind, b.claim.Kind), strings.Compare(a.claim.System, b.claim.System),
			compare(or(a.claim.Entity), or(b.claim.Entity)), compare(a.claim.Source, b.claim.Source))
	})
	claims, spans := make([]coverage, len(rows)), make([]coverageSpan, len(rows))
	for i, r := range rows {
		claims[i], spans[i] = r.claim, r.span
	}
	return claims, spans
}

func or(one *id.ID) id.ID {
	if one == nil {
		return id.Nil
	}
	return *one
}

// composeSources names the sources that the document refers to.
func (c *collection) composeSources() ([]source, []sourceSync) {
	var said set
	for _, e := range c.entities {
		said.add(e.Sources...)
	}
	for _, t := range c.ties {
		said.add(t.Source)
	}
	for _, e := range c.egresses {
		said.add(e.Source)
	}
	for _, e := range c.evidence {
		said.add(e.SourceID)
	}
	for _, r := range c.coverages {
		said.add(r.claim.Source)
	}
	rows := slices.Clone(c.head.Sources)
	slices.SortFunc(rows, func(a, b sourceRow) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.System, b.System), compare(a.ID, b.ID))
	})
	sources, syncs := []source{}, []sourceSync{}
	for _, s := range rows {
		if !said.has[s.ID] {
			continue
		}
		sources = append(sources, source{ID: s.ID, Name: s.Name, System: s.System, Format: s.Format})
		sync := sourceSync{Source: s.ID}
		if s.Sync != nil {
			sync.LastComplete = &lastComplete{Sync: *s.Sync, At: moment{*s.At}, ObservedAt: moment{*s.ObservedAt}}
		}
		syncs = append(syncs, sync)
	}
	return sources, syncs
}
