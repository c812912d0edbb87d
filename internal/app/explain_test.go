package app_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/app"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/posture"
)

// demoSlugs are the organizations that everything is explained of.
var demoSlugs = []string{"demo", "demo-kubernetes"}

// answered asks about an organization and reads the answer.
func answered[T any](t *testing.T, a *app.App, slug, fields string) (found T) {
	t.Helper()
	answer := ask(t, a, a.Tokens().Viewer, fmt.Sprintf(`{ organization(slug: %q) { %s } }`, slug, fields))
	require.Empty(t, answer.Errors, fields)
	require.NoError(t, json.Unmarshal(answer.Data["organization"], &found))
	return found
}

// page is a page of a connection.
type pageOf[N any] struct {
	TotalCount int
	Nodes      []N
	PageInfo   struct {
		HasNextPage bool
		EndCursor   string
	}
}

// walk reads every page of a list of an organization: list has %s for the cursor.
func walk[N any](t *testing.T, a *app.App, slug, list, node string) (all []N) {
	t.Helper()
	for after := ""; ; {
		found := answered[struct{ List pageOf[N] }](t, a, slug, "list: "+fmt.Sprintf(list, after)+` { totalCount nodes { `+node+` } pageInfo { hasNextPage endCursor } }`)
		all = append(all, found.List.Nodes...)
		if !found.List.PageInfo.HasNextPage {
			require.Len(t, all, found.List.TotalCount)
			return all
		}
		after = fmt.Sprintf(", after: %q", found.List.PageInfo.EndCursor)
	}
}

type explainedPredicate struct {
	Name, Requires string
	OneOf          *string
	Holds          string
	Value          *struct {
		Number *int
		Text   *string
		At     *string
		List   []string
	}
	Coverage    *struct{ Kind, Completeness string }
	EvidenceIDs []string
}

// holding adds predicates up, by the names that the API has for outcomes.
func holding(predicates []explainedPredicate) string {
	list := make([]rule.Predicate, len(predicates))
	for i, p := range predicates {
		list[i].Holds = map[string]rule.Outcome{"TRUE": rule.True, "FALSE": rule.False, "UNKNOWN": rule.Unknown}[p.Holds]
		if p.OneOf != nil {
			list[i].OneOf = *p.OneOf
		}
	}
	return map[rule.Outcome]string{rule.True: "TRUE", rule.False: "FALSE", rule.Unknown: "UNKNOWN"}[rule.Holding(list)]
}

const predicateFields = `predicates { name requires oneOf holds value { number text at list } threshold { number unit } coverage { kind completeness since until lookedAt } evidenceIds }`

// TestDemoExplains holds every explanation of the demo against what it explains.
func TestDemoExplains(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	a, _ := start(t, demoConfig(database))
	t.Run("exposures", func(t *testing.T) { t.Parallel(); explainsExposures(t, a) })
	t.Run("memberships", func(t *testing.T) { t.Parallel(); explainsMemberships(t, a) })
	t.Run("verdicts", func(t *testing.T) { t.Parallel(); judgesAsItWasJudged(t, database) })
	t.Run("clusters", func(t *testing.T) { t.Parallel(); explainsClusters(t, a) })
	t.Run("posture", func(t *testing.T) { t.Parallel(); explainsPosture(t, a) })
}

func explainsExposures(t *testing.T, a *app.App) {
	steps := map[string]int{"LOW": 1, "MEDIUM": 2, "HIGH": 3, "CRITICAL": 4}
	types, resolved := map[string]bool{}, 0
	for _, slug := range demoSlugs {
		for _, x := range walk[struct {
			ID, Type, Severity, Status string
			IndeterminateSince         *string
			Factors                    []string
			Explain                    struct {
				Rule, Severity  string
				RuleVersion     *int
				SeverityFactors []struct {
					Factor       string
					Contribution int
				}
				Predicates []explainedPredicate
			}
		}](t, a, slug, `exposures(first: 40, filter: {status: [ACTIVE, ACKNOWLEDGED, FALSE_POSITIVE, RESOLVED]}%s)`,
			`id type severity status indeterminateSince factors explain { rule severity ruleVersion severityFactors { factor contribution } `+predicateFields+` }`) {
			sum, factors := 0, []string{}
			for _, f := range x.Explain.SeverityFactors {
				sum, factors = sum+f.Contribution, append(factors, f.Factor)
			}
			require.Equal(t, steps[x.Severity], sum, "%s %s", slug, x.ID)
			require.Equal(t, x.Severity, x.Explain.Severity)
			require.Equal(t, x.Factors, factors)
			require.NotNil(t, x.Explain.RuleVersion)
			require.NotEmpty(t, x.Explain.Predicates)
			want := "TRUE"
			if x.IndeterminateSince != nil {
				want = "UNKNOWN"
			}
			require.Equal(t, want, holding(x.Explain.Predicates), "%s %s %s %+v", slug, x.Type, x.Status, x.Explain.Predicates)
			for _, p := range x.Explain.Predicates {
				require.NotEmpty(t, p.EvidenceIDs, p.Name)
				require.Equal(t, slices.Compact(slices.Sorted(slices.Values(p.EvidenceIDs))), slices.Sorted(slices.Values(p.EvidenceIDs)), "each once: %s", p.Name)
				if x.Status != "RESOLVED" && strings.HasSuffix(p.Name, "_coverage") {
					require.NotNil(t, p.Coverage, p.Name)
				}
			}
			types[x.Type] = true
			if x.Status == "RESOLVED" {
				resolved++
			}
		}
	}
	require.GreaterOrEqual(t, len(types), 12, "the demo has almost every type")
	require.NotZero(t, resolved)
}

