package asset

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface"
)

const (
	// maxDoubts bounds the hosts that rejected records may have been about. A scan
	// that is wrong about more covers nothing.
	maxDoubts = 10_000

	// recentCovers is how many covers are remembered, to stage one once that every
	// record repeats.
	recentCovers = 4096
)

// stage takes the records of a scan, checks each by itself, and copies what they
// show into temporary tables. It holds a bounded number of rows.
type stage struct {
	tx           *db.Tx
	organization id.ID
	copies       *authority.Copier
	tables       [3]authority.Buffer
	rows         int64
	seq          int64
	covered      map[id.ID]bool // the latest covers
	doubted      map[record.AssetRef]bool
	blind        bool // a rejected record did not say whom it was about
}

// The tables of a stage.
const (
	assetTable = iota
	tieTable
	coverTable
)

func newStage(tx *db.Tx, organization id.ID, copies *authority.Copier) *stage {
	return &stage{
		tx: tx, organization: organization, copies: copies, covered: map[id.ID]bool{}, doubted: map[record.AssetRef]bool{},
		tables: [...]authority.Buffer{
			assetTable: {Table: "staged_asset", Columns: []string{"asset_id", "kind", "value", "parent_id", "root_id", "address", "protocol", "port",
				"origin", "sha1", "state", "attributes", "confidence", "plugin", "seq"}},
			tieTable:   {Table: "staged_tie", Columns: []string{"kind", "from_id", "to_id"}},
			coverTable: {Table: "staged_cover", Columns: []string{"covers", "low", "high", "protocol", "ports", "answered", "subject", "subject_id", "root_id"}},
		},
	}
}

// Rows is how many rows were staged.
func (s *stage) Rows() int64 { return s.rows }

// Doubt notes whom a rejected record was about.
func (s *stage) Doubt(about *record.AssetRef) {
	if about == nil {
		s.blind = true
		return
	}
	root, err := whereabouts(*about)
	if err != nil || root.Value == "" || len(s.doubted) >= maxDoubts {
		s.blind = true
		return
	}
	s.doubted[root] = true
}

// sighted is an asset of a record, with what follows from its name.
type sighted struct {
	record.Asset
	place
	attributes []byte
}

// Sighting stages a record, or says why not.
func (s *stage) Sighting(at record.Position, r record.Sighting) (*id.Digest, *record.Rejection, error) {
	digest := id.New("sighting/1")
	known := make(map[record.AssetRef]bool, len(r.Assets)) // and whether it is a part of what is there
	assets := make([]sighted, 0, len(r.Assets))
	for _, a := range r.Assets {
		seen, err := read(a, known)
		if err != nil {
			return nil, refusal(at, about(r), "asset", err), nil
		}
		note(digest, seen)
		known[a.AssetRef] = a.State == "" || a.State == record.PortOpen
		if a.Parent.Value != "" && !known[a.Parent] {
			known[a.AssetRef] = false // nothing hangs on a port that is not open
			continue
		}
		assets = append(assets, seen)
	}
	for _, tie := range r.Ties {
		if err := checkTie(tie, known); err != nil {
			return nil, refusal(at, about(r), "tie", err), nil
		}
		digest.Text(string(tie.Kind)).Text(tie.From.Value).Text(tie.To.Value)
	}
	covers := make([]covered, 0, len(r.Covers))
	for _, c := range r.Covers {
		cover, err := readCover(c)
		if err != nil {
			return nil, refusal(at, about(r), "cover", err), nil
		}
		covers = append(covers, cover)
		digest.ID(cover.id)
	}
	return digest, nil, s.put(assets, r.Ties, known, covers)
}

// about is the host or domain that a record shows first.
func about(r record.Sighting) *record.AssetRef {
	for _, a := range r.Assets {
		if a.Kind == record.HostAsset || a.Kind == record.DomainAsset {
			if _, err := locate(a.AssetRef); err == nil {
				return &a.AssetRef
			}
		}
	}
	return nil
}

