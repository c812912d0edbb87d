package book

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"hash"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/canonical"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
)

// The dispositions, as tables have them and as entries name them.
const (
	dispositionOpen          int16 = 1
	dispositionFalsePositive int16 = 4
)

var dispositionWords = map[string]int16{"open": dispositionOpen, "acknowledged": 2, "risk_accepted": 3, "false_positive": dispositionFalsePositive}

func dispositionWord(disposition int16) string {
	for word, number := range dispositionWords {
		if number == disposition {
			return word
		}
	}
	return strconv.Itoa(int(disposition))
}

// ExposureKey names an exposure in its organization.
type ExposureKey struct {
	PathID  id.ID
	Type    int16
	Ordinal int
}

func (k ExposureKey) compare(other ExposureKey) int {
	return cmp.Or(bytes.Compare(k.PathID[:], other.PathID[:]), cmp.Compare(k.Type, other.Type), cmp.Compare(k.Ordinal, other.Ordinal))
}

// String names the row of the exposure.
func (k ExposureKey) String() string {
	return fmt.Sprintf("exposure %s %s %d", k.PathID, ledger.TypeWord(k.Type), k.Ordinal)
}

// State is what people decided of an exposure.
type State struct {
	Disposition int16      // as the column has it
	DecidedSeq  int64      // the entry that it follows from; 0: nobody decided anything
	ResolvedAt  *time.Time // when it was resolved by hand; nil if it was not
}

// undecided is how an exposure opens, unless it inherits.
func undecided() State { return State{Disposition: dispositionOpen} }

func (s State) equal(other State) bool {
	return s.Disposition == other.Disposition && s.DecidedSeq == other.DecidedSeq &&
		(s.ResolvedAt == nil) == (other.ResolvedAt == nil) && (s.ResolvedAt == nil || s.ResolvedAt.Equal(*other.ResolvedAt))
}

// String says the state in words.
func (s State) String() string {
	text := dispositionWord(s.Disposition)
	if s.ResolvedAt != nil {
		text += ", resolved by hand at " + s.ResolvedAt.UTC().Format(time.RFC3339Nano)
	}
	if s.DecidedSeq == 0 {
		return text + " by nobody"
	}
	return text + " by entry " + strconv.FormatInt(s.DecidedSeq, 10)
}

// Difference is a row that says otherwise than the ledger.
type Difference struct {
	ExposureKey

	Version int   // of a former version; 0 for the exposure itself
	Absent  bool  // there is no such exposure
	Want    State // what the ledger says; of a former version without ResolvedAt
	Have    State // what the row says
}

// Row names the row.
func (d Difference) Row() string {
	if d.Version == 0 {
		return fmt.Sprint(d.ExposureKey)
	}
	return fmt.Sprintf("%s version %d", d.ExposureKey, d.Version)
}

// Projection is what follows from the ledger of an organization about its
// exposures, and what the tables say.
type Projection struct {
	Rows        int64        // exposures of which somebody decided something
	Ledger      ledger.Hash  // digest of what the ledger says
	Tables      ledger.Hash  // digest of what the tables say
	Differences []Difference // exposures, and then former versions, in the order of their keys
}

// Rebuild computes from the entries what the disposition of every exposure has to
// be, and holds the tables against it. It only reads; whoever writes the
// differences does so in the same transaction, under the lock of decisions.
//
// The digests are SHA-256 over one line of canonical JSON for each exposure of
// which somebody decided something, in the order of path, type and ordinal.
// It is the operator's tool and asks nobody for scopes.
func (*Book) Rebuild(ctx context.Context, q db.Querier) (*Projection, error) {
	d := decisions{}
	if err := walk(ctx, q, "decisions", bodyRows, func(last *decisionRow) pgx.StrictNamedArgs {
		return pgx.StrictNamedArgs{"seq": last.Seq}
	}, func(row *decisionRow) error {
		entry, err := ledger.Parse(row.Body)
		if err == nil {
			err = d.add(entry)
		}
		if err != nil {
			return damaged(row.Seq, err)
		}
		return nil
	}); err != nil {
		return nil, err
	}
	return d.project(ctx, q)
}

