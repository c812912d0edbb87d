package rule_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

func fullEvidence() rule.Evidence {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.FixedZone("there", 3600))
	return rule.Evidence{
		ActionsAdded: []string{"delete"}, ActionsUnused: []string{"*"}, ActionsUsed: []string{"get"}, BaselineAt: &at,
		Completeness: map[string]string{"roles": "complete", "binding": "expired"}, FirstSeenAt: &at, Hosts: []string{"a.example & <b>"},
		LastActiveAt: &at, Newly: 1, OwnerSets: 2, Owners: []rule.OwnerEvidence{{ID: someID(1), Name: "A", Status: "active", Type: "group"}},
		RolesAdded: []string{"Editor"}, Assets: []string{"203.0.113.7 tcp/443"}, Sensitivity: "restricted", Unbound: 3, Unresolved: 4, Workloads: 5, Writes: true,
	}
}

func TestEvidenceJSON(t *testing.T) {
	t.Parallel()
	require.Equal(t, "{}", string(rule.Evidence{}.JSON()))
	text := fullEvidence().JSON()
	golden(t, "evidence", string(text)+"\n")

	var again rule.Evidence
	require.NoError(t, json.Unmarshal(text, &again))
	require.Equal(t, text, again.JSON())

	var sorted map[string]json.RawMessage // encoding/json sorts the keys of a map
	require.NoError(t, json.Unmarshal(text, &sorted))
	require.Len(t, sorted, 18, "every field is set")
	keys := func(text []byte) []string {
		var names []string
		decoder, depth := json.NewDecoder(bytes.NewReader(text)), 0
		for {
			token, err := decoder.Token()
			if err != nil {
				return names
			}
			switch token {
			case json.Delim('{'), json.Delim('['):
				depth++
			case json.Delim('}'), json.Delim(']'):
				depth--
			default:
				if name, ok := token.(string); ok && depth == 1 && sorted[name] != nil {
					names = append(names, name)
				}
			}
		}
	}
	require.IsIncreasing(t, keys(text))
	var owner []map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(sorted["owners"], &owner))
	canonical, err := json.Marshal(owner)
	require.NoError(t, err)
	require.Equal(t, string(canonical), string(sorted["owners"]))
}

func TestEvidenceDigest(t *testing.T) {
	t.Parallel()
	subject := someID(7)
	digest := func(change func(*rule.Evidence)) id.ID {
		e := fullEvidence()
		change(&e)
		return e.Digest(rule.ScopeDrift, subject)
	}
	same := digest(func(*rule.Evidence) {})
	later := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, change := range map[string]func(*rule.Evidence){
		"times":        func(e *rule.Evidence) { e.LastActiveAt, e.BaselineAt, e.FirstSeenAt = &later, nil, &later },
		"counts":       func(e *rule.Evidence) { e.Newly, e.Workloads, e.OwnerSets, e.Unbound, e.Unresolved = 9, 9, 9, 9, 9 },
		"completeness": func(e *rule.Evidence) { e.Completeness = nil },
		"a new name":   func(e *rule.Evidence) { e.Owners[0].Name = "B" },
	} {
		require.Equal(t, same, digest(change), name)
	}
	seen := map[id.ID]string{same: "unchanged"}
	for name, change := range map[string]func(*rule.Evidence){
		"owner":       func(e *rule.Evidence) { e.Owners[0].ID = someID(2) },
		"status":      func(e *rule.Evidence) { e.Owners[0].Status = "inactive" },
		"type":        func(e *rule.Evidence) { e.Owners[0].Type = "individual" },
		"host":        func(e *rule.Evidence) { e.Hosts = []string{"b"} },
		"role":        func(e *rule.Evidence) { e.RolesAdded = nil },
		"added":       func(e *rule.Evidence) { e.ActionsAdded = nil },
		"unused":      func(e *rule.Evidence) { e.ActionsUnused = nil },
		"used":        func(e *rule.Evidence) { e.ActionsUsed = nil },
		"sensitivity": func(e *rule.Evidence) { e.Sensitivity = "confidential" },
		"writes":      func(e *rule.Evidence) { e.Writes = false },
	} {
		d := digest(change)
		require.NotContains(t, seen, d, name)
		seen[d] = name
	}
	require.NotEqual(t, same, fullEvidence().Digest(rule.IdentityReuse, subject))
	require.NotEqual(t, same, fullEvidence().Digest(rule.ScopeDrift, someID(8)))
	require.NotEqual(t, same, fullEvidence().Digest(rule.ScopeDrift, id.Nil))

	a, b := rule.OwnerEvidence{ID: someID(1)}, rule.OwnerEvidence{ID: someID(2)}
	require.Equal(t, rule.Evidence{Owners: []rule.OwnerEvidence{a, b}}.Digest(1, subject), rule.Evidence{Owners: []rule.OwnerEvidence{b, a}}.Digest(1, subject))

	expired := rule.Evidence{Completeness: map[string]string{"ownership": "expired"}}
	absent := rule.Evidence{Completeness: map[string]string{"ownership": "not_collected"}}
	require.NotEqual(t, expired.Digest(rule.OwnershipUnknown, subject), absent.Digest(rule.OwnershipUnknown, subject), "that is what the rule is about")
}
