package asset

import (
	"context"
	_ "embed"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

//go:embed age.sql
var ageSQL string

var ageQueries = db.Parse("asset.age", ageSQL)

// Thresholds are after which time assets are stale that are looked for and not
// seen, by their kind. One that is not named is never stale.
type Thresholds map[record.AssetKind]time.Duration

// DefaultThresholds are those of the product: ports come and go with machines;
// names, pages and certificates with what people publish.
func DefaultThresholds() Thresholds {
	const day = 24 * time.Hour
	return Thresholds{
		record.HostAsset: 14 * day, record.ServiceAsset: 14 * day,
		record.DomainAsset: 30 * day, record.URLAsset: 30 * day, record.URLPathAsset: 30 * day,
		record.CertificateAsset: 30 * day, record.TechnologyAsset: 30 * day,
	}
}

// Age finds assets stale that somebody looked for where they would have been, and
// that nobody has seen for longer than their threshold. Where nobody looked, nobody
// knows.
func (s *Surface) Age(ctx context.Context, tx *db.Tx, assessment *authority.Assessment) (stale int, err error) {
	known, err := db.Column[bool](ctx, tx, ageQueries.Get("any_active"), nil)
	if err != nil || !known[0] {
		return 0, err
	}
	if err := openWork(ctx, tx); err != nil {
		return 0, err
	}
	m := merger{tx: tx, SurfaceDelivery: authority.SurfaceDelivery{Assessment: assessment}}
	gone, err := m.findStale(ctx, s.thresholds)
	if err != nil || gone == 0 {
		return 0, err
	}
	if err := m.settle(ctx, mergeQueries.Get("analyze_gone"), gone); err != nil {
		return 0, err
	}
	_, err = m.derive(ctx, gone)
	return int(gone), err
}

// findStale leaves what is stale now in gone.
func (m *merger) findStale(ctx context.Context, thresholds Thresholds) (gone int64, err error) {
	kinds := slices.Sorted(maps.Keys(thresholds))
	seconds := make([]float64, len(kinds))
	for i, kind := range kinds {
		seconds[i] = thresholds[kind].Seconds()
	}
	p := m.tx.Pipeline()
	p.Local().Exec(mergeQueries.Get("plan_anew"), nil)
	old := p.Exec(ageQueries.Get("find_old"), pgx.StrictNamedArgs{"at": m.At, "kinds": kinds, "seconds": seconds})
	if err := p.Send(ctx); err != nil {
		return 0, err
	}
	if err := m.settle(ctx, ageQueries.Get("analyze_old"), *old); err != nil || *old == 0 {
		return 0, err
	}
	var found []*int64
	for _, name := range []string{"find_stale", "find_stale_parts", "find_stale_certificates"} {
		found = append(found, p.Exec(ageQueries.Get(name), nil))
	}
	if err := p.Send(ctx); err != nil {
		return 0, err
	}
	for _, n := range found {
		gone += *n
	}
	return gone, nil
}
