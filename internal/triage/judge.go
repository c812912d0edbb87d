package triage

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/canonical"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
	"github.com/exposuregraph/exposuregraph/internal/ledger/book"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// Judge does about one exposure what a person wants done.
func (s *Service) Judge(ctx context.Context, organization id.ID, key exposure.Key, c Command) (*Outcome, error) {
	actor, err := admit(ctx, organization, c.Action)
	if err != nil {
		return nil, err
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	if err := checkVersion(c.ExpectedVersion); err != nil {
		return nil, err
	}
	signed, err := openEnvelope(c.Envelope)
	if err != nil {
		return nil, err
	}
	asked := c.statement(organization, key)
	request := &request{actor: actor, key: c.IdempotencyKey}
	if request.digest, err = digest("judge", map[string]any{"statement": asked, "envelope": signed.text()}); err != nil {
		return nil, err
	}
	var outcome *Outcome
	var found *[]*standing
	look := func(p *db.Pipeline) { found = queue(p, []exposure.Key{key}) }
	err = s.turn(ctx, organization, request, look, func(t *turn) error {
		if t.answer != nil {
			decisions, err := t.written(ctx)
			if err != nil {
				return err
			}
			outcome = &Outcome{Decision: *decisions[0], Replayed: true}
			return nil
		}
		x := byKey(*found, t.visible)[key]
		if refused := refusal(key, x, &c.ExpectedVersion, c.Action); refused != nil {
			return refused
		}
		if err := t.verify(ctx, signed, asked); err != nil {
			return err
		}
		decisions, err := t.decide(ctx, []change{c.change(x)}, nil, signed.text())
		if err != nil {
			return err
		}
		outcome = &Outcome{Decision: *decisions[0]}
		return t.remember(decisions, nil, struct{}{})
	})
	if err != nil {
		return nil, err
	}
	return outcome, nil
}

// request is what a caller asks under a key of its own.
type request struct {
	actor, key string
	digest     []byte
}

// turn is a request whose turn it is.
type turn struct {
	*authority.Decision
	tx      *db.Tx
	service *Service
	request *request
	now     time.Time // by the server's clock
	answer  *answer   // what came of the same request before; null for a new one

	end    book.End     // of the ledger
	writes *db.Pipeline // what the turn ends with
	rows   []written    // by which statements of writes
	paths  []id.ID      // whose exposures are decided

	visible access.Classes // that the caller sees
}

// written is how many rows a statement wrote, and how many it should have.
type written struct {
	name string
	rows *int64
	want int
}

// answer is what came of a request, as it was recorded.
type answer struct {
	Digest            []byte
	FirstSeq, LastSeq *int64
	BatchID           *id.ID
	Refused           []byte
	RecordedAt        time.Time
}

// turn waits for its turn and does the request, or finds what was done about it.
// What it looks at is read as soon as it is its turn.
func (s *Service) turn(ctx context.Context, organization id.ID, r *request, look func(p *db.Pipeline), do func(t *turn) error) error {
	var answers *[]*answer
	var end book.End
	read := func(p *db.Pipeline) {
		answers = db.Queue[answer](p, decideQueries.Get("answered"), pgx.StrictNamedArgs{"actor": r.actor, "key": r.key})
		end = s.paths.Ledger().Lock(p)
		if look != nil {
			look(p)
		}
	}
	return s.paths.Decide(ctx, organization, read, func(tx *db.Tx, d *authority.Decision) error {
		visible, err := access.VisibleClasses(ctx, tx)
		if err != nil {
			return err
		}
		t := &turn{Decision: d, visible: visible, tx: tx, service: s, request: r, now: s.now().UTC().Truncate(time.Microsecond), end: end, writes: tx.Pipeline()}
		if len(*answers) > 0 {
			t.answer = (*answers)[0]
			if string(t.answer.Digest) != string(r.digest) {
				return problem.New(problem.Conflict, "IDEMPOTENCY_KEY_REUSED",
					"the idempotency key %s came with another request at %s; take a new one for a new request", r.key, instant(t.answer.RecordedAt)).On("idempotencyKey")
			}
		}
		if err := do(t); err != nil {
			return err
		}
		return t.finish(ctx)
	})
}

// finish writes what was decided.
func (t *turn) finish(ctx context.Context) error {
	if err := t.FollowLast(ctx, t.writes, t.paths); err != nil {
		return err
	}
	for _, w := range t.rows {
		if *w.rows != int64(w.want) {
			return fmt.Errorf("%s wrote %d rows of %d", w.name, *w.rows, w.want)
		}
	}
	return nil
}

// written are the decisions that the same request led to before.
func (t *turn) written(ctx context.Context) ([]*Decision, error) {
	if t.answer.FirstSeq == nil {
		return nil, nil
	}
	return decisions(ctx, t.tx, decideQueries.Get("entries"), pgx.StrictNamedArgs{"first": *t.answer.FirstSeq, "last": *t.answer.LastSeq})
}

// remember records what came of the request.
func (t *turn) remember(done []*Decision, batch *id.ID, refused any) error {
	note, err := json.Marshal(refused)
	if err != nil {
		return err
	}
	var first, last *int64
	if len(done) > 0 {
		first, last = &done[0].Seq, &done[len(done)-1].Seq
	}
	t.writes.Exec(decideQueries.Get("add_request"), pgx.StrictNamedArgs{
		"actor": t.request.actor, "key": t.request.key, "digest": t.request.digest, "first": first, "last": last, "batch": batch,
		"refused": string(note), "recorded_at": t.now})
	return nil
}

// standing is how an exposure stands, and who decided last.
type standing struct {
	PathID           id.ID
	Type             rule.Type
	Ordinal          int
	Class            int
	EvidenceDigest   id.ID
	Disposition      exposure.Disposition
	Version          int
	ToAt             *time.Time
	ResolutionReason *rule.Reason
	DecidedSeq       *int64
	DecidedBy        *string
	DecidedAt        *time.Time
}

func (x *standing) key() exposure.Key {
	return exposure.Key{PathID: x.PathID, Type: x.Type, Ordinal: x.Ordinal}
}

func (x *standing) state() State { return StateOf(x.Disposition, x.ToAt != nil) }

// How exposures are found: as they stand, or locked, by whoever is to change them.
const (
	asTheyStand = "standing"
	locked      = "lock_standing"
)

// find gives those of the exposures that there are, and that the caller sees.
func find(ctx context.Context, q db.Querier, keys []exposure.Key, how string, visible access.Classes) (map[exposure.Key]*standing, error) {
	rows, err := db.Select[standing](ctx, q, decideQueries.Get(how), columns(possible(keys)))
	return byKey(rows, visible), err
}

// queue has those of the exposures that there are found, and locked.
func queue(p *db.Pipeline, keys []exposure.Key) *[]*standing {
	return db.Queue[standing](p, decideQueries.Get(locked), columns(possible(keys)))
}

// byKey leaves out what the caller does not see.
func byKey(rows []*standing, visible access.Classes) map[exposure.Key]*standing {
	found := make(map[exposure.Key]*standing, len(rows))
	for _, x := range rows {
		if visible.Has(x.Class) {
			found[x.key()] = x
		}
	}
	return found
}

// possible leaves out keys that no column can hold.
func possible(keys []exposure.Key) []exposure.Key {
	return slices.DeleteFunc(slices.Clone(keys), func(key exposure.Key) bool { return key.Ordinal < 1 || key.Ordinal > math.MaxInt32 })
}

// columns are keys as a statement takes them.
func columns(keys []exposure.Key) pgx.StrictNamedArgs {
	paths, types, ordinals := make([]id.ID, len(keys)), make([]rule.Type, len(keys)), make([]int, len(keys))
	for i, key := range keys {
		paths[i], types[i], ordinals[i] = key.PathID, key.Type, key.Ordinal
	}
	return pgx.StrictNamedArgs{"paths": paths, "types": types, "ordinals": ordinals}
}

// refusal says why an exposure is left alone; null for one that is not.
func refusal(key exposure.Key, x *standing, expected *int, action Action) *problem.Error {
	switch {
	case x == nil:
		return notFound(key)
	case x.ToAt != nil:
		return x.resolved()
	case expected != nil && *expected != x.Version:
		return problem.New(problem.Conflict, "VERSION_CONFLICT",
			"the exposure is at version %d and %s, not at version %d: %s; look at it again", x.Version, x.state(), *expected, x.last()).On("expectedVersion")
	}
	if _, legal := x.state().Next(action); !legal {
		return problem.New(problem.Conflict, "ILLEGAL_MOVE",
			"an exposure that is %s takes no %s; it takes %s", x.state(), action, named(x.state().Legal())).On("action")
	}
	return nil
}

func notFound(key exposure.Key) *problem.Error {
	return problem.New(problem.NotFound, "EXPOSURE_NOT_FOUND", "there is no exposure %s in this organization", name(key)).On("exposure")
}

// name is what a message calls an exposure.
func name(key exposure.Key) string {
	return fmt.Sprintf("%s/%d of the path %s", ledger.TypeWord(key.Type), key.Ordinal, key.PathID)
}

func (x *standing) resolved() *problem.Error {
	why := string(*x.ResolutionReason)
	if *x.ResolutionReason == rule.Manual && x.DecidedBy != nil {
		why = "by hand, by " + short(*x.DecidedBy)
	}
	return problem.New(problem.Conflict, "EXPOSURE_RESOLVED",
		"the exposure resolved at %s (%s); where it comes back, it is another one", instant(*x.ToAt), why).On("exposure")
}

// last says who decided last.
func (x *standing) last() string {
	if x.DecidedBy == nil {
		return "nobody has decided about it, what it is has changed"
	}
	return fmt.Sprintf("%s decided last, at %s", short(*x.DecidedBy), instant(*x.DecidedAt))
}

func instant(at time.Time) string { return at.UTC().Format(time.RFC3339Nano) }

// change is what a decision makes of an exposure.
type change struct {
	*standing
	action Action
	to     State
	payload
}

// change is what a command that is not refused makes of an exposure.
func (c *Command) change(x *standing) change {
	to, _ := x.state().Next(c.Action)
	return newChange(x, c.Action, to, c.Reason, c.Justification, c.IdempotencyKey)
}

func newChange(x *standing, action Action, to State, reason FalsePositiveReason, justification, idempotencyKey string) change {
	version := x.Version + 1
	if to == Resolved {
		version = x.Version // the last one, which ends
	}
	return change{standing: x, action: action, to: to, payload: payload{
		EvidenceDigest: x.EvidenceDigest, ExpectedVersion: x.Version, From: x.state(), To: to,
		IdempotencyKey: idempotencyKey, Justification: justification, Reason: reason, Version: version,
	}}
}

// payload is what an entry says of a decision.
type payload struct {
	Compensates     *canonical.Integer  `json:"compensates,omitempty"`
	EvidenceDigest  id.ID               `json:"evidenceDigest"`
	ExpectedVersion int                 `json:"expectedVersion"`
	From            State               `json:"from"`
	IdempotencyKey  string              `json:"idempotencyKey"`
	Justification   string              `json:"justification"`
	Reason          FalsePositiveReason `json:"reason,omitempty"`
	To              State               `json:"to"`
	Version         int                 `json:"version"`
}

// decide writes the decisions: into the ledger, and, when the turn ends, from there
// into the rows.
// How many statements it takes does not depend on how many there are.
func (t *turn) decide(ctx context.Context, changes []change, batch *id.ID, signed json.RawMessage) ([]*Decision, error) {
	if len(changes) == 0 {
		return nil, nil
	}
	drafts := make([]book.Draft, len(changes))
	for i, c := range changes {
		path := c.PathID
		drafts[i] = book.Draft{
			Kind: kinds[c.action], Class: c.Class, OccurredAt: t.At, Batch: batch, Payload: c.payload, Envelope: signed,
			Subject: ledger.Subject{Kind: ledger.SubjectExposure, Path: &path, Type: ledger.TypeWord(c.Type), Ordinal: c.Ordinal},
		}
	}
	posted, err := t.service.paths.Ledger().Post(ctx, t.tx, t.writes, t.end, drafts...)
	if err != nil {
		return nil, err
	}
	t.project(changes, posted)
	t.Happened(len(changes))
	done := make([]*Decision, len(posted))
	for i := range posted {
		if done[i], err = DecisionOf(posted[i].Entry); err != nil {
			return nil, err
		}
	}
	return done, nil
}

// project brings the rows up to the entries.
func (t *turn) project(changes []change, posted []book.Posted) {
	var kept, ended []exposure.Key
	var states []exposure.Disposition
	var keptSeqs, endedSeqs []int64
	seen := map[id.ID]bool{}
	for i, c := range changes {
		if c.to == Resolved {
			ended, endedSeqs = append(ended, c.key()), append(endedSeqs, posted[i].Seq)
		} else {
			kept, keptSeqs, states = append(kept, c.key()), append(keptSeqs, posted[i].Seq), append(states, dispositions[c.to])
		}
		if !seen[c.PathID] {
			seen[c.PathID] = true
			t.paths = append(t.paths, c.PathID)
		}
	}
	if len(kept) > 0 {
		t.write("dispose", kept, pgx.StrictNamedArgs{"dispositions": states, "seqs": keptSeqs})
	}
	if len(ended) > 0 {
		t.write("resolve", ended, pgx.StrictNamedArgs{"reason": rule.Manual, "seqs": endedSeqs})
	}
}

// write has the turn end with a statement that writes one row for each exposure.
func (t *turn) write(name string, keys []exposure.Key, more pgx.StrictNamedArgs) {
	args := columns(keys)
	args["at"] = t.At
	maps.Copy(args, more)
	t.rows = append(t.rows, written{name, t.writes.Exec(decideQueries.Get(name), args), len(keys)})
}

// DecisionOf reads a decision from its entry.
func DecisionOf(entry *ledger.Entry) (*Decision, error) {
	var p payload
	if err := json.Unmarshal(entry.Payload, &p); err != nil {
		return nil, fmt.Errorf("entry %d: %w", entry.Seq, err)
	}
	action := actionOf(entry.Kind)
	if action == "" || entry.Subject.Path == nil || len(entry.Actors) == 0 {
		return nil, fmt.Errorf("entry %d is about no exposure", entry.Seq)
	}
	t, found := ledger.TypeNumber(entry.Subject.Type)
	if !found {
		return nil, fmt.Errorf("entry %d is about an exposure of the type %s, which this version does not know", entry.Seq, entry.Subject.Type)
	}
	return &Decision{
		Key:    exposure.Key{PathID: *entry.Subject.Path, Type: rule.Type(t), Ordinal: entry.Subject.Ordinal},
		Action: action, From: p.From, To: p.To, ExpectedVersion: p.ExpectedVersion, Version: p.Version, Reason: p.Reason,
		Justification: p.Justification, Compensates: (*int64)(p.Compensates), IdempotencyKey: p.IdempotencyKey,
		Seq: entry.Seq, Actor: entry.Actors[0].Subject, At: entry.OccurredAt.UTC(), Batch: entry.Batch, Entry: entry,
	}, nil
}

// decisions reads the entries that a statement finds.
func decisions(ctx context.Context, q db.Querier, query db.Query, args pgx.StrictNamedArgs) ([]*Decision, error) {
	bodies, err := db.Column[[]byte](ctx, q, query, args)
	if err != nil {
		return nil, err
	}
	list := make([]*Decision, len(bodies))
	for i, body := range bodies {
		if list[i], err = read(body); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func read(body []byte) (*Decision, error) {
	entry, err := ledger.Parse(body)
	if err != nil {
		return nil, err
	}
	return DecisionOf(entry)
}
