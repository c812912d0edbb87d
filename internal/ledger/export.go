package ledger

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"slices"

	"github.com/exposuregraph/exposuregraph/internal/canonical"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// ExportFormat is the form of an export: a file of lines, each one canonical
// JSON.
const ExportFormat = "exposuregraph/ledger-export/1"

// headerLine is the first line.
type headerLine struct {
	Format       string `json:"format"`
	Organization id.ID  `json:"organization"`
	Slug         string `json:"slug"`
}

// entryLine is the line of an entry. appendEntry writes it.
type entryLine struct {
	Body     string            `json:"body"`
	Hash     Hash              `json:"hash"`
	Previous Hash              `json:"previous"`
	Seq      canonical.Integer `json:"seq"`
}

// checkpointLine stands right behind the last entry that its checkpoint covers.
type checkpointLine struct {
	Checkpoint string `json:"checkpoint"`
}

// endLine is the last line.
type endLine struct {
	End  bool              `json:"end"`
	Head Hash              `json:"head"`
	Root Hash              `json:"root"`
	Size canonical.Integer `json:"size"`
}

// appendEntry writes the line of an entry. It is canonical JSON without the way
// through canonical, for there are many.
func appendEntry(line []byte, s Stored) []byte {
	line = append(line, `{"body":"`...)
	line = base64.StdEncoding.AppendEncode(line, s.Body)
	line = append(line, `","hash":"`...)
	line = append(line, s.Hash.String()...)
	line = append(line, `","previous":"`...)
	line = append(line, s.Previous.String()...)
	line = append(line, `","seq":`...)
	seq, _ := canonical.Integer(s.Seq).MarshalJSON()
	line = append(line, seq...)
	return append(line, '}')
}

// Exporter writes a ledger to a file as it is, whatever is wrong with it.
type Exporter struct {
	out         *bufio.Writer
	checkpoints []export // that are still to be written
	last        int64
	head        Hash
	tree        *tree
	line        []byte
}

type export struct {
	size int64
	text string
}

// NewExporter begins an export with its first line. The checkpoints are those
// that the ledger keeps, as signed notes.
func NewExporter(w io.Writer, organization id.ID, slug string, checkpoints []string) (*Exporter, error) {
	x := &Exporter{out: bufio.NewWriterSize(w, 1<<16), tree: newTree()}
	for _, text := range checkpoints {
		e := export{text: text}
		if checkpoint, err := ReadCheckpoint(text); err == nil {
			e.size = checkpoint.Size // one that cannot be read is written first
		}
		x.checkpoints = append(x.checkpoints, e)
	}
	slices.SortStableFunc(x.checkpoints, func(a, b export) int { return cmp.Compare(a.size, b.size) })
	return x, x.write(headerLine{ExportFormat, organization, slug})
}

// Entry writes the next entry.
func (x *Exporter) Entry(s Stored) error {
	if err := x.writeCheckpoints(s.Seq - 1); err != nil {
		return err
	}
	x.last, x.head = s.Seq, s.Hash
	x.tree.append(s.Hash)
	x.line = append(appendEntry(x.line[:0], s), '\n')
	_, err := x.out.Write(x.line)
	return err
}

// End writes the last line.
func (x *Exporter) End() error {
	if err := x.writeCheckpoints(MaxSize); err != nil {
		return err
	}
	if err := x.write(endLine{true, x.head, x.tree.root(), canonical.Integer(x.last)}); err != nil {
		return err
	}
	return x.out.Flush()
}

// writeCheckpoints writes those of up to so many entries.
func (x *Exporter) writeCheckpoints(size int64) error {
	for len(x.checkpoints) > 0 && x.checkpoints[0].size <= size {
		if err := x.write(checkpointLine{x.checkpoints[0].text}); err != nil {
			return err
		}
		x.checkpoints = x.checkpoints[1:]
	}
	return nil
}

func (x *Exporter) write(line any) error {
	form, err := canonical.Marshal(line)
	if err != nil {
		return err
	}
	_, err = x.out.Write(append(form, '\n'))
	return err
}

// maxLine bounds a line: a body in base64 and what stands around it.
const maxLine = MaxBody/3*4 + 1<<16

