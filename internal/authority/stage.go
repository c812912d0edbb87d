package authority

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface"
)

// StageBatch bounds the rows that are held in memory before a COPY.
const StageBatch = 8192

// maxActions bounds the actions of one edge.
const maxActions = 1024

// stage takes the records of a delivery, checks each by itself, and copies
// them into temporary tables. It holds a bounded number of rows, however large
// the delivery.
type stage struct {
	ctx          context.Context // the delivery's: an Emitter has no context of its own
	tx           *db.Tx
	organization id.ID
	system       string
	progress     Progress
	now          time.Time

	files   []string
	tables  [6]stageTable
	copies  *Copier
	scan    bool
	surface SurfaceStage // of a scan
	read    int
	digest  contentDigest
	rejects rejections
	warns   []record.Warning
	warned  int
	touched []id.ID // entities that rejected records spoke about
	blind   bool    // a rejected record did not say whom it spoke about
}

type stageTable struct {
	name    string
	columns []string
	rows    [][]any
}

// The tables of a stage, in the order of create_stage.
const (
	entityTable = iota
	edgeTable
	egressTable
	endpointTable
	evidenceTable
	coverageTable
)

func newStage(ctx context.Context, tx *db.Tx, organization id.ID, request SyncRequest, now time.Time) *stage {
	position := []string{"file", "line", "seq"}
	return &stage{
		ctx: ctx, tx: tx, organization: organization, system: request.System, progress: request.Progress, now: now, scan: request.Scan, copies: newCopier(ctx, tx),
		tables: [...]stageTable{
			entityTable: {name: "staged_entity", columns: append([]string{
				"entity_id", "basis", "digest", "kind", "system", "external_id", "name", "status", "environment", "owner_team", "business_tier",
				"execution_mode", "artifact_identifier", "source_type", "data_domain", "data_domain_stated", "sensitivity", "sensitivity_stated",
				"owner_type", "title", "last_active_at", "created_in_source_at", "labels"}, position...)},
			edgeTable: {name: "staged_edge", columns: append([]string{
				"kind", "from_id", "scope", "to_id", "actions", "effective", "protocol", "target_system"}, position...)},
			egressTable:   {name: "staged_egress", columns: append([]string{"workload_id", "host", "category"}, position...)},
			endpointTable: {name: "staged_endpoint", columns: append([]string{"workload_id", "kind", "value", "port"}, position...)},
			evidenceTable: {name: "staged_evidence", columns: append([]string{
				"workload_id", "identity_id", "resource_id", "action", "day", "related", "basis", "count", "last_at"}, position...)},
			coverageTable: {name: "staged_coverage", columns: append([]string{
				"kind", "entity_id", "system", "complete", "from_at", "to_at", "max_age"}, position...)},
		},
	}
}

// Record stages one record, or rejects it.
func (s *stage) Record(r record.Record) error {
	s.count()
	if sighting, shows := r.Fact.(record.Sighting); shows != s.scan {
		return fmt.Errorf("record of type %T: a scan has nothing but sightings, and nobody else has any", r.Fact)
	} else if shows {
		return s.sighting(r.Position, sighting)
	}
	switch fact := r.Fact.(type) {
	case record.Entity:
		return s.entity(r.Position, fact)
	case record.Edge:
		return s.edge(r.Position, fact)
	case record.Egress:
		return s.egress(r.Position, fact)
	case record.Endpoint:
		return s.endpoint(r.Position, fact)
	case record.Evidence:
		return s.evidence(r.Position, fact)
	case record.Coverage:
		return s.coverage(r.Position, fact)
	}
	return fmt.Errorf("record of unknown type %T", r.Fact)
}

func (s *stage) count() {
	s.read++
	s.progress.Records(s.read)
}

// Reject notes a record that the parser could not accept.
func (s *stage) Reject(r record.Rejection) error {
	s.count()
	s.refuse(r)
	return nil
}