func refusal(at record.Position, about *record.AssetRef, what string, err error) *record.Rejection {
	return &record.Rejection{Position: at, Code: "INVALID_REFERENCE", Reason: fmt.Sprintf("the %s cannot be kept: %s", what, err), Asset: about}
}

func (s *stage) put(assets []sighted, ties []record.Tie, known map[record.AssetRef]bool, covers []covered) error {
	for _, a := range assets {
		if err := s.asset(a); err != nil {
			return err
		}
	}
	for _, tie := range ties {
		if !known[tie.From] || !known[tie.To] {
			continue
		}
		if err := s.row(tieTable, string(tie.Kind), s.assetID(tie.From), s.assetID(tie.To)); err != nil {
			return err
		}
	}
	for _, c := range covers {
		if s.covered[c.id] {
			continue
		}
		if len(s.covered) == recentCovers {
			clear(s.covered)
		}
		s.covered[c.id] = true
		if err := s.cover(c); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) assetID(ref record.AssetRef) id.ID {
	return id.Asset(s.organization, string(ref.Kind), ref.Value)
}

// optionalID is the id of an asset, or null where there is none.
func (s *stage) optionalID(ref record.AssetRef) any {
	if ref.Value == "" {
		return nil
	}
	return s.assetID(ref)
}

func (s *stage) asset(a sighted) error {
	var port any
	if a.Kind == record.ServiceAsset {
		port = int32(a.port) //nolint:gosec // surface.Service bounds it
	}
	s.seq++
	return s.row(assetTable, s.assetID(a.AssetRef), string(a.Kind), a.Value, s.optionalID(a.parent), s.optionalID(a.root), a.address,
		stated(string(a.protocol)), port, stated(a.origin), stated(otherDigest(a.Asset)), stated(string(a.State)), json.RawMessage(a.attributes), confidence(a.Confidence), stated(a.Plugin), s.seq)
}

// otherDigest is the SHA-1 of a certificate, by which it may be known elsewhere.
func otherDigest(a record.Asset) string {
	switch {
	case a.Kind != record.CertificateAsset:
		return ""
	case len(a.Value) == sha1Length:
		return a.Value
	case a.Certificate != nil:
		return a.Certificate.SHA1
	}
	return ""
}

// covered is a cover that was checked.
type covered struct {
	record.Cover
	id   id.ID
	root record.AssetRef
}

func (s *stage) cover(c covered) error {
	var ports db.Ranges
	var protocol, subject, subjectID any
	if c.Of == record.ServiceAsset {
		protocol, ports = string(c.Protocol), ranges(c.Ports)
	}
	if c.Subject.Value != "" {
		subject, subjectID = c.Subject.Value, s.assetID(c.Subject)
	}
	return s.row(coverTable, string(c.Of), c.From, c.To, protocol, ports, c.Answered, subject, subjectID, s.optionalID(c.root))
}

func (s *stage) row(of int, values ...any) error {
	s.rows++
	return s.tables[of].Add(s.copies, values...)
}

// Flush copies what is held.
func (s *stage) Flush() error {
	for i := range s.tables {
		if err := s.tables[i].Flush(s.copies); err != nil {
			return err
		}
	}
	return nil
}

func stated(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func confidence(percent int) any {
	if percent == 0 {
		return nil
	}
	return int16(percent) //nolint:gosec // checked to be at most 100
}

func ranges(ports []record.PortRange) db.Ranges {
	list := make(db.Ranges, 0, len(ports))
	for _, p := range surface.MergePorts(append([]record.PortRange(nil), ports...)) {
		list = append(list, db.Range{First: int32(p.First), Last: int32(p.Last)})
	}
	return list
}

// read checks an asset of a record. Known are those that stand before it.
func read(a record.Asset, known map[record.AssetRef]bool) (sighted, error) {
	at, err := locate(a.AssetRef)
	if err != nil {
		return sighted{}, err
	}
	name := surface.Quote(a.Value)
	_, twice := known[a.AssetRef]
	_, led := known[a.Parent]
	d := detailsOf(a)
	switch {
	case twice:
		return sighted{}, fmt.Errorf("%s stands there twice", name)
	case a.Parent != at.parent:
		return sighted{}, fmt.Errorf("%s is a part of %s, not of %s", name, surface.Quote(at.parent.Value), surface.Quote(a.Parent.Value))
	case a.Parent.Value != "" && !led:
		return sighted{}, fmt.Errorf("%s stands before what it is a part of", name)
	case (a.Kind == record.ServiceAsset) != (a.State != ""), !states[a.State]:
		return sighted{}, fmt.Errorf("%s cannot be in the state %s", name, surface.Quote(string(a.State)))
	case a.Confidence < 0 || a.Confidence > 100:
		return sighted{}, fmt.Errorf("%s cannot be sure by %d percent", name, a.Confidence)
	}
	if bad := surface.Unfit(append(d.texts(), a.Plugin)...); bad != "" {
		return sighted{}, fmt.Errorf("what is said of %s: %s", name, bad)
	}
	attributes, err := json.Marshal(d)
	return sighted{Asset: a, place: at, attributes: attributes}, err
}

var states = map[record.PortState]bool{"": true, record.PortOpen: true, record.PortClosed: true, record.PortFiltered: true, record.PortUnclear: true}

func note(digest *id.Digest, a sighted) {
	digest.Text(string(a.Kind)).Text(a.Value).Text(string(a.State)).Text(a.Plugin).Text(fmt.Sprint(a.Confidence)).Bytes(a.attributes)
}

// tieEnds are the kinds of assets that a tie may join.
var tieEnds = map[record.TieKind][2]record.AssetKind{
	record.Resolves: {record.DomainAsset, record.HostAsset},
	record.Presents: {record.ServiceAsset, record.CertificateAsset},
}

func checkTie(tie record.Tie, known map[record.AssetRef]bool) error {
	if ends, is := tieEnds[tie.Kind]; !is || tie.From.Kind != ends[0] || tie.To.Kind != ends[1] {
		return fmt.Errorf("%s cannot join a %s and a %s", surface.Quote(string(tie.Kind)), tie.From.Kind, tie.To.Kind)
	}
	for _, end := range []record.AssetRef{tie.From, tie.To} {
		if _, is := known[end]; !is {
			return fmt.Errorf("%s is not among the assets of the record", surface.Quote(end.Value))
		}
	}
	return nil
}

// subjects are the kinds of assets that a cover may be about.
var subjects = map[record.AssetKind][]record.AssetKind{
	record.CertificateAsset: {record.ServiceAsset},
	record.TechnologyAsset:  {record.ServiceAsset, record.URLAsset},
	record.DomainAsset:      {record.DomainAsset},
	record.URLAsset:         {record.URLAsset},
}

func readCover(c record.Cover) (covered, error) {
	digest := id.New("cover/1").Text(string(c.Of))
	switch c.Of {
	case record.HostAsset, record.ServiceAsset:
		c.From, c.To = c.From.WithZone("").Unmap(), c.To.WithZone("").Unmap()
		if !c.From.IsValid() || c.From.BitLen() != c.To.BitLen() || c.To.Less(c.From) {
			return covered{}, fmt.Errorf("it is no range of addresses: %s to %s", c.From, c.To)
		}
		if c.Of == record.ServiceAsset && (len(c.Ports) == 0 || !protocols[c.Protocol]) {
			return covered{}, errors.New("it names no ports of a protocol")
		}
		digest.Text(c.From.String()).Text(c.To.String()).Text(string(c.Protocol)).Text(fmt.Sprint(c.Answered, c.Ports))
		return covered{Cover: c, id: digest.Short()}, nil
	}
	root, err := whereabouts(c.Subject)
	switch {
	case err != nil:
		return covered{}, err
	case !slices.Contains(subjects[c.Of], c.Subject.Kind):
		return covered{}, fmt.Errorf("nobody looks for a %s on a %s", c.Of, c.Subject.Kind)
	}
	return covered{Cover: c, id: digest.Text(string(c.Subject.Kind)).Text(c.Subject.Value).Short(), root: root}, nil
}

var protocols = map[record.Protocol]bool{record.TCP: true, record.UDP: true, record.SCTP: true, record.IP: true}
