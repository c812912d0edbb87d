package yamldoc

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// Limits bound what a reader takes in.
type Limits struct {
	Document  int // bytes of one document
	Total     int // bytes of all input that shares the budget
	Documents int // how many of them
}

// DefaultLimits leave room for the largest manifests that are published.
var DefaultLimits = Limits{Document: 8 << 20, Total: 256 << 20, Documents: 500_000}

// separators bounds the nodes of a document before they are built. Eight
// megabytes of "[,,,," would otherwise become half a gigabyte of tree; eight
// megabytes of indented JSON weigh about a million.
const separators = 1_500_000

// Budget counts the bytes that the files of one import share.
type Budget struct {
	limits    Limits
	used      int
	documents int
}

// NewBudget starts a count.
func NewBudget(limits Limits) *Budget { return &Budget{limits: limits} }

// Reader yields the documents of one file. Its errors are *problem.Error with
// the codes PREFIX_NOT_YAML, PREFIX_TOO_LARGE, PREFIX_TOO_DEEP and
// PREFIX_ALIAS_BOMB, or whatever reading the input returned.
type Reader struct {
	in     *bufio.Reader
	name   string
	prefix string
	budget *Budget

	line    int           // lines of the input that were read
	held    []byte        // the separator line that begins the next chunk
	decoder *yaml.Decoder // of the present chunk
	offset  int           // lines before the present chunk
	ended   bool
}

// NewReader reads a file of some name. The prefix begins the codes of its
// errors.
func NewReader(in io.Reader, name, prefix string, budget *Budget) *Reader {
	return &Reader{in: bufio.NewReaderSize(in, 64<<10), name: name, prefix: prefix, budget: budget}
}

// Next is the content of the next document that has any, and io.EOF after the
// last. The lines of its nodes are lines of the file.
func (r *Reader) Next() (*yaml.Node, error) {
	for {
		if r.decoder == nil {
			text, err := r.chunk()
			if err != nil {
				return nil, err
			}
			if text == nil {
				continue
			}
			if r.budget.documents++; r.budget.documents > r.budget.limits.Documents {
				return nil, r.fault("TOO_LARGE", r.offset+1, "The input has more than %d documents.", r.budget.limits.Documents)
			}
			r.decoder = yaml.NewDecoder(bytes.NewReader(text))
		}
		var document yaml.Node
		switch err := r.decode(&document); {
		case errors.Is(err, io.EOF):
			r.decoder = nil
			continue
		case err != nil:
			return nil, err
		}
		if len(document.Content) == 0 || isNull(document.Content[0]) {
			continue
		}
		root := document.Content[0]
		if r.offset > 0 {
			shift(root, r.offset)
		}
		if err := r.inspect(root); err != nil {
			return nil, err
		}
		return root, nil
	}
}

// decode turns whatever the library does with hostile input into an error: it
// recovers from its own panics only.
func (r *Reader) decode(document *yaml.Node) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = r.fault("NOT_YAML", r.offset+1, "This is not YAML.").Because(fmt.Errorf("yaml: %v", cause))
		}
	}()
	err = r.decoder.Decode(document)
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	line, reason := r.offset+1, strings.TrimPrefix(err.Error(), "yaml: ")
	if found := lineOf.FindStringSubmatch(reason); found != nil {
		if n, convErr := strconv.Atoi(found[1]); convErr == nil {
			line = r.offset + n
		}
		reason = reason[len(found[0]):]
	}
	if strings.Contains(reason, "exceeded max depth") {
		return r.fault("TOO_DEEP", line, "The document is nested deeper than %d levels.", maxDepth).Because(err)
	}
	return r.fault("NOT_YAML", line, "This is not YAML: %s.", reason).Because(err)
}

var lineOf = regexp.MustCompile(`^line (\d+): `)