// Warn notes something that rejects nothing.
func (s *stage) Warn(w record.Warning) error {
	s.warned++
	if len(s.warns) < MaxListed {
		s.warns = append(s.warns, w)
	}
	return nil
}

func (s *stage) refuse(r record.Rejection) {
	s.rejects.add(r)
	digest := id.New("rejection/1").Text(r.File).Text(fmt.Sprint(r.Line)).Text(r.Code).Text(r.Reason)
	if r.Entity != nil {
		digest.ID(s.entityID(*r.Entity))
	}
	s.digest.add(digest)
	if s.surface != nil {
		s.surface.Doubt(r.Asset)
	}
	if r.Entity == nil {
		s.doubt(id.Nil)
		return
	}
	s.doubt(s.entityID(*r.Entity))
}

// doubt notes whom a rejected record spoke about; nil if that is not known.
func (s *stage) doubt(about id.ID) {
	if about == id.Nil {
		s.blind = true
		return
	}
	s.touched = append(s.touched, about)
}

func (s *stage) reject(at record.Position, about *record.Ref, code, format string, args ...any) error {
	s.refuse(record.Rejection{Position: at, Code: code, Reason: fmt.Sprintf(format, args...), Entity: about})
	return nil
}

func (s *stage) entityID(ref record.Ref) id.ID {
	return id.Entity(s.organization, string(ref.Kind), s.systemOf(ref), ref.SourceID)
}

func (s *stage) systemOf(ref record.Ref) string {
	if ref.System == "" {
		return s.system
	}
	return ref.System
}

// sighting stages what a record of a scan shows.
func (s *stage) sighting(at record.Position, sighting record.Sighting) error {
	digest, refused, err := s.surface.Sighting(at, sighting)
	switch {
	case err != nil:
		return err
	case refused != nil:
		s.refuse(*refused)
	default:
		s.digest.add(digest)
	}
	return nil
}

var entityKinds = []record.EntityKind{record.Workload, record.Identity, record.Resource, record.Role, record.Owner}

func (s *stage) entity(at record.Position, e record.Entity) error {
	if !slices.Contains(entityKinds, e.Kind) || e.SourceID == "" {
		return s.reject(at, nil, "INVALID_REFERENCE", "an entity needs a kind (workload, identity, resource, role, owner) and an id")
	}
	if bad := badKey(e.SourceID, e.System, e.Name); bad != "" {
		return s.reject(at, nil, "INVALID_TEXT", "%s %q has an id, a system or a name that %s", e.Kind, clean(e.SourceID), bad)
	}
	texts := []string{e.SourceID, s.systemOf(e.Ref), e.Name, e.Environment, e.OwnerTeam, e.BusinessTier, e.ArtifactIdentifier, e.SourceType,
		e.DataDomain, e.Sensitivity, e.Title}
	for _, key := range slices.Sorted(maps.Keys(e.Labels)) {
		texts = append(texts, key, e.Labels[key])
	}
	if bad := badText(texts...); bad != "" {
		return s.reject(at, &e.Ref, "INVALID_TEXT", "%s %q has text that %s", e.Kind, clean(e.SourceID), bad)
	}
	for _, moment := range []time.Time{e.LastActiveAt, e.CreatedAt} {
		if s.future(moment) {
			return s.reject(at, &e.Ref, "TIME_IN_FUTURE", "%s %q names the time %s, which is in the future", e.Kind, e.SourceID, moment.Format(time.RFC3339))
		}
	}
	basis := e.Basis
	if basis == 0 {
		basis = record.Inventory
	}
	var labels any
	if len(e.Labels) > 0 {
		bytes, err := json.Marshal(e.Labels) // sorts its keys
		if err != nil {
			return fmt.Errorf("labels of %s: %w", e.SourceID, err)
		}
		labels = bytes
	}
	entity := s.entityID(e.Ref)
	digest := id.New("assertion/1").ID(entity).Text(string(byte('0' + basis)))
	digest.Text(string(e.Status)).Text(string(e.ExecutionMode)).Text(string(e.OwnerType))
	digest.Text(stamp(e.LastActiveAt)).Text(stamp(e.CreatedAt)).Texts(texts)
	s.digest.add(digest)

	var sensitivity any
	if e.Sensitivity != "" {
		sensitivity = int16(ParseSensitivity(e.Sensitivity))
	}
	domain := ""
	if e.DataDomain != "" {
		domain = CanonicalDomain(e.DataDomain)
	}
	return s.put(entityTable, at, entity, int16(basis), digest.Short(), string(e.Kind), s.systemOf(e.Ref), e.SourceID,
		stated(e.Name), stated(string(e.Status)), stated(e.Environment), stated(e.OwnerTeam), stated(e.BusinessTier),
		stated(string(e.ExecutionMode)), stated(e.ArtifactIdentifier), stated(e.SourceType), stated(domain), stated(e.DataDomain),
		sensitivity, stated(e.Sensitivity), stated(string(e.OwnerType)), stated(e.Title), moment(e.LastActiveAt), moment(e.CreatedAt), labels)
}

