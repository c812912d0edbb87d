package exposure

import (
	"context"
	_ "embed"
	"regexp"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
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
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return nil, err
	}
	grounds, err := explainByKeys[ground](ctx, snapshot, organization, "grounds", keys, pgx.StrictNamedArgs{"settings": versions})
	if err != nil {
		return nil, err
	}
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
	q, err := access.Reader(ctx, snapshot, organization, access.View)
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
	q, err := access.Reader(ctx, snapshot, organization, access.View)
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
	q, err := access.Reader(ctx, snapshot, organization, access.View)
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