// VerifyExport looks at an export line by line. The error is one of reading:
// what is wrong with the ledger is in the report.
func VerifyExport(r io.Reader, expect Expect) (*Report, error) {
	v := &verifier{check: NewCheck(expect)}
	in := bufio.NewReaderSize(r, 1<<16)
	for {
		line, err := readLine(in)
		if errors.Is(err, io.EOF) {
			break
		}
		v.check.line++
		switch {
		case errors.Is(err, errLong):
			v.malformed("it is longer than %d bytes", maxLine)
		case err != nil:
			return nil, err
		default:
			v.read(line)
		}
	}
	if !v.ended {
		v.check.Fault(Truncated, v.check.last, "the export ends before its last line")
	}
	v.check.line = 0
	return v.check.End(), nil
}

// verifier reads the lines of an export.
type verifier struct {
	check *Check
	ended bool
	again []byte
}

func (v *verifier) malformed(format string, args ...any) {
	v.check.Fault(MalformedLine, v.check.last, "this is no line of an export: "+format, args...)
}

// read reads one line. What it is shows in the first member of the canonical form.
func (v *verifier) read(line []byte) {
	switch {
	case v.ended:
		v.malformed("it stands behind the last one")
	case bytes.HasPrefix(line, []byte(`{"body":`)):
		var entry entryLine
		if v.decode(line, &entry) {
			v.entry(line, entry)
		}
	case bytes.HasPrefix(line, []byte(`{"checkpoint":`)):
		var checkpoint checkpointLine
		if v.decode(line, &checkpoint) && v.same(line, checkpoint) {
			v.check.Checkpoint(checkpoint.Checkpoint)
		}
	case bytes.HasPrefix(line, []byte(`{"end":`)):
		var end endLine
		if v.decode(line, &end) && v.same(line, end) {
			v.end(end)
		}
	case bytes.HasPrefix(line, []byte(`{"format":`)):
		var header headerLine
		if v.decode(line, &header) && v.same(line, header) {
			v.header(header)
		}
	default:
		v.malformed("it begins like none")
	}
	if v.check.line == 1 && !bytes.HasPrefix(line, []byte(`{"format":`)) {
		v.malformed("the first one names the format and the organization")
	}
}

func (v *verifier) decode(line []byte, into any) bool {
	if err := json.Unmarshal(line, into); err != nil {
		v.malformed("%s", err)
		return false
	}
	return true
}

// same says whether a line is what an export would have.
func (v *verifier) same(line []byte, read any) bool {
	form, err := canonical.Marshal(read)
	if err != nil || !bytes.Equal(form, line) {
		v.malformed("it is not in the canonical form")
		return false
	}
	return true
}

func (v *verifier) header(header headerLine) {
	switch {
	case v.check.line != 1:
		v.malformed("only the first one names the format")
	case header.Format != ExportFormat:
		v.malformed("the format is %q; this release reads %s", header.Format, ExportFormat)
	case v.check.report.Organization == id.Nil:
		v.check.report.Organization = header.Organization
	case v.check.report.Organization != header.Organization:
		v.check.Fault(ForeignEntry, 0, "the export is of the organization %s", header.Organization)
	}
}

func (v *verifier) entry(line []byte, entry entryLine) {
	stored := Stored{Seq: int64(entry.Seq), Previous: entry.Previous, Hash: entry.Hash}
	var err error
	stored.Body, err = base64.StdEncoding.Strict().DecodeString(entry.Body)
	if err != nil {
		v.malformed("the body of entry %d: %s", stored.Seq, err)
		return
	}
	v.again = appendEntry(v.again[:0], stored)
	if !bytes.Equal(v.again, line) {
		v.malformed("it is not in the canonical form")
		return
	}
	v.check.Entry(stored)
}

func (v *verifier) end(end endLine) {
	v.ended = true
	c := v.check
	switch {
	case int64(end.Size) != c.last:
		c.Fault(EndMismatch, c.last, "the export says that it has %d entries", end.Size)
	case end.Head != c.hash:
		c.Fault(EndMismatch, c.last, "the export says that it ends with the hash %s; the last entry has %s", end.Head, c.hash)
	case !c.gap && end.Root != c.tree.root():
		c.Fault(EndMismatch, c.last, "the export says that its root is %s; the entries give %s", end.Root, c.tree.root())
	case !end.End:
		v.malformed("an end is true")
	}
}

var errLong = errors.New("a line that is too long")

// readLine reads up to the next newline, or to the end of what has none.
func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		if len(line) <= maxLine {
			line = append(line, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(line) > 0, err == nil:
			line = bytes.TrimSuffix(line, []byte("\n"))
			if len(line) > maxLine {
				return nil, errLong
			}
			return line, nil
		default:
			return nil, err
		}
	}
}