// edgeEnds are the kinds of entities that an edge may tie.
var edgeEnds = map[record.EdgeKind][2][]record.EntityKind{
	record.RunsAs:        {{record.Workload}, {record.Identity}},
	record.HasRole:       {{record.Identity}, {record.Role}},
	record.Grants:        {{record.Role}, {record.Resource}},
	record.OwnedBy:       {{record.Workload, record.Identity, record.Resource}, {record.Owner}},
	record.CreatedBy:     {{record.Workload, record.Identity}, {record.Owner, record.Identity}},
	record.Authenticates: {{record.Workload, record.Identity}, {record.Identity}},
	record.Declares:      {{record.Workload}, {record.Resource}},
}

func (s *stage) edge(at record.Position, e record.Edge) error {
	ends, known := edgeEnds[e.Kind]
	if !known {
		return s.reject(at, &e.From, "UNKNOWN_KIND", "there is no edge of kind %q", e.Kind)
	}
	if !slices.Contains(ends[0], e.From.Kind) || !slices.Contains(ends[1], e.To.Kind) || e.From.SourceID == "" || e.To.SourceID == "" {
		return s.reject(at, &e.From, "INVALID_REFERENCE", "an edge %s cannot tie %s %q to %s %q", e.Kind, e.From.Kind, clean(e.From.SourceID), e.To.Kind, clean(e.To.SourceID))
	}
	if bad := badKey(append([]string{e.From.SourceID, e.From.System, e.To.SourceID, e.To.System, e.Scope, e.Protocol, e.TargetSystem}, e.Actions...)...); bad != "" {
		return s.reject(at, &e.From, "INVALID_TEXT", "an edge %s has text that %s", e.Kind, bad)
	}
	scoped := e.Kind == record.HasRole || e.Kind == record.Grants
	if scoped == (e.Scope == "") {
		return s.reject(at, &e.From, "INVALID_SCOPE", "an edge %s %s a scope; write \"*\" for everywhere", e.Kind, map[bool]string{true: "needs", false: "has no place for"}[scoped])
	}
	actions := slices.Compact(slices.Sorted(slices.Values(e.Actions)))
	if e.Kind == record.Grants && len(actions) == 0 || len(actions) > maxActions {
		return s.reject(at, &e.From, "INVALID_ACTIONS", "an edge %s takes 1 to %d actions, not %d", e.Kind, maxActions, len(actions))
	}
	from, to := s.entityID(e.From), s.entityID(e.To)
	effective := "effective"
	if e.Ineffective {
		effective = "ineffective"
	}
	s.digest.add(id.New("edge/1").Text(string(e.Kind)).ID(from).Text(e.Scope).ID(to).Text(effective).Text(e.Protocol).Text(e.TargetSystem).Texts(actions))
	if actions == nil {
		actions = []string{}
	}
	return s.put(edgeTable, at, string(e.Kind), from, e.Scope, to, actions, !e.Ineffective, e.Protocol, e.TargetSystem)
}

