package change

import (
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

var update = flag.Bool("update", false, "write testdata/titles.txt again")

// TestTitles holds what events are called to a file.
func TestTitles(t *testing.T) {
	t.Parallel()
	identity, long := "billing-bot", strings.Repeat("ä", 130)
	observed := time.Date(2026, 3, 1, 12, 0, 0, 0, time.FixedZone("", 3600))
	many := []string{"create", "delete", "get", "list", "patch", "update", "watch"}
	titles := []string{
		discoveredTitle("billing", "ledger", &identity),
		discoveredTitle("billing", "ledger", nil),
		discoveredTitle(long, long, &long),
		removedTitle("billing", "ledger", &identity),
		reappearedTitle("billing", "ledger", &identity, 49*time.Hour),
		reappearedTitle("billing", "ledger", nil, 24*time.Hour),
		reappearedTitle("billing", "ledger", nil, 3*time.Hour),
		reappearedTitle("billing", "ledger", nil, 90*time.Second),
		reappearedTitle("billing", "ledger", nil, time.Second),
		rotationTitle("billing", "billing-bot", "billing-bot-2"),
		scopeTitle("billing", "ledger", []string{"delete"}, []string{"get", "list"}, true, true),
		scopeTitle("billing", "ledger", many, nil, true, true),
		scopeTitle("billing", "ledger", nil, []string{"get"}, true, true),
		scopeTitle("billing", "ledger", nil, nil, false, true),
		scopeTitle("billing", "ledger", nil, nil, true, false),
		scopeTitle("billing", "ledger", nil, nil, true, true),
		sensitivityTitle("billing", "ledger", "internal", "restricted"),
		syncTitle(&scanRow{Source: "cmdb", System: "prod", Outcome: "applied", PathsAdded: 1, PathsChanged: 2, PathsRemoved: 3, ExposuresOpened: 4, ExposuresResolved: 5}),
		syncTitle(&scanRow{Source: "cmdb", System: "prod", Outcome: "unchanged"}),
		lateTitle(&scanRow{Source: "cmdb", System: "prod", Outcome: "late", ObservedAt: observed}),
	}
	titles = append(titles, assetTitles(long)...)
	for _, definition := range rule.Definitions {
		titles = append(titles, openedTitle(definition.Type, rule.High, "billing", "ledger"))
	}
	titles = append(titles, resolvedTitle(rule.OrphanedPath, "path_removed", "billing", "ledger"),
		disposedTitle(rule.OrphanedPath, "open", "false_positive", "billing", "ledger"))

	text := strings.Join(titles, "\n") + "\n"
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile("testdata/titles.txt", []byte(text), 0o644))
	}
	want, err := os.ReadFile("testdata/titles.txt")
	require.NoError(t, err)
	require.Equal(t, string(want), text)
}