// chunk reads the text of one document. A line that begins with "---" and
// white space is a separator wherever it stands, even inside a block scalar, so
// that no parsing is needed to find it. The text is nil if there is nothing in
// it to parse.
func (r *Reader) chunk() ([]byte, error) {
	if r.ended {
		return nil, io.EOF
	}
	var text []byte
	var weight int
	var content, directive bool // seen so far; a separator is content
	var substance bool          // seen anything that is worth parsing
	begin := r.line + 1
	if r.held != nil {
		text, r.held, content, begin = r.held, nil, true, r.line
		substance = !isBare(text)
	}
	r.offset = begin - 1
	fresh := true // the next piece begins a line
	for {
		piece, err := r.in.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read %s: %w", r.name, err)
		}
		if len(piece) > 0 {
			if fresh {
				r.line++
			}
			if r.line == 1 && fresh {
				piece = bytes.TrimPrefix(piece, []byte("\xef\xbb\xbf"))
			}
			if r.budget.used += len(piece); r.budget.used > r.budget.limits.Total {
				return nil, r.fault("TOO_LARGE", begin,
					"The input is larger than %s; the document that begins here was not read.", size(r.budget.limits.Total))
			}
			if bytes.IndexByte(piece, 0) >= 0 {
				return nil, r.fault("NOT_YAML", r.line, "The file contains a NUL character: it is not text in UTF-8.")
			}
			if fresh && isMarker(piece, "---") && (content || directive || len(text) > 0) {
				if content || !directive {
					r.held = bytes.Clone(piece)
					return r.checked(text, begin, substance)
				}
				content = true // directives belong to the document they precede
			}
			if len(text)+len(piece) > r.budget.limits.Document {
				return nil, r.fault("TOO_LARGE", begin,
					"The document that begins here is larger than %s.", size(r.budget.limits.Document))
			}
			if weight += weigh(piece); weight > separators {
				return nil, r.fault("TOO_LARGE", begin, "The document that begins here has more than a million parts.")
			}
			if fresh {
				switch trimmed := bytes.TrimSpace(piece); {
				case len(trimmed) == 0 || trimmed[0] == '#':
				case piece[0] == '%' && !content:
					directive = true
				default:
					content = true
					substance = substance || !isBare(piece)
				}
			}
			text = append(text, piece...)
			if directive && !content && bytes.HasPrefix(piece, []byte("%YAML 1.")) {
				// The library knows version 1.1 only and refuses others, though
				// a manifest is the same in all of them.
				text[len(text)-len(piece)] = '#'
			}
		}
		if fresh && isMarker(piece, "...") && err == nil {
			return r.checked(text, begin, substance) // what follows may be directives of the next
		}
		fresh = err == nil
		if errors.Is(err, io.EOF) {
			r.ended = true
			return r.checked(text, begin, substance)
		}
	}
}

// checked refuses bytes that are no UTF-8, which the database could not store.
func (r *Reader) checked(text []byte, begin int, substance bool) ([]byte, error) {
	if utf8.Valid(text) {
		if !substance {
			return nil, nil
		}
		return text, nil
	}
	line := begin
	for rest := text; len(rest) > 0; {
		symbol, width := utf8.DecodeRune(rest)
		if symbol == utf8.RuneError && width == 1 {
			break
		}
		if symbol == '\n' {
			line++
		}
		rest = rest[width:]
	}
	return nil, r.fault("NOT_YAML", line, "The file contains bytes that are not UTF-8.")
}

func (r *Reader) fault(code string, line int, format string, args ...any) *problem.Error {
	return problem.New(problem.Invalid, r.prefix+"_"+code, format, args...).At(r.name, line)
}

// isBare holds for a marker with nothing after it.
func isBare(line []byte) bool {
	if !isMarker(line, "---") && !isMarker(line, "...") {
		return false
	}
	rest := bytes.TrimSpace(line[3:])
	return len(rest) == 0 || rest[0] == '#'
}

func isMarker(line []byte, marker string) bool {
	rest, found := bytes.CutPrefix(line, []byte(marker))
	return found && (len(rest) == 0 || strings.IndexByte(" \t\r\n", rest[0]) >= 0)
}

// weigh estimates from above how many nodes a piece of text becomes.
func weigh(piece []byte) (weight int) {
	for _, c := range piece {
		switch c {
		case ',':
			weight += 2 // in a flow mapping an entry without a value is two nodes
		case '\n', ':', '[', '{':
			weight++
		}
	}
	return weight
}

func size(bytes int) string {
	if bytes >= 1<<20 {
		return fmt.Sprintf("%d MiB", bytes>>20)
	}
	return fmt.Sprintf("%d bytes", bytes)
}