func (s *stage) egress(at record.Position, e record.Egress) error {
	if e.Workload.Kind != record.Workload || e.Workload.SourceID == "" || e.Host == "" {
		return s.reject(at, nil, "INVALID_REFERENCE", "egress needs a workload and a host")
	}
	if e.Category != record.EgressInternal && e.Category != record.EgressExternal && e.Category != record.EgressLLM {
		return s.reject(at, &e.Workload, "INVALID_VALUE", "egress of %q has category %q; it is internal, external or llm", e.Workload.SourceID, clean(string(e.Category)))
	}
	if bad := badKey(e.Workload.SourceID, e.Workload.System, e.Host); bad != "" {
		return s.reject(at, &e.Workload, "INVALID_TEXT", "egress has text that %s", bad)
	}
	workload := s.entityID(e.Workload)
	s.digest.add(id.New("egress/1").ID(workload).Text(e.Host).Text(string(e.Category)))
	return s.put(egressTable, at, workload, e.Host, string(e.Category))
}

var endpointKinds = []record.EndpointKind{record.MappedEndpoint, record.IngressEndpoint, record.HostnameEndpoint, record.AddressEndpoint}

func (s *stage) endpoint(at record.Position, e record.Endpoint) error {
	if e.Workload.Kind != record.Workload || e.Workload.SourceID == "" || badKey(e.Workload.SourceID, e.Workload.System) != "" {
		return s.reject(at, nil, "INVALID_REFERENCE", "an endpoint needs a workload")
	}
	if !slices.Contains(endpointKinds, e.Kind) {
		return s.reject(at, &e.Workload, "INVALID_VALUE", "an endpoint of %q is of kind %q; it is mapping, ingress, hostname or address", e.Workload.SourceID, clean(string(e.Kind)))
	}
	value, err := surface.Endpoint(e.Value)
	if err != nil {
		return s.reject(at, &e.Workload, "INVALID_VALUE", "an endpoint of %q is no address and no name of a host: %s", e.Workload.SourceID, clean(err.Error()))
	}
	if e.Port < 0 || e.Port > 65535 {
		return s.reject(at, &e.Workload, "INVALID_VALUE", "an endpoint of %q has port %d; a port is a number from 1 to 65535", e.Workload.SourceID, e.Port)
	}
	workload := s.entityID(e.Workload)
	s.digest.add(id.New("endpoint/1").ID(workload).Text(string(e.Kind)).Text(value).Text(fmt.Sprint(e.Port)))
	return s.put(endpointTable, at, workload, string(e.Kind), value, int32(e.Port)) //nolint:gosec // below 65536
}

func (s *stage) evidence(at record.Position, e record.Evidence) error {
	var ids [3]id.ID
	kinds := [3]record.EntityKind{record.Workload, record.Identity, record.Resource}
	var about *record.Ref
	for i, ref := range []*record.Ref{e.Workload, e.Identity, e.Resource} {
		if ref == nil {
			continue
		}
		if ref.Kind != kinds[i] || ref.SourceID == "" || badKey(ref.SourceID, ref.System, e.Action) != "" {
			return s.reject(at, about, "INVALID_REFERENCE", "evidence names %s %q where a %s stands", ref.Kind, clean(ref.SourceID), kinds[i])
		}
		ids[i] = s.entityID(*ref)
		if about == nil {
			about = ref
		}
	}
	var basis string
	switch {
	case e.Resource != nil && (e.Workload != nil || e.Identity != nil):
		basis = "path"
	case e.Resource == nil && e.Workload != nil:
		basis = "workload"
	case e.Resource == nil && e.Identity != nil:
		basis = "identity"
	default:
		return s.reject(at, nil, "INVALID_REFERENCE", "evidence needs a workload or an identity")
	}
	switch {
	case e.Count <= 0:
		return s.reject(at, about, "INVALID_VALUE", "evidence counts %d executions; a day without any is left out", e.Count)
	case e.Day.IsZero():
		return s.reject(at, about, "INVALID_VALUE", "evidence needs a day")
	case s.future(e.Day), s.future(e.LastAt):
		return s.reject(at, about, "TIME_IN_FUTURE", "evidence of %s is in the future", e.Day.Format(time.DateOnly))
	}
	related := "direct"
	if e.Related {
		related = "related"
	}
	s.digest.add(id.New("evidence/1").ID(ids[0]).ID(ids[1]).ID(ids[2]).Text(e.Action).Text(e.Day.Format(time.DateOnly)).Text(related).Text(fmt.Sprint(e.Count)).Text(stamp(e.LastAt)))
	return s.put(evidenceTable, at, ids[0], ids[1], ids[2], e.Action, e.Day, e.Related, basis, int64(e.Count), moment(e.LastAt))
}