func explainsMemberships(t *testing.T, a *app.App) {
	var fields strings.Builder
	for n, d := range posture.Definitions {
		fmt.Fprintf(&fields, `c%d: whyNot(cluster: %q) { ...why } `, n, d.Key)
	}
	type why struct {
		Member     bool
		MemberFrom *string
		Obstacle   *string
		Cluster    struct{ Key, Grain string }
		Terms      []struct {
			Types         []string
			Satisfied     bool
			CarriedByPath bool
			BySeverity    *string
			Exposure      *struct{ Severity, Type, Status string }
			CarrierCount  int
			Missing       []struct {
				Type, Reason string
				Verdict      *struct {
					Outcome    string
					Predicates []explainedPredicate
				}
			}
		}
	}
	members, outsiders, reasons := 0, 0, map[string]int{}
	const fragment = ` fragment why on ClusterMembership { member memberFrom obstacle cluster { key grain }
		terms { types satisfied carriedByPath bySeverity exposure { severity type status } carrierCount missing { type reason verdict { outcome predicates { name oneOf holds evidenceIds } } } } }`
	for _, slug := range demoSlugs {
		for after := ""; ; {
			answer := ask(t, a, a.Tokens().Viewer, fmt.Sprintf(`{ organization(slug: %q) { authorityPaths(first: 10, includeRemoved: true%s) { pageInfo { hasNextPage endCursor }
				nodes { id status effective riskClusters { key } primaryCluster { key } explainPrimaryCluster { decidedBy ranking { key terms severity cluster { key } } } %s } } } }`, slug, after, fields.String())+fragment)
			require.Empty(t, answer.Errors)
			var found struct {
				AuthorityPaths pageOf[map[string]json.RawMessage]
			}
			require.NoError(t, json.Unmarshal(answer.Data["organization"], &found))
			for _, node := range found.AuthorityPaths.Nodes {
				var path struct {
					ID, Status            string
					Effective             bool
					RiskClusters          []struct{ Key string }
					PrimaryCluster        *struct{ Key string }
					ExplainPrimaryCluster *struct {
						DecidedBy string
						Ranking   []struct {
							Key   string
							Terms int
						}
					}
				}
				whole, err := json.Marshal(node)
				require.NoError(t, err)
				require.NoError(t, json.Unmarshal(whole, &path))
				in := map[string]bool{}
				for _, c := range path.RiskClusters {
					in[c.Key] = true
				}
				if len(in) == 0 {
					require.Nil(t, path.ExplainPrimaryCluster)
				} else {
					require.Equal(t, path.PrimaryCluster.Key, path.ExplainPrimaryCluster.Ranking[0].Key)
					require.Len(t, path.ExplainPrimaryCluster.Ranking, len(in))
					require.Equal(t, len(in) == 1, path.ExplainPrimaryCluster.DecidedBy == "ONLY")
				}
				for n, d := range posture.Definitions {
					var w why
					require.NoError(t, json.Unmarshal(node[fmt.Sprintf("c%d", n)], &w))
					require.Equal(t, d.Key, w.Cluster.Key)
					require.Equal(t, in[d.Key], w.Member, "%s %s in %s", slug, path.ID, d.Key)
					require.Len(t, w.Terms, d.Terms())
					require.Equal(t, w.Member, w.Obstacle == nil)
					satisfied := true
					for _, term := range w.Terms {
						satisfied = satisfied && term.Satisfied
						require.Equal(t, term.Satisfied, term.Exposure != nil)
						require.Equal(t, term.Satisfied, term.CarrierCount > 0)
						if term.Satisfied {
							require.Empty(t, term.Missing)
							require.Contains(t, term.Types, term.Exposure.Type)
							require.Contains(t, []string{"ACTIVE", "ACKNOWLEDGED"}, term.Exposure.Status)
							require.Equal(t, term.Exposure.Severity, *term.BySeverity)
							continue
						}
						require.Len(t, term.Missing, len(term.Types))
						for _, m := range term.Missing {
							reasons[m.Reason]++
							if path.Status == "REMOVED" || !path.Effective {
								require.Nil(t, m.Verdict)
								continue
							}
							require.NotNil(t, m.Verdict)
							if m.Reason == "NO_SUCH_EXPOSURE" || m.Reason == "RESOLVED" {
								require.NotEqual(t, "TRUE", m.Verdict.Outcome, "%s %s: it would be open", path.ID, m.Type)
							}
						}
					}
					if w.Member {
						require.True(t, satisfied)
						members++
					} else {
						outsiders++
						require.Equal(t, !satisfied && path.Status == "ACTIVE" && path.Effective, *w.Obstacle == "TERM_MISSING", *w.Obstacle)
					}
				}
			}
			if !found.AuthorityPaths.PageInfo.HasNextPage {
				break
			}
			after = fmt.Sprintf(", after: %q", found.AuthorityPaths.PageInfo.EndCursor)
		}
	}
	require.Greater(t, members, 50)
	require.Greater(t, outsiders, 100)
	for _, reason := range []string{"NO_SUCH_EXPOSURE", "RESOLVED", "PATH_REMOVED"} {
		require.NotZero(t, reasons[reason], reason)
	}
}