type decisionRow struct {
	Seq  int64
	Body []byte
}

// decision is what an entry says of an exposure.
type decision struct {
	seq      int64
	version  int // of the exposure, since which it holds
	to       int16
	resolved *time.Time
}

// decisions are those of the ledger, in its order.
type decisions map[ExposureKey][]decision

// add takes in an entry, unless it decides nothing.
func (d decisions) add(entry *ledger.Entry) error {
	switch entry.Kind {
	case ledger.Acknowledged, ledger.Unacknowledged, ledger.MarkedFalsePositive, ledger.UnmarkedFalsePositive, ledger.Resolved:
	default:
		return nil
	}
	var payload struct {
		Version canonical.Integer `json:"version"`
		To      string            `json:"to"`
	}
	if err := json.Unmarshal(entry.Payload, &payload); err != nil {
		return err
	}
	t, known := ledger.TypeNumber(entry.Subject.Type)
	if !known {
		return fmt.Errorf("there is no type of exposure %q", entry.Subject.Type)
	}
	made := decision{seq: entry.Seq, version: int(payload.Version)}
	if entry.Kind == ledger.Resolved {
		at := entry.OccurredAt
		made.resolved = &at
	} else if made.to, known = dispositionWords[payload.To]; !known {
		return fmt.Errorf("there is no disposition %q", payload.To)
	}
	key := ExposureKey{PathID: *entry.Subject.Path, Type: t, Ordinal: entry.Subject.Ordinal}
	d[key] = append(d[key], made)
	return nil
}

// state is what an exposure comes to that began as initial. Resolving it leaves
// its disposition as it was.
func (d decisions) state(key ExposureKey, initial State) State {
	for _, made := range d[key] {
		initial.DecidedSeq, initial.ResolvedAt = made.seq, made.resolved
		if made.resolved == nil {
			initial.Disposition = made.to
		}
	}
	return initial
}

// stateOf is what a former version said.
func (d decisions) stateOf(key ExposureKey, version int, initial State) State {
	for _, made := range d[key] {
		if made.resolved == nil && made.version <= version {
			initial = State{Disposition: made.to, DecidedSeq: made.seq}
		}
	}
	return initial
}

type exposureRow struct {
	PathID           id.ID
	Type             int16
	Ordinal          int
	Disposition      int16
	DecidedSeq       *int64
	ToAt             *time.Time
	ResolutionReason *string
	FirstDigest      id.ID
	FormerDigest     *id.ID
}

func (r *exposureRow) key() ExposureKey {
	return ExposureKey{PathID: r.PathID, Type: r.Type, Ordinal: r.Ordinal}
}

func (r *exposureRow) state() State {
	s := State{Disposition: r.Disposition}
	if r.DecidedSeq != nil {
		s.DecidedSeq = *r.DecidedSeq
	}
	if r.ResolutionReason != nil && *r.ResolutionReason == "manual" {
		s.ResolvedAt = r.ToAt
	}
	return s
}

type versionRow struct {
	PathID      id.ID
	Type        int16
	Ordinal     int
	Version     int
	Disposition int16
	DecidedSeq  *int64
}

// project holds the tables against the decisions.
func (d decisions) project(ctx context.Context, q db.Querier) (*Projection, error) {
	p := &projector{decisions: d, digests: [2]hash.Hash{sha256.New(), sha256.New()}, inherited: map[ExposureKey]State{}, keys: d.keys()}
	if err := walk(ctx, q, "decided_exposures", pageRows, func(last *exposureRow) pgx.StrictNamedArgs {
		return pgx.StrictNamedArgs{"path_id": last.PathID, "type": last.Type, "ordinal": last.Ordinal}
	}, p.exposure); err != nil {
		return nil, err
	}
	for _, key := range p.keys {
		if err := p.unseen(key); err != nil {
			return nil, err
		}
	}
	if err := walk(ctx, q, "decided_versions", pageRows, func(last *versionRow) pgx.StrictNamedArgs {
		return pgx.StrictNamedArgs{"path_id": last.PathID, "type": last.Type, "ordinal": last.Ordinal, "version": last.Version}
	}, p.version); err != nil {
		return nil, err
	}
	p.result.Ledger, p.result.Tables = ledger.Hash(p.digests[0].Sum(nil)), ledger.Hash(p.digests[1].Sum(nil))
	return &p.result, nil
}