var evidenceKinds = []record.EvidenceKind{record.Ownership, record.Execution, record.EgressObs, record.Binding, record.Roles}

func (s *stage) coverage(at record.Position, c record.Coverage) error {
	if !slices.Contains(evidenceKinds, c.Kind) {
		return s.reject(at, c.Entity, "INVALID_VALUE", "there is no coverage of %q", clean(string(c.Kind)))
	}
	if !c.From.IsZero() && !c.To.IsZero() && c.To.Before(c.From) {
		return s.reject(at, c.Entity, "INVALID_VALUE", "the coverage window ends before it begins")
	}
	if s.future(c.From) || s.future(c.To) {
		return s.reject(at, c.Entity, "TIME_IN_FUTURE", "the coverage window lies in the future")
	}
	entity, system := id.Nil, s.system
	if c.Entity != nil {
		if c.Entity.SourceID == "" || badKey(c.Entity.SourceID, c.Entity.System) != "" {
			return s.reject(at, nil, "INVALID_REFERENCE", "coverage names an entity without a readable id")
		}
		entity, system = s.entityID(*c.Entity), s.systemOf(*c.Entity)
	}
	complete := "complete"
	if c.Partial {
		complete = "partial"
	}
	s.digest.add(id.New("coverage/1").Text(string(c.Kind)).ID(entity).Text(system).Text(complete).Text(stamp(c.From)).Text(stamp(c.To)).Text(c.MaxAge.String()))
	var maxAge any
	if c.MaxAge > 0 {
		maxAge = pgtype.Interval{Microseconds: c.MaxAge.Microseconds(), Valid: true}
	}
	return s.put(coverageTable, at, string(c.Kind), entity, system, !c.Partial, moment(c.From), moment(c.To), maxAge)
}

// put adds a row to a table, and copies the table when it is full.
func (s *stage) put(table int, at record.Position, values ...any) error {
	t := &s.tables[table]
	t.rows = append(t.rows, append(values, int32(s.file(at.File)), int32(at.Line), int64(s.read))) //nolint:gosec // lines and files stay far below 2^31
	if len(t.rows) < StageBatch {
		return nil
	}
	return s.flush(t)
}

func (s *stage) flush(t *stageTable) error {
	if len(t.rows) == 0 {
		return nil
	}
	rows := t.rows
	t.rows = make([][]any, 0, StageBatch)
	return s.copies.Add(t.name, t.columns, rows)
}

// finish copies what is left, unless the delivery has failed already. It must be
// called either way: until it returns, the transaction is the copier's.
func (s *stage) finish(failed error) error {
	for i := range s.tables {
		if failed == nil {
			failed = s.flush(&s.tables[i])
		}
	}
	if failed == nil && s.surface != nil {
		failed = s.surface.Flush()
	}
	return errors.Join(failed, s.copies.close())
}

// Copier copies batches of rows while the next ones are being parsed.
type Copier struct {
	batches chan copyBatch
	failed  chan struct{} // closed when a batch failed
	ended   chan error
}

type copyBatch struct {
	table   string
	columns []string
	rows    [][]any
}