// assetTitles are what events of assets are called, with what they say and without.
func assetTitles(long string) (titles []string) {
	row := func(kind record.AssetKind, value, parent, attributes string) *foundRow {
		return &foundRow{assetRow: assetRow{Kind: kind, Value: value, Parent: &parent, Protocol: new("tcp"), Port: new(443), Origin: new("https://shop.example.com:443"),
			Attributes: json.RawMessage(attributes)}, FileName: new("report.pdf")}
	}
	const digest, page = "90db9821e9aa5b6d5ef0a3d3ed9bd3ed9c7a6bc0dd1e0a5b2c4f0a7d2e103ea8", "https://shop.example.com:443/cart"
	for _, found := range []*foundRow{
		row(record.HostAsset, "10.0.0.5", "", `{}`), row(record.DomainAsset, "shop.example.com", "", `{}`),
		row(record.ServiceAsset, "10.0.0.5 tcp/443", "10.0.0.5", `{"name": "https"}`), row(record.ServiceAsset, "10.0.0.5 tcp/443", "10.0.0.5", `{"name": 7}`),
		row(record.URLAsset, page+"?id=1", "shop.example.com", `{}`), row(record.URLPathAsset, page, "shop.example.com", `{}`), row(record.URLPathAsset, page+long, "shop.example.com", `{}`),
		row(record.TechnologyAsset, "10.0.0.5 tcp/443 nginx", "10.0.0.5 tcp/443", `{"name": "nginx", "version": "1.25"}`),
		row(record.TechnologyAsset, "10.0.0.5 tcp/443 nginx", "10.0.0.5 tcp/443", `{"name": "nginx"}`),
		row(record.CertificateAsset, digest, "", `{"subject": "CN=shop.example.com"}`), row(record.CertificateAsset, digest, "", `{}`),
	} {
		titles = append(titles, foundTitle(found), staleTitle(&found.assetRow, 15*24*time.Hour), seenAgainTitle(&found.assetRow, 36*time.Hour))
	}
	service := &row(record.ServiceAsset, "10.0.0.5 tcp/443", "10.0.0.5", `{}`).assetRow
	return append(titles, foundTitle(row(record.FileAsset, digest, "", `{}`)), portTitle(service, "opened"), portTitle(service, "closed"),
		technologyTitle(service, []string{"nginx 1.24"}, []string{"nginx 1.25"}), technologyTitle(service, []string{"nginx", "PHP 8"}, []string{"Apache httpd", "Tomcat"}),
		technologyTitle(service, []string{"PHP 8"}, nil), technologyTitle(service, []string{long}, []string{long, long}),
		syncTitle(&scanRow{Source: "nmap", System: "lan", Outcome: "applied", Scans: true, AssetsAdded: 1, AssetsChanged: 2, AssetsGone: 3, ExposuresOpened: 1}))
}

// TestKeys: whatever differs in what happened differs in the id, and nothing else.
func TestKeys(t *testing.T) {
	t.Parallel()
	acme := id.Organization("acme")
	one, other := id.New("one").Short(), id.New("other").Short()
	at := time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)
	k := key{kind: ExposureOpened, subject: one, entity: one, exposure: rule.OrphanedPath, ordinal: 1, at: at}
	same := k
	same.at = at.In(time.FixedZone("elsewhere", 7200))
	require.Equal(t, k.id(acme), same.id(acme), "the zone says nothing")

	seen := map[id.ID]string{k.id(acme): "the first", k.id(id.Organization("rival")): "organization"}
	require.Len(t, seen, 2)
	for name, vary := range map[string]func(k *key){
		"kind": func(k *key) { k.kind = ExposureResolved }, "subject": func(k *key) { k.subject = other }, "entity": func(k *key) { k.entity = other },
		"type": func(k *key) { k.exposure = rule.SensitiveReach }, "ordinal": func(k *key) { k.ordinal = 2 }, "at": func(k *key) { k.at = at.Add(time.Microsecond) },
		"no exposure": func(k *key) { k.exposure, k.ordinal = 0, 0 },
	} {
		varied := k
		vary(&varied)
		require.NotContains(t, seen, varied.id(acme), name)
		seen[varied.id(acme)] = name
	}
}

// Every kind has its things, and every thing a kind.
func TestKinds(t *testing.T) {
	t.Parallel()
	require.Len(t, about, len(Emitted))
	told := map[EntityType]bool{}
	for _, kind := range Emitted {
		require.NotEmpty(t, kind.EntityTypes(), kind)
		for _, of := range kind.EntityTypes() {
			require.Contains(t, EntityTypes, of, kind)
			told[of] = true
		}
		require.True(t, kind.Known())
	}
	require.Len(t, told, len(EntityTypes))
	require.Len(t, Reserved, 2)
	for _, kind := range Reserved {
		require.True(t, kind.Known())
		require.NotContains(t, Emitted, kind)
	}
	require.False(t, Kind("nothing").Known())
}

// Lists are cut where they are long, and then say how long they are.
func TestLongLists(t *testing.T) {
	t.Parallel()
	long := make([]string, shownItems+1)
	v := values{}
	v.list("short", long[:shownItems])
	v.list("long", long)
	require.Len(t, v["short"], shownItems)
	require.Len(t, v["long"], shownItems)
	require.NotContains(t, v, "shortTotal")
	require.Equal(t, shownItems+1, v["longTotal"])
}
