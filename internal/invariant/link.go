package invariant

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/internal/id"
)

const (
	anyPort = 0  // of an endpoint that says none
	noPort  = -1 // of a host or a name
)

// endpoint is where a workload says that it answers.
type endpoint struct {
	workload     id.ID
	basis, value string
	port         int32
}

// leadsTo says whether an endpoint leads to what is on a port of the host that it
// names, or of one behind the name.
func (e endpoint) leadsTo(port int32, behind bool) bool {
	switch {
	case port == noPort:
		return true
	case e.port != anyPort:
		return e.port == port
	case e.basis == "ingress", e.basis == "hostname" && behind: // both are of web servers
		return port == 80 || port == 443
	default:
		return true
	}
}

// link is what an asset and a workload are linked by.
type link struct {
	asset, workload id.ID
	basis           string
}

func (l link) String() string {
	return fmt.Sprintf("link of %s to %s by %s", l.asset, l.workload, l.basis)
}

func (l link) compare(m link) int {
	return cmp.Or(bytes.Compare(l.asset[:], m.asset[:]), bytes.Compare(l.workload[:], m.workload[:]), cmp.Compare(l.basis, m.basis))
}

// linking is what links follow from, and which there have to be.
type linking struct {
	*outside
	endpoints map[string][]endpoint // that stand, by value
	images    map[string][]id.ID    // the workloads that run each
	wanted    map[link]string       // the detail of each
	classes   map[id.ID]map[int32]bool
	sets      map[string]int32 // the class that stands for several, by these
}

// checkLinks holds links against what they follow from, and the classes of assets
// against those of the workloads behind them.
func (o *outside) checkLinks(ctx context.Context) error {
	l := &linking{o, map[string][]endpoint{}, map[string][]id.ID{}, map[link]string{}, map[id.ID]map[int32]bool{}, map[string]int32{}}
	for _, step := range []func(context.Context) error{l.readEndpoints, l.readImages, l.readFiles, l.readSets} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	for of, t := range o.things {
		if t.root != nil && t.kind != "technology" {
			l.expect(of, t)
		}
	}
	if err := l.readLinks(ctx); err != nil {
		return err
	}
	for _, missing := range slices.SortedFunc(maps.Keys(l.wanted), link.compare) {
		o.result.found(missing.String(), "it is missing", l.wanted[missing], "")
	}
	l.checkClasses()
	return nil
}

func (l *linking) readEndpoints(ctx context.Context) error {
	type row struct {
		WorkloadID, SourceID id.ID
		Kind, Value          string
		Port                 int32
		FromAt               time.Time
		ToAt                 *time.Time
	}
	var last *row
	return walk(ctx, l.world.reader, "endpoints", nil,
		func(r *row) pgx.StrictNamedArgs {
			return pgx.StrictNamedArgs{"workload_id": r.WorkloadID, "kind": r.Kind, "value": r.Value, "port": r.Port, "source_id": r.SourceID, "from_at": r.FromAt}
		},
		func(r *row) {
			l.result.Compared++
			subject := func() string {
				return fmt.Sprintf("%s %s port %d of %s by %s", r.Kind, r.Value, r.Port, r.WorkloadID, r.SourceID)
			}
			said := endpoint{r.WorkloadID, r.Kind, r.Value, r.Port}
			if last != nil && said == (endpoint{last.WorkloadID, last.Kind, last.Value, last.Port}) && last.SourceID == r.SourceID {
				l.follow(subject, last.ToAt, r.FromAt)
			}
			l.interval(subject, r.FromAt, r.ToAt)
			if _, lives := l.living(r.WorkloadID); lives && r.ToAt == nil {
				l.endpoints[r.Value] = append(l.endpoints[r.Value], said)
			}
			last = r
		})
}

// living is a workload that is not removed.
func (l *linking) living(of id.ID) (entity, bool) {
	i, named := l.world.index[of]
	if !named || !l.world.known[i] {
		return entity{}, false
	}
	return l.world.entities[i], l.world.entities[i].status != "removed"
}

func (l *linking) readImages(ctx context.Context) error {
	type row struct {
		ID                 id.ID
		ArtifactIdentifier string
	}
	return walk(ctx, l.world.reader, "images", nil,
		func(r *row) pgx.StrictNamedArgs { return pgx.StrictNamedArgs{"id": r.ID} },
		func(r *row) {
			if _, lives := l.living(r.ID); lives {
				for _, image := range strings.Split(r.ArtifactIdentifier, ", ") {
					l.images[image] = append(l.images[image], r.ID)
				}
			}
		})
}