func newCopier(ctx context.Context, tx *db.Tx) *Copier {
	c := &Copier{batches: make(chan copyBatch), failed: make(chan struct{}), ended: make(chan error, 1)}
	go func() {
		var err error
		for batch := range c.batches {
			if err != nil {
				continue
			}
			if _, err = tx.CopyFrom(ctx, batch.table, batch.columns, pgx.CopyFromRows(batch.rows)); err != nil {
				close(c.failed)
			}
		}
		c.ended <- err
	}()
	return c
}

// errCopyFailed ends the parser; close says why.
var errCopyFailed = errors.New("a batch of the delivery could not be staged")

// Add copies rows into a temporary table of the transaction, sooner or later.
func (c *Copier) Add(table string, columns []string, rows [][]any) error {
	select {
	case c.batches <- copyBatch{table, columns, rows}:
		return nil
	case <-c.failed:
		return errCopyFailed
	}
}

// close waits for the batches on their way and says what failed.
func (c *Copier) close() error {
	close(c.batches)
	return <-c.ended
}

func (s *stage) file(name string) int {
	if n := len(s.files); n > 0 && s.files[n-1] == name {
		return n - 1
	}
	if i := slices.Index(s.files, name); i >= 0 {
		return i
	}
	s.files = append(s.files, name)
	return len(s.files) - 1
}

func (s *stage) position(file, line int32) record.Position {
	return record.Position{File: s.files[file], Line: int(line)}
}

// clockSkew is how far ahead of us a source's clock may be.
const clockSkew = 5 * time.Minute

func (s *stage) future(moment time.Time) bool { return moment.After(s.now.Add(clockSkew)) }

// rejections keeps the first MaxListed and counts all.
type rejections struct {
	count int
	list  []record.Rejection
}

func (r *rejections) add(one record.Rejection) {
	r.count++
	if len(r.list) < MaxListed {
		r.list = append(r.list, one)
	}
}

func (r *rejections) sorted() []record.Rejection {
	sort.SliceStable(r.list, func(i, j int) bool {
		if r.list[i].File != r.list[j].File {
			return r.list[i].File < r.list[j].File
		}
		return r.list[i].Line < r.list[j].Line
	})
	return r.list
}

// contentDigest is the digest of a delivery without regard to order: the sum
// of its records' digests modulo 2^128, with their number.
type contentDigest struct{ high, low, count uint64 }

func (c *contentDigest) add(d *id.Digest) {
	sum := d.Short()
	c.high += binary.BigEndian.Uint64(sum[:8])
	c.low += binary.BigEndian.Uint64(sum[8:])
	c.count++
}

func (c *contentDigest) sum() id.ID {
	var bytes [24]byte
	binary.BigEndian.PutUint64(bytes[0:], c.high)
	binary.BigEndian.PutUint64(bytes[8:], c.low)
	binary.BigEndian.PutUint64(bytes[16:], c.count)
	return id.New("content/1").Bytes(bytes[:]).Short()
}

func stated(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func moment(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Truncate(time.Microsecond)
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Truncate(time.Microsecond).Format(time.RFC3339Nano)
}

// Bounds of texts. What stands in an index is bounded more tightly, because
// PostgreSQL refuses index rows above 2.7 kB.
const (
	maxKey  = 1024
	maxText = 16 * 1024
)

// badText says what is wrong with the first text that the database would refuse.
func badText(texts ...string) string { return badWithin(maxText, texts) }

// badKey is badText for what stands in an index.
func badKey(texts ...string) string { return badWithin(maxKey, texts) }

func badWithin(limit int, texts []string) string {
	for _, text := range texts {
		switch {
		case len(text) > limit:
			return fmt.Sprintf("is longer than %d bytes", limit)
		case strings.IndexByte(text, 0) >= 0:
			return "contains a NUL character"
		case !utf8.ValidString(text):
			return "is not UTF-8"
		}
	}
	return ""
}

// clean makes a doubtful text fit for a message.
func clean(text string) string {
	if len(text) > 120 {
		text = text[:120] + "…"
	}
	return strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", "\\0"), "\uFFFD")
}
