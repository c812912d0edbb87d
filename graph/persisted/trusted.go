package persisted

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

const (
	maxFile      = 16 << 20
	maxDocuments = 10_000
	maxMistakes  = 20 // that are told
)

// Documents are those that a server runs, by their names.
type Documents struct {
	texts map[string]string
}

// Len is how many there are.
func (d *Documents) Len() int { return len(d.texts) }

// Add adds documents of the program itself.
func (d *Documents) Add(texts ...string) {
	for _, text := range texts {
		d.texts[ID(text)] = text
	}
}

// reader reads files as far as it can, and notes what is wrong on the way.
type reader struct {
	check    func(document string) error
	texts    map[string]string
	places   map[string]string // where each was found
	mistakes []string
	more     int // that are not told
}

// Load reads documents: of a file, a JSON object whose keys are the SHA-256 of its
// values, as compilers of clients write it, or one document with the ending .graphql;
// or of all such files of a folder. check says what is wrong with a document. The error
// has the mistakes, a line each.
func Load(path string, check func(document string) error) (*Documents, error) {
	files, err := filesOf(path)
	if err != nil {
		return nil, err
	}
	r := &reader{check: check, texts: map[string]string{}, places: map[string]string{}}
	for _, file := range files {
		content, err := read(file)
		if err != nil {
			return nil, err
		}
		switch {
		case len(content) > maxFile:
			r.wrong(file, "the file has more than %d bytes", maxFile)
		case isDocument(file):
			r.add(file, ID(string(content)), string(content))
		case filepath.Ext(file) == ".json" || file == path:
			r.object(file, content)
		default:
			r.wrong(file, "it is neither .json nor .graphql: keep other files elsewhere")
		}
	}
	if len(r.mistakes) == 0 && len(r.texts) == 0 {
		r.wrong(path, "there is no document in it, and the server would run none")
	}
	if len(r.texts) > maxDocuments {
		r.wrong(path, "there are %d documents and the limit is %d", len(r.texts), maxDocuments)
	}
	if len(r.mistakes) == 0 {
		return &Documents{texts: r.texts}, nil
	}
	lines := strings.Join(r.mistakes, "\n")
	if r.more > 0 {
		lines += fmt.Sprintf("\nand %d more", r.more)
	}
	return nil, problem.New(problem.Invalid, "TRUSTED_DOCUMENTS_INVALID", "the trusted documents have mistakes:\n%s", lines).On("trusted-documents")
}

func isDocument(file string) bool {
	return filepath.Ext(file) == ".graphql" || filepath.Ext(file) == ".gql"
}

// filesOf are the files of a folder, without hidden ones, or the one file.
func filesOf(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, unreadable(err)
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, unreadable(err)
	}
	var files []string
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), ".") {
			files = append(files, filepath.Join(path, entry.Name()))
		}
	}
	return files, nil
}

func read(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, unreadable(err)
	}
	defer func() { _ = file.Close() }() // it was read
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, unreadable(err)
	}
	return content, nil
}

func unreadable(err error) error {
	return problem.New(problem.Invalid, "TRUSTED_DOCUMENTS_UNREADABLE", "what --trusted-documents names cannot be read: %s", err).Because(err).On("trusted-documents")
}

func (r *reader) wrong(place, format string, args ...any) {
	if len(r.mistakes) == maxMistakes {
		r.more++
		return
	}
	r.mistakes = append(r.mistakes, place+": "+fmt.Sprintf(format, args...))
}

// object reads the members of a file one by one: a map would take the last of two.
func (r *reader) object(file string, content []byte) {
	decoder := json.NewDecoder(bytes.NewReader(content))
	place := func() string {
		return fmt.Sprintf("%s:%d", file, 1+bytes.Count(content[:decoder.InputOffset()], []byte("\n")))
	}
	opening, err := decoder.Token()
	if err != nil || opening != json.Delim('{') {
		r.wrong(place(), "a JSON object is expected, whose keys are the SHA-256 of its values")
		return
	}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			r.wrong(place(), "the file is no JSON: %s", err)
			return
		}
		named, _ := key.(string) // as every key of an object
		at := fmt.Sprintf("%s: %.80q", place(), named)
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			r.wrong(at, "the file is no JSON: %s", err)
			return
		}
		var text *string
		if json.Unmarshal(value, &text) != nil || text == nil {
			r.wrong(at, "the document must be a text")
			continue
		}
		id, ok := readID(named)
		switch {
		case !ok:
			r.wrong(at, "the key is no SHA-256 in 64 hexadecimal digits: have the compiler of the client use SHA-256")
		case ID(*text) != id:
			r.wrong(at, "the document has another SHA-256, %s", ID(*text))
		default:
			r.add(at, id, *text)
		}
	}
	if _, err := decoder.Token(); err != nil {
		r.wrong(place(), "the file is no JSON: %s", err)
	} else if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		r.wrong(place(), "something follows the object: put all documents into it")
	}
}

// add takes a document that has this name.
func (r *reader) add(place, id, text string) {
	if taken, twice := r.places[id]; twice {
		r.wrong(place, "the same document is in %s already: leave one out", taken)
		return
	}
	r.places[id] = place
	if len(text) > MaxDocument {
		r.wrong(place, "the document has %d bytes and the limit is %d", len(text), MaxDocument)
		return
	}
	if err := r.check(text); err != nil {
		r.wrong(place, "%s", err)
		return
	}
	r.texts[id] = text
}
