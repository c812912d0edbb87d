// Package id derives the stable identifiers of the product: a digest over a
// domain tag and length-prefixed fields, so that ("ab", "c") and ("a", "bc")
// never share an identifier and an absent field never equals an empty one.
//
// The database derives the same identifiers (db/migrations, functions
// authority_path_id, authority_lineage_id and composition_hash); golden vectors
// in testdata hold both sides to the same bytes.
package id

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"

	"github.com/google/uuid"
)

// ID is the stored form of an identifier: the first 128 bits of its digest.
type ID = uuid.UUID

// Nil is the identifier of nothing.
var Nil = uuid.Nil

// Field markers: an absent field is one byte, a present one its marker, its
// length as four big-endian bytes, and its bytes.
const (
	absent  = 0x00
	present = 0x01
)

// usual is the room for the fields of a digest, as far as they are not longer than usual.
const usual = 240

// Digest collects fields into one digest.
type Digest struct{ buffer []byte }

// New starts a digest under a domain tag, such as "authority-path/1".
func New(tag string) *Digest {
	d := &Digest{buffer: make([]byte, 0, usual)}
	return d.Text(tag)
}

// Restart forgets the fields, for another digest in their room.
func (d *Digest) Restart(tag string) *Digest {
	d.buffer = d.buffer[:0]
	return d.Text(tag)
}

// Bytes adds one field.
func (d *Digest) Bytes(field []byte) *Digest {
	d.buffer = appendField(d.buffer, field)
	return d
}

// Text adds one field of text.
func (d *Digest) Text(field string) *Digest {
	d.buffer = appendField(d.buffer, field)
	return d
}

func appendField[T string | []byte](buffer []byte, field T) []byte {
	buffer = binary.BigEndian.AppendUint32(append(buffer, present), uint32(len(field)))
	return append(buffer, field...)
}

// ID adds another identifier as a field.
func (d *Digest) ID(field ID) *Digest { return d.Bytes(field[:]) }

// Optional adds an identifier that may be absent.
func (d *Digest) Optional(field *ID) *Digest {
	if field == nil {
		return d.Absent()
	}
	return d.ID(*field)
}

// Absent adds the marker of a field that is not there.
func (d *Digest) Absent() *Digest {
	d.buffer = append(d.buffer, absent)
	return d
}

// Texts adds a list as its length followed by its fields.
func (d *Digest) Texts(fields []string) *Digest {
	d.count(len(fields))
	for _, field := range fields {
		d.Text(field)
	}
	return d
}

// IDs adds a list of identifiers as its length followed by its fields.
func (d *Digest) IDs(fields []ID) *Digest {
	d.count(len(fields))
	for _, field := range fields {
		d.ID(field)
	}
	return d
}

func (d *Digest) count(n int) {
	var count [4]byte
	binary.BigEndian.PutUint32(count[:], uint32(n)) //nolint:gosec // no list comes near 4 G entries
	d.Bytes(count[:])
}

// Sum is the whole digest, for what has to be proven.
func (d *Digest) Sum() [sha256.Size]byte {
	return sha256.Sum256(d.buffer)
}

// Short is the identifier: the first 128 bits.
func (d *Digest) Short() ID {
	sum := d.Sum()
	return ID(sum[:16])
}

// Organization is the identifier of the organization with this slug.
func Organization(slug string) ID {
	return New("organization/1").Text(slug).Short()
}

// Entity identifies an entity by its kind, the system instance it lives in and
// the name that system gives it. It is asked for more often than any other, and
// needs no room on the heap.
func Entity(organization ID, kind, system, sourceID string) ID {
	fields := appendField(make([]byte, 0, usual), "entity/1")
	fields = appendField(fields, organization[:])
	fields = appendField(appendField(appendField(fields, kind), system), sourceID)
	sum := sha256.Sum256(fields)
	return ID(sum[:16])
}

// Asset identifies what is seen from outside by its kind and normal value. Who sees
// it is no part of it.
func Asset(organization ID, kind, value string) ID {
	return New("asset/1").ID(organization).Text(kind).Text(value).Short()
}

// Source identifies a feed: its name and the system it speaks about.
func Source(organization ID, name, system string) ID {
	return New("source/1").ID(organization).Text(name).Text(system).Short()
}

// AuthorityPath identifies the route of a workload through one identity, or
// through none that is known, to one resource.
func AuthorityPath(organization, workload ID, identity *ID, resource ID) ID {
	return New("authority-path/1").ID(organization).ID(workload).Optional(identity).ID(resource).Short()
}

// Lineage identifies what survives a rotation: workload and resource.
func Lineage(organization, workload, resource ID) ID {
	return New("authority-lineage/1").ID(organization).ID(workload).ID(resource).Short()
}

// Composition fingerprints what a path is made of. Roles and actions are
// expected sorted by their bytes and without repetition.
func Composition(workload ID, identity *ID, resource ID, roles []ID, actions []string) [sha256.Size]byte {
	return New("composition/1").ID(workload).Optional(identity).ID(resource).IDs(roles).Texts(actions).Sum()
}

// WorkloadExposure is the digest that the human id of a workload's row is cut
// from: as many hexadecimal digits of it, eight at least, as make it the only one.
func WorkloadExposure(organization, workload ID) [sha256.Size]byte {
	return New("workload-exposure/1").ID(organization).ID(workload).Sum()
}

// Global is the identifier as the API gives it out: the type, the organization and
// what names the thing within it.
func Global(kind string, organization ID, parts ...ID) string {
	bytes := append([]byte(kind), 0)
	bytes = append(bytes, organization[:]...)
	for _, part := range parts {
		bytes = append(bytes, part[:]...)
	}
	return base64.RawURLEncoding.EncodeToString(bytes)
}

// Parse reads an identifier in its text form.
func Parse(text string) (ID, error) { return uuid.Parse(text) }
