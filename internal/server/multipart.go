package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"unicode"

	"github.com/exposuregraph/exposuregraph/internal/importer"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// epilogue is how much is read after the last part, to find the body's end.
const epilogue = 64 << 10

// parts reads the parts of an upload in the order in which they come. Policy and
// owners stand before the files, as they steer how those are read.
type parts struct {
	reader *multipart.Reader
	body   io.Reader
	limits Limits
	files  int
}

// attachParts reads the parts up to the first file and leaves the files to be
// read as they arrive.
func (s *Server) attachParts(r *http.Request, boundary string, request *importer.Request) error {
	if boundary == "" {
		return problem.New(problem.Invalid, "MULTIPART_MALFORMED", "the multipart Content-Type has no boundary").On("Content-Type")
	}
	p := &parts{reader: multipart.NewReader(r.Body, boundary), body: r.Body, limits: s.Limits}
	for {
		name, file, err := p.next()
		if errors.Is(err, io.EOF) {
			return nil // the service says that a file is missing
		}
		if err != nil {
			return err
		}
		switch {
		case name == "file":
			request.Files = p.from(file)
			return nil
		case name == "policy" && request.Policy == nil:
			request.Policy, err = p.whole(name, file)
		case name == "owners" && request.Owners == nil:
			request.Owners, err = p.whole(name, file)
		default:
			err = problem.New(problem.Invalid, "PART_REPEATED", "the part %s occurs twice", name).On(name)
		}
		if err != nil {
			return err
		}
	}
}

// from gives the first file and those that follow it.
func (p *parts) from(first importer.File) func(func(importer.File, error) bool) {
	return func(yield func(importer.File, error) bool) {
		for file := first; yield(file, nil); {
			name, next, err := p.next()
			switch {
			case errors.Is(err, io.EOF):
				return
			case err == nil && name != "file":
				err = problem.New(problem.Invalid, "PART_LATE", "the part %s must stand before the first file", name).On(name)
			}
			if err != nil {
				yield(importer.File{}, err)
				return
			}
			file = next
		}
	}
}

// next is the following part, io.EOF after the last.
func (p *parts) next() (name string, file importer.File, err error) {
	part, err := p.reader.NextPart()
	if err == io.EOF { //nolint:errorlint // a wrapped one means that the closing boundary is missing
		// Only at its end does the server see whether the client goes away.
		_, _ = io.CopyN(io.Discard, p.body, epilogue)
		return "", file, io.EOF
	}
	if err != nil {
		return "", file, partFault(err)
	}
	_, parameters, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
	if err != nil {
		parameters = nil // a part of multipart/mixed need not say anything
	}
	name = parameters["name"]
	switch name {
	case "":
		name = "file"
	case "file", "policy", "owners":
	default:
		return "", file, problem.New(problem.Invalid, "PART_UNKNOWN", "there is no part %.40q; known are policy, owners and file", name).On("name")
	}
	if p.files++; p.files > p.limits.UploadFiles {
		return "", file, problem.New(problem.Limit, "FILES_TOO_MANY", "an upload has at most %d files", p.limits.UploadFiles)
	}
	return name, importer.File{Name: fileName(parameters["filename"], p.files), Content: partContent{part}}, nil
}

// whole keeps a file that steers the import in memory.
func (p *parts) whole(name string, file importer.File) (*importer.File, error) {
	content, err := io.ReadAll(io.LimitReader(file.Content, p.limits.SideBytes+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > p.limits.SideBytes {
		return nil, problem.New(problem.Limit, "PART_TOO_LARGE", "the part %s has more than %d bytes", name, p.limits.SideBytes).On(name)
	}
	return &importer.File{Name: file.Name, Content: bytes.NewReader(content)}, nil
}

// fileName is a label for reports and never the name of a file here, so it may
// have slashes; what could break a line or be too long is taken out.
func fileName(given string, number int) string {
	name := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, given)
	if len(name) > 512 {
		name = "…" + strings.ToValidUTF8(name[len(name)-500:], "")
	}
	if name == "" {
		name = fmt.Sprintf("file-%d", number)
	}
	return name
}

// partContent gives the faults of reading a part their types.
type partContent struct{ part *multipart.Part }

func (c partContent) Read(p []byte) (int, error) {
	n, err := c.part.Read(p)
	if err == nil || err == io.EOF { //nolint:errorlint // see next
		return n, err
	}
	return n, partFault(err)
}

func partFault(err error) error {
	var typed *problem.Error
	if errors.As(err, &typed) {
		return typed
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return bodyFault(io.ErrUnexpectedEOF)
	}
	return problem.New(problem.Invalid, "MULTIPART_MALFORMED", "the multipart body cannot be read").Because(err)
}
