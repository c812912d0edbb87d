package ledger

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"

	"github.com/exposuregraph/exposuregraph/internal/id"
)

// Code says what is wrong with a ledger.
type Code string

// The codes.
const (
	BodyNotCanonical    Code = "BODY_NOT_CANONICAL"   // the body is not what a ledger writes
	HashMismatch        Code = "HASH_MISMATCH"        // the hash is not that of the body and the hash before
	ChainBroken         Code = "CHAIN_BROKEN"         // it follows another entry than the one before it
	SeqGap              Code = "SEQ_GAP"              // entries are missing, come twice, or in another order
	ForeignEntry        Code = "FOREIGN_ENTRY"        // it belongs to another organization
	ClockBackwards      Code = "CLOCK_BACKWARDS"      // it occurred before an entry before it
	TileMismatch        Code = "TILE_MISMATCH"        // a stored root of a tile is not that of its entries
	CheckpointSignature Code = "CHECKPOINT_SIGNATURE" // it is no checkpoint, or signed by none of the keys
	CheckpointRoot      Code = "CHECKPOINT_ROOT"      // other entries were signed
	CheckpointHead      Code = "CHECKPOINT_HEAD"      // another last entry was signed
	Truncated           Code = "TRUNCATED"            // there were more entries once
	EndMismatch         Code = "END_MISMATCH"         // the export says that it ends otherwise
	MalformedLine       Code = "MALFORMED_LINE"       // the line is none of an export
)

// Fault is one thing that is wrong.
type Fault struct {
	Code    Code   `json:"code"`
	Seq     int64  `json:"seq"`            // the entry, or the one that a checkpoint ends with; 0 before the first
	Line    int    `json:"line,omitempty"` // of the export
	Message string `json:"message"`
}

// Kept is a checkpoint that was kept outside of the ledger.
type Kept struct {
	Name string // where: the name of its file
	Note string
}

// Expect is what a ledger is compared with.
type Expect struct {
	// Organization is whose ledger it has to be. Without one, an export is that of
	// the organization in its first line.
	Organization id.ID
	// Keys have to have signed each checkpoint. Nil: signatures are not looked at.
	Keys note.Verifiers
	Kept []Kept
	// Limit is how many faults are reported with their message, 100 without one.
	Limit int
}

// Report is what was found.
type Report struct {
	Organization id.ID   `json:"organization"`
	Size         int64   `json:"size"` // the last seq
	Head         Hash    `json:"head"`
	Root         Hash    `json:"root"`        // of the tree over the hashes as they stand there
	Checkpoints  int     `json:"checkpoints"` // that came with the ledger, and agree
	Kept         int     `json:"kept"`        // that were kept outside, and agree
	Signatures   bool    `json:"signatures"`  // were looked at
	Faults       []Fault `json:"faults"`      // in the order in which they were found
	More         int     `json:"more"`        // faults beyond the limit
}

// OK says that no fault was found.
func (r *Report) OK() bool { return len(r.Faults) == 0 && r.More == 0 }

// Check looks at a ledger entry by entry, in the order of their seq. It holds as
// much in memory for the last entry as for the first.
type Check struct {
	expect Expect
	report Report
	line   int

	last     int64
	hash     Hash      // of the last entry, as it stands there
	computed Hash      // of the last entry, as it should be
	at       time.Time // of the last entry, zero if nobody knows
	clock    time.Time // the greatest instant so far
	gap      bool      // an entry was missing, so that no root can be compared
	tree     *tree
	agreed   int64 // the greatest size at which a checkpoint agreed
	awaited  map[int64][]awaited
}

type awaited struct {
	*Checkpoint
	what string
}

// NewCheck begins to look at the ledger of an organization.
func NewCheck(expect Expect) *Check {
	if expect.Limit <= 0 {
		expect.Limit = 100
	}
	c := &Check{expect: expect, tree: newTree(), awaited: map[int64][]awaited{}}
	c.report = Report{Organization: expect.Organization, Signatures: expect.Keys != nil, Faults: []Fault{}}
	for _, kept := range expect.Kept {
		what := "the checkpoint kept in " + kept.Name
		if checkpoint := c.open(kept.Note, what); checkpoint != nil {
			c.awaited[checkpoint.Size] = append(c.awaited[checkpoint.Size], awaited{checkpoint, what})
		}
	}
	return c
}