// judgesAsItWasJudged holds what the rules say now, without a judgement, against
// the exposures that judgements have left.
func judgesAsItWasJudged(t *testing.T, database *dbtest.Database) {
	ctx := access.With(t.Context(), access.Actor{Subject: "test", Role: access.Admin, Scopes: access.Scopes, AllOrganizations: true})
	outcomes := map[rule.Outcome]int{}
	for _, slug := range demoSlugs {
		organization := id.Organization(slug)
		snapshot := database.Snapshot()
		defer snapshot.Close(ctx)
		rows, err := database.Super(t).Query(ctx, `SELECT id FROM authority_path WHERE organization_id = $1 AND status = 'active' AND effective`, organization)
		require.NoError(t, err)
		paths, err := pgx.CollectRows(rows, pgx.RowTo[id.ID])
		require.NoError(t, err)
		reader := &exposure.Reader{}
		verdicts, err := reader.Verdicts(ctx, snapshot, organization, paths)
		require.NoError(t, err)
		require.Len(t, verdicts, len(paths))
		latest, err := reader.LatestByPaths(ctx, snapshot, organization, paths)
		require.NoError(t, err)
		open := map[exposure.Key]bool{}
		for _, x := range latest {
			if x.ToAt == nil {
				open[exposure.Key{PathID: x.PathID, Type: x.Type}] = true
			}
		}
		for path, list := range verdicts {
			for _, v := range list {
				is := open[exposure.Key{PathID: path, Type: rule.Type(v.Rule)}]
				outcomes[v.Outcome]++
				switch v.Outcome {
				case rule.True:
					require.True(t, is, "%s %s: %s would be open", slug, path, rule.Define(v.Rule).Key)
				case rule.False:
					require.False(t, is, "%s %s: %s would have resolved: %+v", slug, path, rule.Define(v.Rule).Key, v.Asked)
				}
			}
		}
	}
	for _, outcome := range []rule.Outcome{rule.True, rule.False, rule.Unknown} {
		require.NotZero(t, outcomes[outcome])
	}
}

func explainsClusters(t *testing.T, a *app.App) {
	for _, slug := range demoSlugs {
		counts := map[string]map[string]int{}
		for _, level := range []string{"OPEN", "ACKNOWLEDGED", "ACCEPTED"} {
			for _, c := range walk[struct {
				Key, Level    string
				Severity      string
				Priority      *string
				Urgency       *string
				PathCount     int
				ExposureTypes []string
				Explain       struct {
					DefinitionVersion int
					Level             string
					Terms             []struct{ Types []string }
					Levels            []struct {
						Level     string
						PathCount int
					}
					Priority struct {
						Value     *string
						Severity  string
						PathCount int
					}
					Urgency struct {
						Value   *string
						Because []struct {
							Fact    string
							Count   int
							Decides bool
						}
						GovernanceTypes []string
					}
				}
			}](t, a, slug, `riskClusters(first: 12, level: `+level+`%s)`, `key level severity priority urgency pathCount exposureTypes explain { definitionVersion level terms { types } levels { level pathCount }
				priority { value severity pathCount } urgency { value because { fact count decides } governanceTypes } }`) {
				e := c.Explain
				require.Equal(t, level, e.Level)
				require.Positive(t, e.DefinitionVersion)
				types := []string{}
				for _, term := range e.Terms {
					types = append(types, term.Types...)
				}
				require.ElementsMatch(t, c.ExposureTypes, types)
				require.Equal(t, c.Priority, e.Priority.Value)
				require.Equal(t, c.Severity, e.Priority.Severity)
				require.Equal(t, c.PathCount, e.Priority.PathCount)
				require.Equal(t, c.Urgency, e.Urgency.Value)
				require.Len(t, e.Urgency.Because, 4)
				require.Equal(t, len(e.Urgency.GovernanceTypes), e.Urgency.Because[3].Count)
				require.Equal(t, c.Urgency != nil, slices.ContainsFunc(e.Urgency.Because, func(b struct {
					Fact    string
					Count   int
					Decides bool
				}) bool {
					return b.Decides
				}))
				if counts[c.Key] == nil {
					counts[c.Key] = map[string]int{}
				}
				for _, l := range e.Levels {
					if seen, known := counts[c.Key][l.Level]; known {
						require.Equal(t, seen, l.PathCount)
					}
					counts[c.Key][l.Level] = l.PathCount
				}
				require.Equal(t, c.PathCount, counts[c.Key][level])
			}
		}
	}
}

