package asset_test

import (
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface/surfacetest"
	"github.com/exposuregraph/exposuregraph/internal/posture"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

func requireCode(t testing.TB, err error, code string) {
	t.Helper()
	var fault *problem.Error
	require.ErrorAs(t, err, &fault)
	require.Equal(t, code, fault.Code)
}

// entities delivers what is no scan.
func (b *bench) entities(source string, names ...string) (*authority.SyncReport, error) {
	b.advance(time.Hour)
	return b.service.Sync(b.ctx, authority.SyncRequest{Organization: "acme", Source: source, System: "nmap", Format: "snapshot", CreateOrganization: true}, func(out record.Emitter) error {
		for _, name := range names {
			if err := out.Record(record.Record{Fact: record.Entity{Ref: record.Ref{Kind: record.Workload, SourceID: name}}}); err != nil {
				return err
			}
		}
		return nil
	})
}

func TestSourcesTellOfOneThing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	scan := surfacetest.Up("10.0.0.1", 22).Sighting
	b.scan(t, authority.SyncRequest{Source: "scanner", System: "nmap"}, scan)
	_, err := b.entities("scanner", "w")
	requireCode(t, err, "SOURCE_OF_ANOTHER_KIND")
	_, err = b.entities("cluster", "w")
	require.NoError(t, err)
	_, err = b.tryScan(b.service, authority.SyncRequest{Source: "cluster", System: "nmap"}, scan)
	requireCode(t, err, "SOURCE_OF_ANOTHER_KIND")
	require.Len(t, b.standing(t), 2, "and nothing was taken back")

	bare := authority.New(b.DB, exposure.NewAssessor(rule.Definitions, posture.New(posture.Definitions)), b.now, slog.New(slog.DiscardHandler))
	_, err = b.tryScan(bare, authority.SyncRequest{Source: "scanner", System: "nmap"}, scan)
	requireCode(t, err, "SCANS_UNSUPPORTED")
	_, err = b.service.Sync(b.ctx, authority.SyncRequest{Organization: "acme", Source: "cluster", System: "nmap", Format: "snapshot"}, func(out record.Emitter) error {
		return out.Record(record.Record{Fact: scan})
	})
	require.ErrorContains(t, err, "nobody else has any")
}

// A delivery that is no scan goes without the lane.
func TestEntitiesGoWithoutTheLane(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.scan(t, authority.SyncRequest{Source: "scanner"}, surfacetest.Up("10.0.0.1", 22).Sighting)
	b.Statements.Reset()
	_, err := b.entities("cluster", "w", "v")
	require.NoError(t, err)
	for _, name := range b.Statements.Sent() {
		require.False(t, strings.HasPrefix(name, "asset.merge.") || strings.HasPrefix(name, "asset.age."), name)
	}
}

// What others closed or an evaluation found stale is seen again by a scan that says
// what its source said before.
func TestTheSameScanSeesAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ours, theirs := authority.SyncRequest{Source: "ours"}, authority.SyncRequest{Source: "theirs"}
	scan := surfacetest.Up("10.0.0.1", 22).Sighting
	b.scan(t, ours, scan)
	report := b.scan(t, theirs, surfacetest.Up("10.0.0.1").Probed("10.0.0.1", "10.0.0.1", 1, 1024).Sighting)
	require.Equal(t, 1, report.Assets.Gone)
	require.Equal(t, authority.SurfaceCounts{Changed: 1, Kept: 1}, b.scan(t, ours, scan).Assets)

	// They look every day and see nothing; what they say stays the same.
	probe := record.Sighting{Covers: []record.Cover{{Of: record.HostAsset, From: netip.MustParseAddr("10.0.0.1"), To: netip.MustParseAddr("10.0.0.1")}}}
	b.scan(t, authority.SyncRequest{Source: "watch"}, probe)
	require.Zero(t, b.evaluate(t, authority.ByTime).Stale)
	b.scan(t, ours, scan)
	b.advance(20 * day)
	require.Zero(t, b.evaluate(t, authority.ByTime).Stale, "nobody looked")
	require.Equal(t, authority.Unchanged, b.scan(t, authority.SyncRequest{Source: "watch"}, probe).Outcome)
	require.Equal(t, 2, b.evaluate(t, authority.ByTime).Stale, "the host, and the port on it")
	require.Equal(t, []string{"host 10.0.0.1 stale", "service 10.0.0.1 tcp/22 stale open"}, b.standing(t))
	require.Equal(t, 2, b.scan(t, ours, scan).Assets.Changed)
	require.Equal(t, []string{"host 10.0.0.1 active", "service 10.0.0.1 tcp/22 active open"}, b.standing(t))
}

// A certificate is one asset, whichever of its digests a scanner says.
func TestACertificateIsOne(t *testing.T) {
	t.Parallel()
	b := setup(t)
	on := surfacetest.Service("10.0.0.1", 443)
	certificate := func(sha256, sha1 string) record.Sighting {
		return surfacetest.Up("10.0.0.1", 443).Presents(on, sha256, sha1).Sighting
	}
	certificates := func() []string {
		return rows[string](t, b.super, `SELECT concat_ws(' ', value, sha1, (SELECT count(*) FROM asset_tie t WHERE t.organization_id = a.organization_id AND t.to_id = a.id AND t.to_at IS NULL))
			FROM asset a WHERE organization_id = $1 AND kind = 'certificate' ORDER BY value`)
	}
	b.scan(t, authority.SyncRequest{Source: "sslyze"}, certificate(shaA, ""))
	b.scan(t, authority.SyncRequest{Source: "old"}, certificate("", oneA))
	require.Equal(t, []string{oneA + " " + oneA + " 1", shaA + " 1"}, certificates(), "nobody knows yet that they are one")
	b.scan(t, authority.SyncRequest{Source: "sslyze"}, certificate(shaA, oneA))
	require.Equal(t, []string{oneA + " " + oneA + " 1", shaA + " " + oneA + " 1"}, certificates())

	b = setup(t)
	b.scan(t, authority.SyncRequest{Source: "testssl"}, certificate(shaA, oneA))
	b.scan(t, authority.SyncRequest{Source: "old"}, certificate("", oneA))
	require.Equal(t, []string{shaA + " " + oneA + " 2"}, certificates())

	b = setup(t)
	b.scan(t, authority.SyncRequest{Source: "old"}, certificate("", oneA))
	b.scan(t, authority.SyncRequest{Source: "testssl"}, certificate(shaA, oneA))
	require.Equal(t, []string{oneA + " " + oneA + " 2"}, certificates(), "it keeps the name it was born with")

	b = setup(t)
	second := surfacetest.Up("10.0.0.2", 443).Presents(surfacetest.Service("10.0.0.2", 443), shaA, oneA).Sighting
	b.scan(t, authority.SyncRequest{Source: "both"}, certificate("", oneA), second)
	require.Equal(t, []string{shaA + " " + oneA + " 2"}, certificates(), "and in one scan it has the better one")
}
