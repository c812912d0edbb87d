package asset_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"sort"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/change"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// What the feed has to tell of a step, by docs/changes.md: the reference model as it
// was before against the model as it is.

// stood is what an asset was before a step.
type stood struct {
	condition
	lastSeen time.Time
}

func (w *outside) standing() map[record.AssetRef]stood {
	all := map[record.AssetRef]stood{}
	for ref, t := range w.things {
		all[ref] = stood{t.now, w.lastSeen(t)}
	}
	return all
}

// discoveries are what is told of an asset that is new.
var discoveries = map[record.AssetKind]change.Kind{
	record.DomainAsset: change.AssetDiscovered, record.HostAsset: change.AssetDiscovered, record.TechnologyAsset: change.AssetDiscovered,
	record.ServiceAsset: change.ServiceDiscovered, record.URLAsset: change.URLDiscovered, record.URLPathAsset: change.WebPathDiscovered,
	record.CertificateAsset: change.CertificateDiscovered,
}

// entityTypes are what the feed calls the kinds of assets.
var entityTypes = map[record.AssetKind]change.EntityType{
	record.DomainAsset: change.OfAsset, record.HostAsset: change.OfAsset, record.TechnologyAsset: change.OfAsset,
	record.ServiceAsset: change.OfService, record.URLAsset: change.OfURL, record.URLPathAsset: change.OfURLPath,
	record.CertificateAsset: change.OfCertificate,
}

// words are values of an event.
type words map[string]any

func eventLine(kind change.Kind, ref record.AssetRef, before, after words) string {
	return fmt.Sprintf("%s of %s %s %s: %s > %s", kind, entityTypes[ref.Kind], ref.Kind, ref.Value, text(before), text(after))
}

// events are what a step at an instant comes to.
func (w *outside) events(before map[record.AssetRef]stood, at time.Time) []string {
	lines := []string{}
	for ref, t := range w.things {
		tell := func(kind change.Kind, old, now words) { lines = append(lines, eventLine(kind, ref, old, now)) }
		old, known := before[ref]
		is, was := t.now.Status, old.Status
		service := ref.Kind == record.ServiceAsset
		switch {
		case !known:
			tell(discoveries[ref.Kind], nil, nil)
			if _, onKnown := before[t.Parent]; service && onKnown {
				state := words{"state": nil}
				for _, l := range w.looks {
					if looked, _ := l.has(t, record.ServiceAsset, nil); looked && l.at.Before(at) {
						state = words{"state": "closed"}
					}
				}
				tell(change.PortOpened, state, t.now.answer())
			}
		case was == "active" && is == "stale":
			tell(change.AssetStale, words{"lastSeenAt": nanos(old.lastSeen)}, words{"unseenSeconds": whole(old.lastSeen, at)})
		case was == "stale" && is == "active":
			tell(change.AssetReappeared, words{"lastSeenAt": nanos(old.lastSeen)}, words{"goneSeconds": whole(old.lastSeen, at)})
		case service && was != "closed" && is == "closed":
			tell(change.PortClosed, old.answer(), words{"state": t.now.State})
		case service && was == "closed" && is == "active":
			tell(change.PortOpened, words{"state": old.State}, t.now.answer())
		case was == "active" && is == "active":
			if ran, runs := old.runs(), t.now.runs(); ran.contradicted(runs) {
				tell(change.TechnologyChanged, ran.words(service), runs.words(service))
			}
		}
	}
	sort.Strings(lines)
	return lines
}

func nanos(at time.Time) string { return at.UTC().Format(time.RFC3339Nano) }

func whole(from, to time.Time) int64 { return int64(to.Sub(from) / time.Second) }

// ran is what a service or a page ran: versions by product, empty where nobody knows,
// and what the service spoke.
type ran struct {
	versions map[string]string
	list     []words
	speaks   string
}

func (c condition) runs() ran {
	r := ran{versions: map[string]string{}, list: []words{}}
	var all []struct {
		Name, Version string
		Service       bool
	}
	if c.Technology != "" {
		if err := json.Unmarshal([]byte(c.Technology), &all); err != nil {
			panic(err)
		}
	}
	for _, one := range all {
		if one.Service {
			r.speaks = one.Name
			continue
		}
		r.versions[strings.ToLower(one.Name)] = one.Version
		product := words{"name": one.Name, "version": nil}
		if one.Version != "" {
			product["version"] = one.Version
		}
		r.list = append(r.list, product)
	}
	return r
}