// Fault adds a fault to the report.
func (c *Check) Fault(code Code, seq int64, format string, args ...any) {
	if len(c.report.Faults) == c.expect.Limit {
		c.report.More++
		return
	}
	c.report.Faults = append(c.report.Faults, Fault{Code: code, Seq: seq, Line: c.line, Message: fmt.Sprintf(format, args...)})
}

// Entry looks at the next entry.
func (c *Check) Entry(s Stored) {
	entry, err := Parse(s.Body)
	computed := Link(s.Previous, s.Body)
	switch {
	case err != nil:
		c.Fault(BodyNotCanonical, s.Seq, "%s", err)
	case entry.Seq != s.Seq:
		c.Fault(SeqGap, s.Seq, "the body is that of entry %d", entry.Seq)
		if computed == s.Hash {
			s.Seq = entry.Seq // only its number was changed
		}
	}
	if entry != nil {
		if c.report.Organization == id.Nil {
			c.report.Organization = entry.Organization
		}
		if entry.Organization != c.report.Organization {
			c.Fault(ForeignEntry, s.Seq, "the entry is of the organization %s", entry.Organization)
		}
	}
	if computed != s.Hash {
		c.Fault(HashMismatch, s.Seq, "the hash is %s; the body and the hash before it give %s", s.Hash, computed)
		entry = nil // whatever it says, it is not what was written
	}
	switch {
	case s.Seq <= c.last:
		c.gap = true
		c.Fault(SeqGap, s.Seq, "it stands behind entry %d", c.last)
		return
	case s.Seq > c.last+1:
		c.gap = true
		c.Fault(SeqGap, s.Seq, "it stands behind entry %d: %d missing", c.last, s.Seq-c.last-1)
	case s.Previous != c.hash && s.Previous != c.computed:
		c.Fault(ChainBroken, s.Seq, "it follows an entry with the hash %s; the one before it has %s", s.Previous, c.hash)
	}
	c.last, c.hash, c.computed = s.Seq, s.Hash, computed
	c.tick(entry)
	c.tree.append(s.Hash)
	for _, checkpoint := range c.awaited[c.last] {
		if c.compare(checkpoint) {
			c.report.Kept++
		}
	}
	delete(c.awaited, c.last)
}

// tick looks at the instant of the last entry; nil is one that is not as it was
// written.
func (c *Check) tick(entry *Entry) {
	c.at = time.Time{}
	if entry == nil {
		return
	}
	c.at = entry.OccurredAt
	switch {
	case !entry.OccurredAt.Before(c.clock):
		c.clock = entry.OccurredAt
	case !entry.Imported:
		c.Fault(ClockBackwards, entry.Seq, "it occurred at %s, after an entry of %s", instant(entry.OccurredAt), instant(c.clock))
	}
}

// Checkpoint looks at a checkpoint that comes with the ledger, right behind the
// last entry that it covers.
func (c *Check) Checkpoint(text string) {
	checkpoint := awaited{what: "the checkpoint"}
	checkpoint.Checkpoint = c.open(text, checkpoint.what)
	switch {
	case checkpoint.Checkpoint == nil:
	case checkpoint.Size == c.last:
		if c.compare(checkpoint) {
			c.report.Checkpoints++
		}
	case !c.own(checkpoint):
	case checkpoint.Size > c.last:
		c.Fault(Truncated, c.last, "the checkpoint is of %d entries", checkpoint.Size)
	default:
		c.Fault(MalformedLine, checkpoint.Size, "the checkpoint of %d entries stands behind entry %d", checkpoint.Size, c.last)
	}
}

