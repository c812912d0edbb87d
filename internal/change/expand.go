package change

import (
	"bytes"
	"context"
	_ "embed"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/change/outbox"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

//go:embed expand.sql
var expandSQL string

var expandQueries = db.Parse("change.expand", expandSQL)

// The stages in which what happened at an instant is gone through.
const (
	stageSync int16 = iota + 1
	stageRotation
	stageDiscovered
	stageChanged
	stageOpened
	stageResolved
	stageDisposed
	stageAssetDiscovered
	stageAssetChanged

	stages = stageAssetChanged
)

// everything is more rows than a statement will find.
const everything = math.MaxInt32

// occurrence is a row of the outbox.
type occurrence struct {
	At     time.Time
	Cause  outbox.Cause
	Urgent bool
	Size   int
	position
	Attempts int16
}

// needs says whether the occurrence can have something in a stage. A delivery that
// changed nothing tells of itself alone.
func (o *occurrence) needs(stage int16) bool {
	switch o.Cause {
	case outbox.Sync:
		return stage == stageSync || stage != stageDisposed && o.Size > 1
	case outbox.Evaluation:
		return stage >= stageDiscovered && stage < stageDisposed || stage == stageAssetChanged
	}
	return stage >= stageResolved && stage <= stageAssetDiscovered // a file is collected as a decision is made
}

// position is how far a large occurrence has been expanded: the stage, and the key
// behind which that goes on.
type position struct {
	Stage        int16
	AfterID      id.ID `db:"after_id"`
	AfterType    int16
	AfterOrdinal int32
}

// begin is the position before a stage.
func begin(stage int16) position { return position{Stage: stage} }

// ended is the position behind everything.
func (p position) ended() bool { return p.Stage > stages }

func (p position) args(ats []time.Time, limit int) pgx.StrictNamedArgs {
	return pgx.StrictNamedArgs{"ats": ats, "after_id": p.AfterID, "limit": limit}
}

func (p position) exposureArgs(ats []time.Time, limit int) pgx.StrictNamedArgs {
	args := p.args(ats, limit)
	args["after_type"], args["after_ordinal"] = p.AfterType, p.AfterOrdinal
	return args
}

// The rows of the stages.
type (
	scanRow struct {
		At              time.Time
		ID              id.ID
		SourceID        id.ID
		Source          string
		System          string
		Version         int64
		ObservedAt      time.Time
		Outcome         string
		Complete        bool
		RecordsRead     int
		RecordsRejected int

		PathsAdded, PathsChanged, PathsRemoved int
		ExposuresOpened, ExposuresResolved     int

		Scans                                  bool // it tells of assets
		AssetsAdded, AssetsChanged, AssetsGone int
	}

	evaluationRow struct {
		At    time.Time
		Cause string
	}

	rotatedRow struct {
		At                       time.Time
		WorkloadID               id.ID
		FromIdentity, ToIdentity id.ID
		Class                    int
		LineagesKept             int
	}

	// route is what a path connects.
	route struct {
		LineageID  id.ID
		WorkloadID id.ID
		IdentityID *id.ID
		ResourceID id.ID
	}

	discoveredRow struct {
		At time.Time
		ID id.ID
		route
		Class         int
		Status        string
		Effective     bool
		RoleIDs       []id.ID `db:"role_ids"`
		Actions       []string
		Sensitivity   authority.Sensitivity
		DataDomain    *string
		PredecessorID *id.ID
	}

	changedRow struct {
		discoveredRow
		CompositionHash    []byte
		SuccessorID        *id.ID
		OldStatus          string
		OldFrom            time.Time
		OldClass           int
		OldEffective       bool
		OldRoleIDs         []id.ID `db:"old_role_ids"`
		OldActions         []string
		OldCompositionHash []byte
		OldSensitivity     authority.Sensitivity
		OldDataDomain      *string
	}

	// exposedRow is what the stages of exposures have in common.
	exposedRow struct {
		At      time.Time
		PathID  id.ID
		Type    rule.Type
		Ordinal int
		route
		Class       int
		Severity    rule.Severity
		Explanation string
		Disposition exposure.Disposition
	}

	openedRow struct {
		exposedRow
		EffectiveFrom  time.Time
		EffectiveBasis rule.Basis
		LineageFrom    time.Time
	}

	resolvedRow struct {
		exposedRow
		EffectiveFrom    time.Time
		ResolutionReason rule.Reason
		DecidedSeq       *int64
	}

	disposedRow struct {
		exposedRow
		DecidedSeq     *int64
		Version        int
		OldDisposition exposure.Disposition
		OldVersion     int
		Actor          *string
		BatchID        *id.ID
		Body           []byte
	}

	// besideRow is what else happened to a path at an instant.
	besideRow struct {
		PathID      id.ID
		At          time.Time
		LineageID   id.ID
		Discovered  bool
		OldStatus   *string
		Status      *string
		Scope       bool
		Sensitivity bool
	}

	nameRow struct {
		ID         id.ID
		At         time.Time
		Kind       string
		ExternalID string
		Name       string
	}
)

// expansion is what was found of some occurrences.
type expansion struct {
	organization id.ID
	causes       map[int64]outbox.Cause // by instant

	scans       *[]*scanRow
	evaluations *[]*evaluationRow

	told       bool // stageSync is among the stages
	rotated    *[]*rotatedRow
	discovered *[]*discoveredRow
	changed    *[]*changedRow
	opened     *[]*openedRow
	resolved   *[]*resolvedRow
	disposed   *[]*disposedRow
	found      *[]*foundRow
	altered    *[]*alteredRow
}

// tick is an instant as a key of a map, whatever zone it came in.
func tick(at time.Time) int64 { return at.UnixMicro() }

func newExpansion(organization id.ID, p *db.Pipeline, list []*occurrence) *expansion {
	x := &expansion{
		organization: organization, causes: make(map[int64]outbox.Cause, len(list)),
		rotated: new([]*rotatedRow), discovered: new([]*discoveredRow), changed: new([]*changedRow),
		opened: new([]*openedRow), resolved: new([]*resolvedRow), disposed: new([]*disposedRow),
		found: new([]*foundRow), altered: new([]*alteredRow),
		scans: new([]*scanRow), evaluations: new([]*evaluationRow),
	}
	ats := map[outbox.Cause][]time.Time{}
	for _, o := range list {
		x.causes[tick(o.At)] = o.Cause
		ats[o.Cause] = append(ats[o.Cause], o.At)
	}
	if len(ats[outbox.Sync]) > 0 {
		x.scans = db.Queue[scanRow](p, expandQueries.Get("scans"), pgx.StrictNamedArgs{"ats": ats[outbox.Sync]})
	}
	if len(ats[outbox.Evaluation]) > 0 {
		x.evaluations = db.Queue[evaluationRow](p, expandQueries.Get("evaluations"), pgx.StrictNamedArgs{"ats": ats[outbox.Evaluation]})
	}
	return x
}

// queue has a stage read, from a position on.
func (x *expansion) queue(p *db.Pipeline, from position, ats []time.Time, limit int) {
	switch from.Stage {
	case stageSync:
		x.told = true // its rows are read whatever the stage is
	case stageRotation:
		x.rotated = db.Queue[rotatedRow](p, expandQueries.Get("rotated"), from.args(ats, limit))
	case stageDiscovered:
		x.discovered = db.Queue[discoveredRow](p, expandQueries.Get("discovered"), from.args(ats, limit))
	case stageChanged:
		x.changed = db.Queue[changedRow](p, expandQueries.Get("changed"), from.args(ats, limit))
	case stageOpened:
		x.opened = db.Queue[openedRow](p, expandQueries.Get("opened"), from.exposureArgs(ats, limit))
	case stageResolved:
		x.resolved = db.Queue[resolvedRow](p, expandQueries.Get("resolved"), from.exposureArgs(ats, limit))
	case stageDisposed:
		x.disposed = db.Queue[disposedRow](p, expandQueries.Get("disposed"), from.exposureArgs(ats, limit))
	case stageAssetDiscovered:
		x.found = db.Queue[foundRow](p, expandQueries.Get("assets_discovered"), from.args(ats, limit))
	case stageAssetChanged:
		x.altered = db.Queue[alteredRow](p, expandQueries.Get("assets_changed"), from.args(ats, limit))
	}
}

// whole reads all of what happened in some occurrences, in one round trip.
func whole(ctx context.Context, tx *db.Tx, organization id.ID, list []*occurrence) (*expansion, error) {
	p := tx.Pipeline()
	x := newExpansion(organization, p, list)
	for stage := stageSync; stage <= stages; stage++ {
		var ats []time.Time
		for _, o := range list {
			if o.needs(stage) {
				ats = append(ats, o.At)
			}
		}
		if len(ats) > 0 {
			x.queue(p, begin(stage), ats, everything)
		}
	}
	return x, p.Send(ctx)
}

// part reads no more than a number of rows of what happened in a large occurrence,
// and says where the next part begins.
func part(ctx context.Context, tx *db.Tx, organization id.ID, o *occurrence, limit int) (*expansion, position, error) {
	at := o.position
	if at.Stage < stageSync {
		at = begin(stageSync)
	}
	p := tx.Pipeline()
	x := newExpansion(organization, p, []*occurrence{o})
	for limit > 0 && !at.ended() {
		if !o.needs(at.Stage) {
			at = begin(at.Stage + 1)
			continue
		}
		x.queue(p, at, []time.Time{o.At}, limit)
		if err := p.Send(ctx); err != nil {
			return nil, at, err
		}
		read, last := x.read(at.Stage)
		if read < limit {
			last = begin(at.Stage + 1)
		}
		at, limit = last, limit-read
	}
	return x, at, p.Send(ctx)
}

// read is how many rows a stage gave, and the position behind the last one by key.
func (x *expansion) read(stage int16) (int, position) {
	behind := position{Stage: stage}
	see := func(key id.ID, exposureType int16, ordinal int32) {
		if p := (position{stage, key, exposureType, ordinal}); p.above(behind) {
			behind = p
		}
	}
	exposed := func(row *exposedRow) {
		see(row.PathID, int16(row.Type), int32(row.Ordinal)) //nolint:gosec // the column is as wide
	}
	read := 0
	switch stage {
	case stageRotation:
		read = len(*x.rotated)
		for _, row := range *x.rotated {
			see(row.WorkloadID, 0, 0)
		}
	case stageDiscovered:
		read = len(*x.discovered)
		for _, row := range *x.discovered {
			see(row.ID, 0, 0)
		}
	case stageChanged:
		read = len(*x.changed)
		for _, row := range *x.changed {
			see(row.ID, 0, 0)
		}
	case stageOpened:
		read = len(*x.opened)
		for _, row := range *x.opened {
			exposed(&row.exposedRow)
		}
	case stageResolved:
		read = len(*x.resolved)
		for _, row := range *x.resolved {
			exposed(&row.exposedRow)
		}
	case stageDisposed:
		read = len(*x.disposed)
		for _, row := range *x.disposed {
			exposed(&row.exposedRow)
		}
	case stageAssetDiscovered:
		read = len(*x.found)
		for _, row := range *x.found {
			see(row.ID, 0, 0)
		}
	case stageAssetChanged:
		read = len(*x.altered)
		for _, row := range *x.altered {
			see(row.ID, 0, 0)
		}
	}
	return read, behind
}

// above is the order in which a stage goes through its keys.
func (p position) above(other position) bool {
	if by := bytes.Compare(p.AfterID[:], other.AfterID[:]); by != 0 {
		return by > 0
	}
	if p.AfterType != other.AfterType {
		return p.AfterType > other.AfterType
	}
	return p.AfterOrdinal > other.AfterOrdinal
}

// events says what was found, in its order: by instant, by stage, by key.
func (x *expansion) events(ctx context.Context, tx *db.Tx) ([]*Event, error) {
	t := &telling{expansion: x, names: map[moment]*nameRow{}, beside: map[moment]*besideRow{}, seen: map[moment]*seenRow{}, scansAt: map[int64]*scanRow{}, evaluationsAt: map[int64]string{}}
	for _, row := range *x.scans {
		t.scansAt[tick(row.At)] = row
	}
	for _, row := range *x.evaluations {
		t.evaluationsAt[tick(row.At)] = row.Cause
	}
	if err := t.lookUp(ctx, tx); err != nil {
		return nil, err
	}
	list := t.tell()
	slices.SortStableFunc(list, before)
	events := make([]*Event, len(list))
	for i, e := range list {
		events[i] = e.Event
	}
	return events, nil
}

// moments are ids and instants as a statement takes them, each once.
type moments struct {
	seen map[moment]bool
	ids  []id.ID
	ats  []time.Time
}

// moment is something at an instant.
type moment struct {
	id id.ID
	at int64
}

func (m *moments) add(of id.ID, at time.Time) {
	if key := (moment{of, tick(at)}); !m.seen[key] {
		m.seen[key] = true
		m.ids, m.ats = append(m.ids, of), append(m.ats, at)
	}
}

func (m *moments) route(r *route, at time.Time) {
	m.add(r.WorkloadID, at)
	m.add(r.ResourceID, at)
	if r.IdentityID != nil {
		m.add(*r.IdentityID, at)
	}
}

func (m *moments) roles(list []id.ID, at time.Time) {
	for _, role := range list[:min(len(list), shownItems)] {
		m.add(role, at)
	}
}