func explainsPosture(t *testing.T, a *app.App) {
	type row struct {
		Node   *struct{ ID, Typename string }
		Amount int
		At     *string
	}
	shown := map[posture.Count]bool{}
	for _, slug := range demoSlugs {
		for _, since := range []string{"", `(since: "2026-01-25T12:00:00Z")`, `(since: "2026-02-10T12:00:00Z")`} {
			for _, c := range posture.Countings {
				count := strings.ToUpper(string(c.Count))
				var all []row
				var first struct {
					Count, Definition string
					Value             *int
					Counted           int
					Filter            *struct {
						List            string
						Sensitivity     []string
						OwnershipStatus []string
						Severity        []string
						WithoutSeverity bool
					}
					Rows pageOf[row]
				}
				for after := ""; ; {
					found := answered[struct {
						Posture struct {
							Explain json.RawMessage
						}
					}](t, a, slug, fmt.Sprintf(`posture%s { explain(count: %s) { count value definition counted since { at } filter { list sensitivity ownershipStatus severity withoutSeverity }
						rows(first: 50%s) { totalCount nodes { amount at node { id typename: __typename } } pageInfo { hasNextPage endCursor } } } }`, since, count, after))
					first.Rows = pageOf[row]{}
					require.NoError(t, json.Unmarshal(found.Posture.Explain, &first))
					all = append(all, first.Rows.Nodes...)
					if !first.Rows.PageInfo.HasNextPage {
						break
					}
					after = fmt.Sprintf(", after: %q", first.Rows.PageInfo.EndCursor)
				}
				require.Equal(t, count, first.Count)
				require.Equal(t, c.Definition, first.Definition)
				require.Len(t, all, first.Rows.TotalCount, "%s %s", slug, count)
				amount, distinct := 0, map[string]bool{}
				for _, r := range all {
					require.NotNil(t, r.Node, count)
					require.Equal(t, c.Event, r.At != nil)
					amount += r.Amount
					when := ""
					if r.At != nil {
						when = *r.At
					}
					distinct[r.Node.ID+when] = true
				}
				require.Len(t, distinct, len(all), "each once: %s", count)
				require.Equal(t, amount, first.Counted, count)
				if first.Value == nil {
					require.True(t, c.Event)
					require.Empty(t, all)
					continue
				}
				require.Equal(t, *first.Value, amount, "%s %s %s", slug, since, count)
				if c.Count != posture.CountExecutions {
					require.Len(t, all, *first.Value, "%s %s", slug, count)
				}
				shown[c.Count] = shown[c.Count] || len(all) > 0
				if f := first.Filter; f != nil && since == "" {
					list, parts := map[string]string{"AUTHORITY_PATHS": "authorityPaths", "WORKLOAD_EXPOSURES": "workloadExposures"}[f.List], []string{}
					for name, values := range map[string][]string{"sensitivity": f.Sensitivity, "ownershipStatus": f.OwnershipStatus, "severity": f.Severity} {
						if values != nil {
							parts = append(parts, name+": ["+strings.Join(values, ", ")+"]")
						}
					}
					if f.WithoutSeverity {
						parts = append(parts, "not: {severity: [LOW, MEDIUM, HIGH, CRITICAL]}")
					}
					same := answered[struct{ List struct{ TotalCount int } }](t, a, slug, `list: `+list+`(first: 1, filter: {`+strings.Join(parts, ", ")+`}) { totalCount }`)
					require.Equal(t, *first.Value, same.List.TotalCount, "%s %s", count, parts)
				}
			}
		}
	}
	for _, c := range posture.Countings {
		if !shown[c.Count] {
			t.Logf("the demo has no row of %s", c.Count)
		}
	}
	require.GreaterOrEqual(t, len(shown), len(posture.Countings)-1)
}