func (l *linking) readFiles(ctx context.Context) error {
	type row struct {
		ID       id.ID
		Artifact string
	}
	return walk(ctx, l.world.reader, "collected_files", nil,
		func(r *row) pgx.StrictNamedArgs { return pgx.StrictNamedArgs{"id": r.ID} },
		func(r *row) {
			for _, workload := range l.images[r.Artifact] {
				l.wanted[link{r.ID, workload, "image"}] = r.Artifact
			}
		})
}

// expect finds what leads to an asset: its own name, or one that resolves to it.
func (l *linking) expect(of id.ID, t thing) {
	port := portOf(t)
	for _, e := range l.answering(*t.root) {
		if e.leadsTo(port, false) {
			l.want(of, e)
		}
	}
	for _, name := range l.names[*t.root] {
		for _, e := range l.answering(name) {
			if e.leadsTo(port, true) {
				l.want(of, e)
			}
		}
	}
}

// answering are the endpoints at a host or a name, also those that stand for any
// label of it.
func (l *linking) answering(at id.ID) []endpoint {
	t := l.things[at]
	exact := l.endpoints[t.value]
	_, domain, dotted := strings.Cut(t.value, ".")
	if t.kind != "domain" || !dotted {
		return exact
	}
	return slices.Concat(exact, l.endpoints["*."+domain])
}

// want expects a link. Of several endpoints the first by value says so.
func (l *linking) want(of id.ID, e endpoint) {
	key := link{of, e.workload, e.basis}
	if detail, already := l.wanted[key]; !already || e.value < detail {
		l.wanted[key] = e.value
	}
}

// portOf reads the port of a service or a page off its value.
func portOf(t thing) int32 {
	var text string
	switch t.kind {
	case "service":
		_, text, _ = strings.Cut(t.value, "/")
	case "url", "url_path":
		_, behind, _ := strings.Cut(t.value, "://")
		authority, _, _ := strings.Cut(behind, "/")
		text = authority[strings.LastIndexByte(authority, ':')+1:]
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return noPort
	}
	return int32(port)
}

// readLinks holds the intervals of links against each other, and those that stand
// against what is wanted.
func (l *linking) readLinks(ctx context.Context) error {
	type row struct {
		AssetID, WorkloadID id.ID
		Basis, Detail       string
		FromAt              time.Time
		ToAt                *time.Time
	}
	var last *row
	return walk(ctx, l.world.reader, "asset_links", nil,
		func(r *row) pgx.StrictNamedArgs {
			return pgx.StrictNamedArgs{"asset_id": r.AssetID, "workload_id": r.WorkloadID, "link_basis": r.Basis, "from_at": r.FromAt}
		},
		func(r *row) {
			l.result.Compared++
			key := link{r.AssetID, r.WorkloadID, r.Basis}
			if last != nil && key == (link{last.AssetID, last.WorkloadID, last.Basis}) {
				l.follow(key.String, last.ToAt, r.FromAt)
			}
			last = r
			l.interval(key.String, r.FromAt, r.ToAt)
			asset, there := l.things[r.AssetID]
			if i, named := l.world.index[r.WorkloadID]; !there || !named || !l.world.known[i] {
				l.result.found(key.String(), "it links what does not exist", "", "")
				return
			}
			if r.FromAt.Before(asset.first) {
				l.result.found(key.String(), "it is older than the asset", instant(asset.first.UnixMicro()), instant(r.FromAt.UnixMicro()))
			}
			if r.ToAt == nil {
				l.stands(key, r.Detail)
			}
		})
}

// stands holds a link that stands against the one that is wanted.
func (l *linking) stands(key link, detail string) {
	want, wanted := l.wanted[key]
	if !wanted {
		l.result.found(key.String(), "nothing says so any more", "", detail)
	} else {
		differ(l.result, key.String(), "what says so", want, detail)
	}
	delete(l.wanted, key)
	if l.classes[key.asset] == nil {
		l.classes[key.asset] = map[int32]bool{}
	}
	workload := l.world.entities[l.world.index[key.workload]]
	l.classes[key.asset][workload.class] = true
}
