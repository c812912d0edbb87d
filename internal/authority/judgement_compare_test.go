package authority_test

import (
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// interval is a condition or an exposure as both sides tell it.
type interval[S comparable] struct {
	From, To  time.Time
	Reason    rule.Reason
	Effective time.Time
	Basis     rule.Basis
	Lineage   time.Time
	Versions  []version[S]
}

func utc(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// compareJudgement holds conditions, exposures and masks against the model.
func (h *theatre) compareJudgement(t checker, refs map[id.ID]record.Ref, keys map[id.ID]pathKey, classes map[int]class) {
	t.Helper()
	h.compareJudges(t, refs)
	h.compareJustifications(t, keys)
	h.compareConditions(t, refs, classes)
	h.compareExposures(t, refs, keys, classes)
	type row struct {
		ID id.ID
		mask
	}
	for _, r := range rowsOf[row](t, h, `SELECT id, open_mask, acknowledged_mask, accepted_mask, active_exposure_count, coalesce(max_exposure_severity, 0)
		FROM authority_path WHERE organization_id = $1`) {
		require.Equal(t, h.world.mask(keys[r.ID]), r.mask, "masks of %v", keys[r.ID])
	}
	h.checkInvariants(t)
}

// checkInvariants states on the server's side what no history may break.
func (h *theatre) checkInvariants(t checker) {
	t.Helper()
	type row struct {
		What string
		Key  string
	}
	broken := rowsOf[row](t, h, `
		SELECT 'several ownership conditions of one workload', subject_id::text FROM condition
		WHERE organization_id = $1 AND to_at IS NULL AND rule <= 4 GROUP BY subject_id HAVING count(*) > 1
		UNION ALL
		SELECT 'several open exposures', path_id::text || ' ' || type FROM exposure
		WHERE organization_id = $1 AND to_at IS NULL GROUP BY path_id, type HAVING count(*) > 1
		UNION ALL
		SELECT 'several ownership exposures of one path', path_id::text FROM exposure
		WHERE organization_id = $1 AND to_at IS NULL AND type <= 4 GROUP BY path_id HAVING count(*) > 1
		UNION ALL
		SELECT 'resolved without a reason', path_id::text FROM exposure WHERE organization_id = $1 AND to_at IS NOT NULL AND coalesce(resolution_reason, '') = ''
		UNION ALL
		SELECT 'resolved without a reason', subject_id::text FROM condition WHERE organization_id = $1 AND to_at IS NOT NULL AND coalesce(resolution_reason, '') = ''
		UNION ALL
		SELECT 'open on a path that does not stand', p.id::text FROM exposure x JOIN authority_path p ON p.organization_id = $1 AND p.id = x.path_id
		WHERE x.organization_id = $1 AND x.to_at IS NULL AND (p.status <> 'active' OR NOT p.effective)`)
	require.Empty(t, broken)
}

func (h *theatre) compareJudges(t checker, refs map[id.ID]record.Ref) {
	t.Helper()
	type row struct {
		Rule     rule.Rule
		From     time.Time
		To       *time.Time
		Version  int
		Enabled  bool
		Baseline bool
	}
	found := map[rule.Rule][]version[judge]{}
	ends := map[rule.Rule]*time.Time{}
	for _, r := range rowsOf[row](t, h, `SELECT rule, from_at, to_at, version, enabled, false FROM rule_version WHERE organization_id = $1 ORDER BY rule, from_at`) {
		checkInterval(t, r.Rule, len(found[r.Rule])+1, len(found[r.Rule])+1, r.From, ends[r.Rule])
		found[r.Rule], ends[r.Rule] = append(found[r.Rule], version[judge]{From: r.From.UTC(), State: judge{r.Version, r.Enabled}}), r.To
	}
	equalChronicles(t, "versions", h.world.judges, found)
	checkEnds(t, ends)

	type compared struct {
		Identity id.ID
		At       time.Time
		Attested bool
		Actor    string
		Note     string
	}
	baselines := map[record.Ref][]baseline{}
	for _, r := range rowsOf[compared](t, h, `SELECT identity_id, at, basis = 'attested', coalesce(actor, ''), coalesce(note, '')
		FROM scope_baseline WHERE organization_id = $1 ORDER BY at`) {
		baselines[refs[r.Identity]] = append(baselines[refs[r.Identity]], baseline{r.At.UTC(), r.Attested, r.Actor, r.Note})
	}
	require.Equal(t, h.world.baselines, baselines, "baselines")
}

func (h *theatre) compareJustifications(t checker, keys map[id.ID]pathKey) {
	t.Helper()
	type row struct {
		Path        id.ID
		From        time.Time
		To          *time.Time
		Actor, Text string
		Withdrawn   string
		Actions     []string
	}
	found := map[pathKey][]justification{}
	for _, r := range rowsOf[row](t, h, `SELECT path_id, from_at, to_at, actor, justification, coalesce(withdrawn_by, ''), actions
		FROM privilege_justification WHERE organization_id = $1 ORDER BY from_at`) {
		key := keys[r.Path]
		found[key] = append(found[key], justification{r.From.UTC(), utc(r.To), r.Actor, r.Text, r.Withdrawn, strings.Join(r.Actions, " ")})
	}
	require.Equal(t, h.world.justifications, found, "justifications")
}

func (h *theatre) compareConditions(t checker, refs map[id.ID]record.Ref, classes map[int]class) {
	t.Helper()
	type row struct {
		Subject                      id.ID
		Rule                         rule.Rule
		Ordinal                      int
		Version                      int
		Current                      bool
		From                         time.Time
		To, Effective                *time.Time
		Basis                        string
		Opened, Ended                *time.Time
		Reason                       string
		RuleVersion, Class           int
		Explanation, PathExplanation string
		Evidence                     rule.Evidence
		Digest                       id.ID
		Since                        *time.Time
	}
	rows := rowsOf[row](t, h, `
		SELECT subject_id, rule, ordinal, version, true, version_from, NULL::timestamptz, effective_from, effective_basis, from_at, to_at, coalesce(resolution_reason, ''),
		  rule_version, class, explanation, coalesce(path_explanation, ''), evidence, evidence_digest, indeterminate_since
		FROM condition WHERE organization_id = $1
		UNION ALL
		SELECT subject_id, rule, ordinal, version, false, from_at, to_at, NULL, '', NULL, NULL, '',
		  rule_version, class, explanation, coalesce(path_explanation, ''), evidence, evidence_digest, indeterminate_since
		FROM condition_version WHERE organization_id = $1
		ORDER BY 1, 2, 3, 4`)
	found := map[seat][]interval[conditionState]{}
	versions, end := []version[conditionState](nil), (*time.Time)(nil)
	for _, r := range rows {
		s := seat{refs[r.Subject], r.Rule}
		checkInterval(t, s, r.Version, len(versions)+1, r.From, end)
		state := conditionState{RuleVersion: r.RuleVersion, Class: classes[r.Class], Explanation: r.Explanation, PathExplanation: r.PathExplanation,
			Evidence: string(r.Evidence.JSON()), Digest: r.Digest, Since: utc(r.Since)}
		versions, end = append(versions, version[conditionState]{From: r.From.UTC(), State: state}), r.To
		if !r.Current {
			continue
		}
		require.Equal(t, len(found[s])+1, r.Ordinal, "intervals of %v", s)
		require.Equal(t, versions[0].From, utc(r.Opened), "%v opened with its first version", s)
		found[s] = append(found[s], interval[conditionState]{utc(r.Opened), utc(r.Ended), rule.Reason(r.Reason), utc(r.Effective), rule.Basis(r.Basis), time.Time{}, versions})
		versions, end = nil, nil
	}
	require.Empty(t, versions, "versions of conditions that there are not")
	expected := map[seat][]interval[conditionState]{}
	for s, list := range h.world.conditions {
		for _, c := range list {
			expected[s] = append(expected[s], interval[conditionState]{c.From, c.To, c.Reason, c.Effective, c.Basis, time.Time{}, c.Versions})
		}
	}
	equalRows(t, "conditions", expected, found)
}

func (h *theatre) compareExposures(t checker, refs map[id.ID]record.Ref, keys map[id.ID]pathKey, classes map[int]class) {
	t.Helper()
	type row struct {
		Path                       id.ID
		Type                       rule.Type
		Ordinal                    int
		Version                    int
		Current                    bool
		From                       time.Time
		To                         *time.Time
		Workload                   *id.ID
		Effective                  *time.Time
		Basis                      string
		Lineage, Opened, Ended     *time.Time
		Reason                     string
		Class                      int
		Severity, Factors, Dispose int
		Explanation                string
		Digest                     id.ID
		Since                      *time.Time
	}
	rows := rowsOf[row](t, h, `
		SELECT path_id, type, ordinal, version, true, version_from, NULL::timestamptz, workload_id, effective_from, effective_basis, lineage_from, from_at, to_at,
		  coalesce(resolution_reason, ''), class, severity, factors, disposition, explanation, evidence_digest, indeterminate_since
		FROM exposure WHERE organization_id = $1
		UNION ALL
		SELECT path_id, type, ordinal, version, false, from_at, to_at, NULL, NULL, '', NULL, NULL, NULL,
		  '', class, severity, factors, disposition, explanation, evidence_digest, indeterminate_since
		FROM exposure_version WHERE organization_id = $1
		ORDER BY 1, 2, 3, 4`)
	found := map[place][]interval[exposedState]{}
	versions, end := []version[exposedState](nil), (*time.Time)(nil)
	for _, r := range rows {
		require.Contains(t, keys, r.Path, "an exposure of a path that there is not")
		p := place{keys[r.Path], r.Type}
		checkInterval(t, p, r.Version, len(versions)+1, r.From, end)
		state := exposedState{Class: classes[r.Class], Severity: r.Severity, Factors: r.Factors, Explanation: r.Explanation, Digest: r.Digest,
			Disposition: r.Dispose, Since: utc(r.Since)}
		versions, end = append(versions, version[exposedState]{From: r.From.UTC(), State: state}), r.To
		if !r.Current {
			continue
		}
		require.Equal(t, p.Path.Workload, refs[*r.Workload])
		require.Equal(t, len(found[p])+1, r.Ordinal, "intervals of %v", p)
		require.Equal(t, versions[0].From, utc(r.Opened), "%v opened with its first version", p)
		found[p] = append(found[p], interval[exposedState]{utc(r.Opened), utc(r.Ended), rule.Reason(r.Reason), utc(r.Effective), rule.Basis(r.Basis), utc(r.Lineage), versions})
		versions, end = nil, nil
	}
	require.Empty(t, versions, "versions of exposures that there are not")
	expected := map[place][]interval[exposedState]{}
	for p, list := range h.world.exposures {
		for _, x := range list {
			expected[p] = append(expected[p], interval[exposedState](x))
		}
	}
	equalRows(t, "exposures", expected, found)
}