// Tile looks at a stored root of a tile, right behind the last entry of the tile.
func (c *Check) Tile(index int64, root Hash) {
	switch {
	case c.gap:
	case c.last != (index+1)*TileSize:
		c.Fault(TileMismatch, c.last, "the tile %d does not end with entry %d", index, c.last)
	case c.tree.tile != root:
		c.Fault(TileMismatch, c.last, "the tile %d has the root %s; its entries give %s", index, root, c.tree.tile)
	}
}

// End ends the look.
func (c *Check) End() *Report {
	var missing []awaited
	for size, checkpoints := range c.awaited {
		if size > c.last {
			missing = append(missing, checkpoints...)
		}
	}
	slices.SortFunc(missing, func(a, b awaited) int {
		return cmp.Or(cmp.Compare(a.Size, b.Size), cmp.Compare(a.what, b.what))
	})
	for _, checkpoint := range missing {
		if c.own(checkpoint) {
			c.Fault(Truncated, c.last, "%s is of %d entries", checkpoint.what, checkpoint.Size)
		}
	}
	c.report.Size, c.report.Head, c.report.Root = c.last, c.hash, c.tree.root()
	return &c.report
}

// open reads a checkpoint; nil is one that cannot be compared.
func (c *Check) open(text, what string) *Checkpoint {
	var checkpoint *Checkpoint
	var err error
	if c.expect.Keys != nil {
		checkpoint, err = OpenCheckpoint(text, c.expect.Keys)
	} else {
		checkpoint, err = ReadCheckpoint(text)
	}
	if err != nil {
		c.Fault(CheckpointSignature, c.last, "%s: %s", what, err)
		return nil
	}
	return checkpoint
}

// own says whether a checkpoint is of this ledger.
func (c *Check) own(checkpoint awaited) bool {
	if checkpoint.Origin != Origin(c.report.Organization) {
		c.Fault(ForeignEntry, c.last, "%s is of %s", checkpoint.what, checkpoint.Origin)
		return false
	}
	return true
}

// compare looks whether a checkpoint of as many entries says what is there.
func (c *Check) compare(checkpoint awaited) bool {
	if !c.own(checkpoint) {
		return false
	}
	agrees := true
	if root := c.tree.root(); c.gap {
		agrees = false // which has been said
	} else if root != checkpoint.Root {
		c.Fault(CheckpointRoot, c.last, "%s has the root %s; the %d entries give %s, and agreed with a checkpoint up to entry %d",
			checkpoint.what, checkpoint.Root, c.last, root, c.agreed)
		agrees = false
	}
	switch {
	case checkpoint.Head != c.hash:
		c.Fault(CheckpointHead, c.last, "%s ends with the hash %s; the entry has %s", checkpoint.what, checkpoint.Head, c.hash)
		agrees = false
	case !c.at.IsZero() && !checkpoint.At.Equal(c.at):
		c.Fault(CheckpointHead, c.last, "%s ends at %s; the entry occurred at %s", checkpoint.what, instant(checkpoint.At), instant(c.at))
		agrees = false
	}
	if agrees {
		c.agreed = c.last
	}
	return agrees
}

// tree is the tree over what was appended to it: of its nodes only those that
// are still needed.
type tree struct {
	nodes *compact.Range
	tile  Hash // the root of the last full tile
}

func newTree() *tree {
	factory := compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}
	return &tree{nodes: factory.NewEmptyRange(0)}
}

func (t *tree) append(entry Hash) {
	// Only a node of the wrong length, or a range that does not begin at 0, is
	// refused.
	err := t.nodes.Append(rfc6962.DefaultHasher.HashLeaf(entry[:]), func(node compact.NodeID, hash []byte) {
		if node.Level == tileLevel {
			t.tile = Hash(hash)
		}
	})
	if err != nil {
		panic(err)
	}
}

func (t *tree) root() Hash {
	root, err := t.nodes.GetRootHash(nil)
	if err != nil {
		panic(err) // as above
	}
	if root == nil {
		root = rfc6962.DefaultHasher.EmptyRoot()
	}
	return Hash(root)
}
