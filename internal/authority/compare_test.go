package authority_test

import (
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// compare holds everything that the server keeps of the organization against
// the model.
func (h *theatre) compare(t checker) {
	t.Helper()
	refs := map[id.ID]record.Ref{id.Nil: unnamed}
	classes := map[int]class{}
	type entity struct {
		ID                     id.ID
		Kind, System, External string
	}
	for _, e := range rowsOf[entity](t, h, `SELECT id, kind, system, external_id FROM entity WHERE organization_id = $1`) {
		refs[e.ID] = record.Ref{Kind: record.EntityKind(e.Kind), System: e.System, SourceID: e.External}
		require.Equal(t, id.Entity(h.organization, e.Kind, e.System, e.External), e.ID)
	}
	type combination struct {
		Class                            int
		Environment, Owner, BusinessTier string
	}
	for _, c := range rowsOf[combination](t, h, `SELECT class, environment, owner, business_tier FROM access_class WHERE organization_id = $1`) {
		classes[c.Class] = class{c.Environment, c.Owner, c.BusinessTier}
	}
	h.compareEntities(t, refs, classes)
	h.compareSurface(t, refs, classes)
	keys := h.comparePaths(t, refs, classes)
	h.compareJudgement(t, refs, keys, classes)
	h.compareClusters(t, refs, keys, classes)
	h.comparePosture(t, refs, classes)

	type rotated struct {
		Workload, From, To id.ID
		At                 time.Time
	}
	rotations := []rotation{}
	for _, r := range rowsOf[rotated](t, h, `SELECT workload_id, from_identity, to_identity, at FROM identity_rotation WHERE organization_id = $1`) {
		rotations = append(rotations, rotation{refs[r.Workload], refs[r.From], refs[r.To], r.At.UTC()})
	}
	require.ElementsMatch(t, h.world.rotations, rotations, "rotations")
	h.remember(t)
}

func (h *theatre) compareEntities(t checker, refs map[id.ID]record.Ref, classes map[int]class) {
	t.Helper()
	type row struct {
		ID                                                             id.ID
		Version                                                        int
		From, Seen                                                     time.Time
		To                                                             *time.Time
		Name, Status, Environment, OwnerTeam, BusinessTier, Mode, Type string
		Domain, DomainStated                                           string
		Level                                                          int
		Sensitivity                                                    string
		Class                                                          int
		Ownership, Egress                                              string
		LastActive                                                     *time.Time
	}
	const columns = `name, status, coalesce(environment, ''), coalesce(owner_team, ''), coalesce(business_tier, ''), coalesce(execution_mode, ''),
		coalesce(owner_type, ''), coalesce(data_domain, ''), coalesce(data_domain_stated, ''), sensitivity, coalesce(sensitivity_stated, ''),
		class, ownership_status, egress_category, last_active_at`
	rows := rowsOf[row](t, h, `
		SELECT id, version, from_at, first_seen_at, NULL::timestamptz AS to_at, `+columns+` FROM entity WHERE organization_id = $1
		UNION ALL
		SELECT v.id, v.version, v.from_at, v.from_at, v.to_at, `+columns+` FROM entity_version v WHERE v.organization_id = $1
		ORDER BY 1, 2`)
	found := map[record.Ref][]version[entityState]{}
	ends := map[record.Ref]*time.Time{}
	for _, r := range rows {
		e := refs[r.ID]
		checkInterval(t, e, r.Version, len(found[e])+1, r.From, ends[e])
		ends[e] = r.To
		found[e] = append(found[e], version[entityState]{From: r.From.UTC(), State: entityState{
			entityValue: entityValue{Name: r.Name, Environment: r.Environment, OwnerTeam: r.OwnerTeam, BusinessTier: r.BusinessTier,
				DataDomain: r.DomainStated, Sensitivity: r.Sensitivity, Status: record.Status(r.Status), Mode: record.ExecutionMode(r.Mode),
				OwnerType: record.OwnerType(r.Type), LastActiveAt: utc(r.LastActive)},
			Domain: r.Domain, Level: authority.Sensitivity(r.Level), Class: classes[r.Class], Ownership: r.Ownership, Egress: r.Egress}}) //nolint:gosec // 0 to 4
		if r.To == nil {
			require.Equal(t, found[e][0].From, r.Seen.UTC(), "%v was first seen when its first version began", e)
		}
	}
	equalChronicles(t, "versions", h.world.entities, found)
	checkEnds(t, ends)
}

func (h *theatre) comparePaths(t checker, refs map[id.ID]record.Ref, classes map[int]class) map[id.ID]pathKey {
	t.Helper()
	type row struct {
		ID                id.ID
		Version           int
		From              time.Time
		To                *time.Time
		Sync              int64
		Status            string
		Effective         bool
		Roles             []id.ID
		Actions           []string
		Depth             int
		Hash              []byte
		Class             int
		Domain            string
		Sensitivity       int
		Ownership, Egress string
		Execution         int64
		Basis             string
	}
	const columns = `sync_version, status, effective, role_ids, actions, auth_chain_depth, composition_hash, class, coalesce(data_domain, ''), sensitivity,
		ownership_status, egress_category, coalesce(execution_30d, -1), coalesce(execution_basis, '')`
	type subject struct {
		ID, Lineage, Workload id.ID
		Identity              *id.ID
		Resource              id.ID
		From, Seen            time.Time
		Removed               *time.Time
	}
	keys := map[id.ID]pathKey{}
	subjects := map[id.ID]subject{}
	for _, s := range rowsOf[subject](t, h, `SELECT id, lineage_id, workload_id, identity_id, resource_id, from_at, first_seen_at, removed_at
		FROM authority_path WHERE organization_id = $1`) {
		key := pathKey{Workload: refs[s.Workload], Resource: refs[s.Resource]}
		if s.Identity != nil {
			key.Identity = refs[*s.Identity]
		}
		require.Equal(t, id.AuthorityPath(h.organization, s.Workload, s.Identity, s.Resource), s.ID)
		require.Equal(t, id.Lineage(h.organization, s.Workload, s.Resource), s.Lineage)
		keys[s.ID], subjects[s.ID] = key, s
	}
	rows := rowsOf[row](t, h, `
		SELECT id, version, from_at, NULL::timestamptz AS to_at, `+columns+` FROM authority_path WHERE organization_id = $1
		UNION ALL
		SELECT id, version, from_at, to_at, `+columns+` FROM authority_path_version WHERE organization_id = $1
		ORDER BY 1, 2`)
	found := map[pathKey][]version[pathState]{}
	ends := map[pathKey]*time.Time{}
	for _, r := range rows {
		require.Contains(t, keys, r.ID, "a version of a path that there is not")
		key, s := keys[r.ID], subjects[r.ID]
		checkInterval(t, key, r.Version, len(found[key])+1, r.From, ends[key])
		ends[key] = r.To
		roles := map[string]bool{}
		for _, role := range r.Roles {
			roles[short(refs[role])] = true
		}
		require.Len(t, roles, len(r.Roles), "roles of %v", key)
		require.True(t, slices.IsSorted(r.Actions), "actions of %v", key)
		hash := id.Composition(s.Workload, s.Identity, s.Resource, r.Roles, r.Actions)
		require.Equal(t, hash[:], r.Hash, "composition of %v", key)
		found[key] = append(found[key], version[pathState]{From: r.From.UTC(), Sync: r.Sync, State: pathState{
			Removed: r.Status == "removed", Effective: r.Effective, Roles: joined(roles), Actions: strings.Join(r.Actions, " "), Depth: r.Depth,
			Class: classes[r.Class], DataDomain: r.Domain, Sensitivity: authority.Sensitivity(r.Sensitivity), //nolint:gosec // 0 to 4
			Ownership: r.Ownership, Egress: r.Egress, Execution: r.Execution, Basis: r.Basis}})
		if r.To == nil {
			require.Equal(t, found[key][0].From, s.Seen.UTC(), "%v was first seen when its first version began", key)
			require.Equal(t, r.Status == "removed", s.Removed != nil && s.Removed.Equal(r.From), "%v was removed when its last version began", key)
		}
	}
	equalChronicles(t, "versions", h.world.paths, found)
	checkEnds(t, ends)

	type succeeded struct {
		Predecessor, Successor id.ID
		At                     time.Time
	}
	successions := []succession{}
	for _, s := range rowsOf[succeeded](t, h, `SELECT predecessor_id, successor_id, at FROM path_succession WHERE organization_id = $1`) {
		successions = append(successions, succession{keys[s.Predecessor], keys[s.Successor], s.At.UTC()})
	}
	require.ElementsMatch(t, h.world.successions, successions, "successions")
	return keys
}

// checkInterval holds a version against the one before it: it begins where that
// one ends, so that together they leave no gap and never overlap.
func checkInterval(t checker, of any, number, expected int, from time.Time, previousEnd *time.Time) {
	t.Helper()
	require.Equal(t, expected, number, "versions of %v", of)
	require.Equal(t, expected > 1, previousEnd != nil, "only the last version of %v is open", of)
	if previousEnd != nil {
		require.True(t, previousEnd.Equal(from), "version %d of %v begins at %v, and the one before it ended at %v", number, of, from, *previousEnd)
	}
}

// checkEnds makes sure that the last version of everything is open.
func checkEnds[K comparable](t checker, ends map[K]*time.Time) {
	t.Helper()
	for of, end := range ends {
		require.Nil(t, end, "the last version of %v", of)
	}
}

// equalChronicles compares the histories of things.
func equalChronicles[K, S comparable](t checker, what string, expected map[K]*chronicle[S], found map[K][]version[S]) {
	t.Helper()
	versions := map[K][]version[S]{}
	for key, c := range expected {
		versions[key] = c.versions
	}
	equalRows(t, what, versions, found)
}

// equalRows compares one by one: what differs is easier to read than all that
// there is.
func equalRows[K comparable, V any](t checker, what string, expected, found map[K]V) {
	t.Helper()
	for key, row := range expected {
		other, both := found[key]
		require.True(t, both, "the server has no %s of %+v, the model %+v", what, key, row)
		require.Equal(t, row, other, "%s of %+v", what, key)
	}
	for key, row := range found {
		_, both := expected[key]
		require.True(t, both, "the model has no %s of %+v, the server %+v", what, key, row)
	}
}
