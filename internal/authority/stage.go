package authority

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

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
	tables  [6]Buffer
	copies  *Copier
	scan    bool
	surface SurfaceStage // of a scan
	read    int
	digest  contentDigest
	said    id.Digest // of the record in hand
	recent  recentIDs
	rejects rejections
	warns   []record.Warning
	warned  int
	touched []id.ID // entities that rejected records spoke about
	blind   bool    // a rejected record did not say whom it spoke about
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
		ctx: ctx, tx: tx, organization: organization, system: request.System, progress: request.Progress, now: now, scan: request.Scan, copies: newCopier(ctx, tx), recent: newRecentIDs(),
		tables: [...]Buffer{
			entityTable: {Table: "staged_entity", Columns: append([]string{
				"entity_id", "basis", "digest", "kind", "system", "external_id", "name", "status", "environment", "owner_team", "business_tier",
				"execution_mode", "artifact_identifier", "source_type", "data_domain", "data_domain_stated", "sensitivity", "sensitivity_stated",
				"owner_type", "title", "last_active_at", "created_in_source_at", "labels"}, position...)},
			edgeTable: {Table: "staged_edge", Columns: append([]string{
				"kind", "from_id", "scope", "to_id", "actions", "effective", "protocol", "target_system"}, position...)},
			egressTable:   {Table: "staged_egress", Columns: append([]string{"workload_id", "host", "category"}, position...)},
			endpointTable: {Table: "staged_endpoint", Columns: append([]string{"workload_id", "kind", "value", "port"}, position...)},
			evidenceTable: {Table: "staged_evidence", Columns: append([]string{
				"workload_id", "identity_id", "resource_id", "action", "day", "related", "basis", "count", "last_at"}, position...)},
			coverageTable: {Table: "staged_coverage", Columns: append([]string{
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
	s.digest.add(digest.Short())
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
	return s.recent.id(ref, func() id.ID {
		return id.Entity(s.organization, string(ref.Kind), s.systemOf(ref), ref.SourceID)
	})
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
		s.digest.add(digest.Short())
	}
	return nil
}

// put adds a row to a table.
func (s *stage) put(table int, at record.Position, values ...any) error {
	rows := s.tables[table].begin(s.copies)
	rows.Put(values...)
	rows.Put(int32(s.file(at.File)), int32(at.Line), int64(s.read)) //nolint:gosec // lines and files stay far below 2^31
	return s.tables[table].end(s.copies)
}

// finish copies what is left, unless the delivery has failed already. It must be
// called either way: until it returns, the transaction is the copier's.
func (s *stage) finish(failed error) error {
	for i := range s.tables {
		if failed == nil {
			failed = s.tables[i].Flush(s.copies)
		}
	}
	if failed == nil && s.surface != nil {
		failed = s.surface.Flush()
	}
	return errors.Join(failed, s.copies.close())
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

func (c *contentDigest) add(sum id.ID) {
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