func (d decisions) keys() []ExposureKey {
	keys := make([]ExposureKey, 0, len(d))
	for key := range d {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, ExposureKey.compare)
	return keys
}

// projector goes through the exposures of the ledger and those of the tables in
// the order of their keys.
type projector struct {
	decisions decisions
	keys      []ExposureKey // of the ledger, that are still to come
	digests   [2]hash.Hash  // of the ledger, of the tables
	inherited map[ExposureKey]State
	result    Projection

	last ExposureKey // the exposure before
	want State       // what the ledger says of it
}

func (p *projector) exposure(row *exposureRow) error {
	key := row.key()
	for len(p.keys) > 0 && p.keys[0].compare(key) < 0 {
		if err := p.unseen(p.keys[0]); err != nil {
			return err
		}
		p.keys = p.keys[1:]
	}
	if len(p.keys) > 0 && p.keys[0] == key {
		p.keys = p.keys[1:]
	}
	initial := undecided()
	follows := ExposureKey{PathID: key.PathID, Type: key.Type, Ordinal: key.Ordinal - 1}
	if p.last == follows && p.want.Disposition == dispositionFalsePositive && row.FormerDigest != nil && *row.FormerDigest == row.FirstDigest {
		initial = State{Disposition: dispositionFalsePositive, DecidedSeq: p.want.DecidedSeq}
		p.inherited[key] = initial
	}
	return p.hold(key, p.decisions.state(key, initial), row.state(), false)
}

// unseen is an exposure of the ledger that the tables do not have.
func (p *projector) unseen(key ExposureKey) error {
	return p.hold(key, p.decisions.state(key, undecided()), undecided(), true)
}

func (p *projector) hold(key ExposureKey, want, have State, absent bool) error {
	p.last, p.want = key, want
	if !want.equal(undecided()) {
		p.result.Rows++
	}
	for i, state := range []State{want, have} {
		if state.equal(undecided()) {
			continue
		}
		line, err := canonical.Marshal(lineOf(key, state))
		if err != nil {
			return err
		}
		p.digests[i].Write(append(line, '\n'))
	}
	if !want.equal(have) {
		p.result.Differences = append(p.result.Differences, Difference{ExposureKey: key, Absent: absent, Want: want, Have: have})
	}
	return nil
}

func (p *projector) version(row *versionRow) error {
	key := ExposureKey{PathID: row.PathID, Type: row.Type, Ordinal: row.Ordinal}
	initial, inherits := p.inherited[key]
	if !inherits {
		initial = undecided()
	}
	want, have := p.decisions.stateOf(key, row.Version, initial), State{Disposition: row.Disposition}
	if row.DecidedSeq != nil {
		have.DecidedSeq = *row.DecidedSeq
	}
	if !want.equal(have) {
		p.result.Differences = append(p.result.Differences, Difference{ExposureKey: key, Version: row.Version, Want: want, Have: have})
	}
	return nil
}

// projectionLine is an exposure in the digests.
type projectionLine struct {
	DecidedSeq  *canonical.Integer `json:"decidedSeq"`
	Disposition string             `json:"disposition"`
	Ordinal     int                `json:"ordinal"`
	Path        id.ID              `json:"path"`
	ResolvedAt  *string            `json:"resolvedAt,omitempty"`
	Type        string             `json:"type"`
}

func lineOf(key ExposureKey, state State) projectionLine {
	line := projectionLine{Disposition: dispositionWord(state.Disposition), Ordinal: key.Ordinal, Path: key.PathID, Type: ledger.TypeWord(key.Type)}
	if state.DecidedSeq != 0 {
		seq := canonical.Integer(state.DecidedSeq)
		line.DecidedSeq = &seq
	}
	if state.ResolvedAt != nil {
		at := state.ResolvedAt.UTC().Format("2006-01-02T15:04:05.000000Z")
		line.ResolvedAt = &at
	}
	return line
}