// contradicted says whether something is gone, or is another one.
func (r ran) contradicted(now ran) bool {
	if r.speaks != "" && now.speaks != "" && !strings.EqualFold(r.speaks, now.speaks) {
		return true
	}
	for name, version := range r.versions {
		next, there := now.versions[name]
		if !there || version != "" && next != "" && version != next {
			return true
		}
	}
	return false
}

func (r ran) words(service bool) words {
	all := words{"technology": r.list}
	if service {
		all["name"] = nil
		if r.speaks != "" {
			all["name"] = r.speaks
		}
	}
	return all
}

// answer is how a port answers, and who does.
func (c condition) answer() words {
	var attributes words
	if err := json.Unmarshal([]byte(c.Attributes), &attributes); err != nil {
		panic(err)
	}
	return words{"state": c.State, "name": attributes["name"], "technology": c.runs().list}
}

// listener has heard the feed up to its head.
type listener struct {
	*bench
	sequencer *change.Sequencer
	head      int64
}

// listen begins at the head, which outlives the history that a check leaves behind.
func (b *bench) listen(t *rapid.T) *listener {
	t.Helper()
	head := rows[int64](t, b.super, `SELECT coalesce(max(seq), 0) FROM change_head WHERE id = $1`)
	return &listener{bench: b, sequencer: change.NewSequencer(b.DB, b.now, slog.New(slog.DiscardHandler)), head: head[0]}
}

// hears publishes what happened since, and holds it against what should be told of
// an instant, of assets and, if it was a delivery, of that.
func (l *listener) hears(t *rapid.T, w *outside, at time.Time, scan *authority.SyncReport, expected []string) {
	t.Helper()
	begin := l.head
	head, err := l.sequencer.Drain(l.ctx, id.Organization("acme"))
	require.NoError(t, err)
	l.head = head
	refs := map[id.ID]record.AssetRef{}
	for ref := range w.things {
		refs[id.Asset(id.Organization("acme"), string(ref.Kind), ref.Value)] = ref
	}
	found, err := l.super.Query(l.ctx, `SELECT seq, id, change_type, entity_type, entity_id, asset_id, scan_id, scan_job_id, at,
		coalesce(old_value, 'null')::text, CASE WHEN old_value IS NULL THEN 'null' ELSE (new_value - '{lookedAt,lookedBy}'::text[])::text END
		FROM exposure_changes WHERE organization_id = $1 AND seq > $2 ORDER BY seq`, id.Organization("acme"), begin)
	require.NoError(t, err)
	defer found.Close()
	told, deliveries, ids := []string{}, []string{}, map[id.ID]bool{}
	for found.Next() {
		var (
			seq                 int64
			event, entity       id.ID
			of, scanID, sourced *id.ID
			kind, entityType    string
			old, now            string
			when                time.Time
		)
		require.NoError(t, found.Scan(&seq, &event, &kind, &entityType, &entity, &of, &scanID, &sourced, &when, &old, &now))
		begin++
		require.Equal(t, begin, seq)
		require.False(t, ids[event], "told twice")
		ids[event] = true
		require.Equal(t, nanos(at), nanos(when), kind)
		if scan == nil {
			require.Nil(t, scanID, kind)
			require.Nil(t, sourced, kind)
		} else {
			require.Equal(t, &scan.SyncID, scanID, kind)
			source := id.Source(id.Organization("acme"), scan.Source, scan.System)
			require.Equal(t, &source, sourced, kind)
		}
		if entityType == string(change.OfSync) {
			require.Equal(t, scan.SyncID, entity)
			deliveries = append(deliveries, kind)
			continue
		}
		require.Equal(t, &entity, of, kind)
		ref, known := refs[entity]
		require.True(t, known, "%s of no asset", kind)
		told = append(told, fmt.Sprintf("%s of %s %s %s: %s > %s", kind, entityType, ref.Kind, ref.Value, form(old), form(now)))
	}
	require.NoError(t, found.Err())
	require.Equal(t, head, begin)
	sort.Strings(told)
	require.Equal(t, expected, told)
	require.Equal(t, deliveryOf(scan), deliveries)
}

// deliveryOf is what is told of a delivery itself.
func deliveryOf(scan *authority.SyncReport) []string {
	switch {
	case scan == nil || scan.Outcome == authority.Repeated:
		return []string{}
	case scan.Outcome == authority.Late:
		return []string{string(change.SyncLate)}
	}
	return []string{string(change.SyncApplied)}
}
