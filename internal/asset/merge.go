package asset

import (
	"context"
	"net/netip"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface"
)

// Merge makes what the scan shows the word of its source, and works out what that
// makes of the assets.
func (s *stage) Merge(ctx context.Context, d authority.SurfaceDelivery) (counts authority.SurfaceCounts, differing int64, err error) {
	m := merger{tx: s.tx, SurfaceDelivery: d}
	if err := m.analyze(ctx, mergeQueries.Get("analyze_stage")); err != nil {
		return counts, 0, err
	}
	if err := m.compare(ctx, s); err != nil {
		return counts, 0, err
	}
	gone, err := m.write(ctx)
	if err != nil {
		return counts, 0, err
	}
	differing = m.sightings + m.ties + m.covers + gone
	if m.sightings+gone == 0 {
		counts.Kept = int(m.seen)
		return counts, differing, nil
	}
	counts, err = m.derive(ctx, gone)
	return counts, differing, err
}

// merger is one scan on its way through the statements of merge.sql.
type merger struct {
	authority.SurfaceDelivery
	tx *db.Tx

	seen                    int64 // assets
	sightings, ties, covers int64 // that differ from what the source said
}

// compare finds how the scan differs from what its source said before.
func (m *merger) compare(ctx context.Context, s *stage) error {
	source := pgx.StrictNamedArgs{"source": m.Source}
	p := m.tx.Pipeline()
	p.Exec(mergeQueries.Get("resolve_certificates"), nil)
	seen := p.Local().Exec(mergeQueries.Get("find_seen"), nil)
	shown := p.Local().Exec(mergeQueries.Get("find_shown"), nil)
	if !m.Partial && !s.blind {
		p.Local().Exec(mergeQueries.Get("find_looked"), s.doubts())
	}
	p.Local().Exec(mergeQueries.Get("plan_anew"), nil)
	sightings := p.Exec(mergeQueries.Get("diff_sightings"), source)
	ties := p.Exec(mergeQueries.Get("diff_ties"), source)
	covers := p.Exec(mergeQueries.Get("diff_covers"), source)
	if err := p.Send(ctx); err != nil {
		return err
	}
	m.seen, m.sightings, m.ties, m.covers = *seen-*shown, *sightings, *ties, *covers
	return m.settle(ctx, mergeQueries.Get("analyze_seen"), *sightings+*ties+*covers)
}

// doubts are the hosts and domains that rejected records were about.
func (s *stage) doubts() pgx.StrictNamedArgs {
	roots, addresses, names := []id.ID{}, []netip.Addr{}, []string{}
	for ref := range s.doubted {
		roots = append(roots, s.assetID(ref))
		if ref.Kind == record.HostAsset {
			addresses = append(addresses, surface.Address(ref))
		} else {
			names = append(names, ref.Value)
		}
	}
	return pgx.StrictNamedArgs{"roots": roots, "addresses": addresses, "names": names}
}

// write makes the difference the source's word, and finds what is gone by it.
func (m *merger) write(ctx context.Context) (gone int64, err error) {
	source, dated := pgx.StrictNamedArgs{"source": m.Source}, pgx.StrictNamedArgs{"at": m.At}
	both := pgx.StrictNamedArgs{"source": m.Source, "at": m.At}
	p := m.tx.Pipeline()
	exec := func(name string, args pgx.StrictNamedArgs) *int64 { return p.Exec(mergeQueries.Get(name), args) }
	for _, step := range []struct {
		differing int64
		name      string
		args      pgx.StrictNamedArgs
	}{
		{m.sightings, "end_sightings", both}, {m.ties, "end_ties", both}, {m.covers, "end_covers", both},
		{m.sightings, "add_assets", dated}, {m.sightings, "learn_digests", nil},
		{m.sightings, "add_sightings", both}, {m.ties, "add_ties", both}, {m.covers, "add_covers", both},
	} {
		if step.differing > 0 {
			exec(step.name, step.args)
		}
	}
	closed, replaced, below := exec("find_closed", nil), exec("find_replaced", source), exec("find_below", nil)
	if err := p.Send(ctx); err != nil {
		return 0, err
	}
	gone = *closed + *replaced + *below
	return gone, m.settle(ctx, mergeQueries.Get("analyze_gone"), gone)
}

// derive works out what the assets of the change are now, and writes what differs
// beside what was.
func (m *merger) derive(ctx context.Context, gone int64) (counts authority.SurfaceCounts, err error) {
	p, dated := m.tx.Pipeline(), pgx.StrictNamedArgs{"at": m.At}
	if gone > 0 {
		silence(p, dated)
	}
	next, subjects := p.Exec(mergeQueries.Get("derive_assets"), nil), p.Exec(mergeQueries.Get("derive_subjects"), nil)
	if err := p.Send(ctx); err != nil {
		return counts, err
	}
	if err := m.settle(ctx, mergeQueries.Get("analyze_next"), *next+*subjects); err != nil {
		return counts, err
	}
	p.Exec(mergeQueries.Get("derive_technology"), nil)
	found := db.Queue[authority.SurfaceCounts](p, mergeQueries.Get("count_next"), dated)
	p.Exec(mergeQueries.Get("keep_versions"), dated)
	p.Exec(mergeQueries.Get("update_assets"), dated)
	if err := p.Send(ctx); err != nil {
		return counts, err
	}
	return *(*found)[0], nil
}

// silence ends what is said of assets that are gone.
func silence(p *db.Pipeline, dated pgx.StrictNamedArgs) {
	for _, name := range []string{"silence", "end_ties_from_gone", "end_ties_to_gone"} {
		p.Exec(mergeQueries.Get(name), dated)
	}
}

// settle has what follows planned by how many rows there are now.
func (m *merger) settle(ctx context.Context, analyze db.Query, rows int64) error {
	if err := m.Filled(ctx, m.tx, &rows); err != nil {
		return err
	}
	if m.Few {
		_, err := db.Exec(ctx, m.tx.Local(), mergeQueries.Get("plan_once"), nil)
		return err
	}
	return m.analyze(ctx, analyze)
}

func (m *merger) analyze(ctx context.Context, script db.Query) error {
	if m.Few {
		return nil
	}
	return m.tx.Script(ctx, script)
}
