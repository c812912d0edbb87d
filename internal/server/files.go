package server

import (
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/audit"
	"github.com/exposuregraph/exposuregraph/internal/file"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/object"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// Files keeps files and hands them out.
type Files interface {
	// MaxBytes is the most that a file may have.
	MaxBytes() int64

	// Collect keeps a file, and says whether it was not there before.
	Collect(ctx context.Context, u file.Upload) (f *file.File, created bool, err error)

	// Find says what a file is.
	Find(ctx context.Context, organization id.ID, sha256 string) (*file.File, error)

	// Check says whether its content is there.
	Check(ctx context.Context, organization id.ID, f *file.File) error

	// Open gives its content, which has been verified.
	Open(ctx context.Context, organization id.ID, f *file.File) (*object.Content, error)
}

// wrapping is what a multipart body may have besides the file.
const wrapping = 1 << 20

// collectedFile is a file as the answer has it.
type collectedFile struct {
	ID        id.ID  `json:"id"`
	SHA256    string `json:"sha256"`
	Size      int64  `json:"size"`
	MediaType string `json:"mediaType"`
	Name      string `json:"name"`
	URL       string `json:"url"`
	Created   bool   `json:"created"`
}

// collectFile answers POST /files: 201 with the file, or 200 where it was there.
func (s *Server) collectFile(w http.ResponseWriter, r *http.Request) {
	limit := int64(wrapping)
	if s.Files != nil {
		limit += s.Files.MaxBytes()
	}
	body := s.paced(w, r, http.MaxBytesReader(w, r.Body, limit))
	var f *file.File
	var created bool
	err := s.audited(r, r.URL.Query().Get("org"), audit.FileUpload, func(event *audit.Event) (err error) {
		if f, created, err = s.takeFile(r); err != nil {
			return s.fileFault(err)
		}
		sayFile(event, f)
		say(event, "created", strconv.FormatBool(created))
		return nil
	})
	if err != nil {
		s.refuseUpload(w, r, body, err)
		return
	}
	address := "/files/" + f.SHA256.String() + "?" + url.Values{"org": {r.URL.Query().Get("org")}}.Encode()
	status := http.StatusOK
	if created {
		status = http.StatusCreated
		w.Header().Set("Location", address)
	}
	answer(w, status, collectedFile{
		ID: f.ID, SHA256: f.SHA256.String(), Size: f.Size, MediaType: f.MediaType, Name: f.Name, URL: address, Created: created})
}

func (s *Server) takeFile(r *http.Request) (*file.File, bool, error) {
	var upload file.Upload
	var scan id.ID
	err := parameters(r, map[string]func(string) error{
		"org": text(&upload.Organization), "name": label(&upload.Name), "sync": identifier(&scan), "artifact": text(&upload.Artifact)})
	if err != nil {
		return nil, false, err
	}
	// The service checks this too; here it comes before the first byte is read.
	if err := s.mayFiles(r.Context(), upload.Organization, access.Investigate); err != nil {
		return nil, false, err
	}
	if scan != id.Nil {
		upload.Sync = &scan
	}
	content, err := s.fileContent(r, &upload.Name)
	if err != nil {
		return nil, false, err
	}
	if err := s.takeUpload(r.Context()); err != nil {
		return nil, false, err
	}
	defer func() { <-s.uploads }()
	if upload.Content, err = content(); err != nil {
		return nil, false, err
	}
	return s.Files.Collect(r.Context(), upload)
}

// mayFiles says whether the caller may do this with the files of an organization.
func (s *Server) mayFiles(ctx context.Context, slug string, scope access.Scope) error {
	if slug == "" {
		return problem.New(problem.Invalid, "ORGANIZATION_MISSING", "say whose file this is: ?org=SLUG").On("org")
	}
	if _, err := access.Admit(ctx, id.Organization(slug), scope); err != nil {
		return err
	}
	if s.Files == nil {
		return problem.New(problem.Unavailable, "FILE_STORE_MISSING", "this server has no store for files; its log says why, --file-store names another")
	}
	return nil
}

// label takes any text: it is cleaned where it is kept.
func label(target *string) func(string) error {
	return func(value string) error {
		if len(value) > 4096 {
			return expected("a name of at most 4,096 bytes")
		}
		*target = value
		return nil
	}
}

func identifier(target *id.ID) func(string) error {
	return func(value string) (err error) {
		if *target, err = id.Parse(value); err != nil || *target == id.Nil || target.String() != strings.ToLower(value) {
			return expected("the id of a sync, a UUID")
		}
		return nil
	}
}

// takeUpload waits until fewer files come in than may.
func (s *Server) takeUpload(ctx context.Context) error {
	patience, cancel := context.WithTimeout(ctx, s.Limits.ImportWait)
	defer cancel()
	select {
	case s.uploads <- struct{}{}:
		return nil
	case <-patience.Done():
		return problem.New(problem.Unavailable, "UPLOADS_BUSY", "%d files come in already; try again later", s.Limits.Uploads)
	}
}

// fileContent refuses what need not be read, and says how the file is found in the
// body: it is the body, or its only part.
func (s *Server) fileContent(r *http.Request, name *string) (open func() (io.Reader, error), err error) {
	if coding := r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return nil, problem.New(problem.Invalid, "ENCODING_UNSUPPORTED", "send the file without Content-Encoding").On("Content-Encoding")
	}
	limit, whole := s.Files.MaxBytes(), func() (io.Reader, error) { return r.Body, nil }
	media, settings, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if strings.HasPrefix(strings.ToLower(r.Header.Get("Content-Type")), "multipart/") {
		if err != nil || media != "multipart/form-data" && media != "multipart/mixed" || settings["boundary"] == "" {
			return nil, problem.New(problem.Invalid, "MULTIPART_MALFORMED", "send multipart/form-data or multipart/mixed with a boundary").On("Content-Type")
		}
		limit += wrapping
		whole = func() (io.Reader, error) {
			return openPart(multipart.NewReader(r.Body, settings["boundary"]), r.Body, name)
		}
	}
	if r.ContentLength > limit {
		return nil, file.TooLarge(s.Files.MaxBytes())
	}
	return whole, nil
}

// onePart reads the file of a multipart body, which has no other part.
type onePart struct {
	partContent

	reader *multipart.Reader
	body   io.Reader
}

func openPart(reader *multipart.Reader, body io.Reader, name *string) (io.Reader, error) {
	part, err := reader.NextPart()
	if err == io.EOF { //nolint:errorlint // see parts.next
		return nil, problem.New(problem.Invalid, "FILE_MISSING", "the body has no part; send the file as the part file").On("file")
	}
	if err != nil {
		return nil, partFault(err)
	}
	_, settings, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
	if err != nil {
		settings = nil // a part of multipart/mixed need not say anything
	}
	if given := settings["name"]; given != "" && given != "file" {
		return nil, problem.New(problem.Invalid, "PART_UNKNOWN", "there is no part %.40q; send the file as the part file, and all else as parameters", given).On("name")
	}
	if *name == "" {
		*name = settings["filename"]
	}
	return &onePart{partContent{part}, reader, body}, nil
}

// Read gives the end of the file when the body has ended as it should.
func (p *onePart) Read(into []byte) (int, error) {
	n, err := p.partContent.Read(into)
	if err != io.EOF { //nolint:errorlint // see parts.next
		return n, err
	}
	_, next := p.reader.NextPart()
	switch next { // see parts.next
	case io.EOF:
		_, _ = io.CopyN(io.Discard, p.body, epilogue) // only at its end does the server see whether the client goes away
		return n, io.EOF
	case nil:
		return n, problem.New(problem.Invalid, "PART_REPEATED", "one upload is one file; send the others by themselves").On("file")
	}
	return n, partFault(next)
}

// fileFault says of a body that is too large what is the matter with a file.
func (s *Server) fileFault(err error) error {
	var typed *problem.Error
	if errors.As(err, &typed) && typed.Code == codeTooLarge {
		return file.TooLarge(s.Files.MaxBytes()).Because(err)
	}
	return err
}

// sendFile answers GET and HEAD /files/{sha256} with the content of a file.
func (s *Server) sendFile(w http.ResponseWriter, r *http.Request) {
	give := func(event *audit.Event) error { return s.giveFile(w, r, event) }
	if r.Method == http.MethodHead { // nothing is handed out
		if err := give(&audit.Event{}); err != nil {
			refuse(w, r, s.Logger, err)
		}
		return
	}
	if err := s.audited(r, r.URL.Query().Get("org"), audit.FileDownload, give); err != nil {
		refuse(w, r, s.Logger, err)
	}
}

func sayFile(event *audit.Event, f *file.File) {
	event.Touched = []string{id.Global("Asset", event.Organization, f.ID)}
	say(event, "sha256", f.SHA256.String())
	say(event, "bytes", strconv.FormatInt(f.Size, 10))
}

func (s *Server) giveFile(w http.ResponseWriter, r *http.Request, event *audit.Event) error {
	ctx, slug := r.Context(), ""
	if err := parameters(r, map[string]func(string) error{"org": text(&slug)}); err != nil {
		return err
	}
	if err := s.mayFiles(ctx, slug, access.View); err != nil {
		return err
	}
	organization := id.Organization(slug)
	f, err := s.Files.Find(ctx, organization, r.PathValue("sha256"))
	if err != nil {
		return err
	}
	sayFile(event, f)
	etag := `"` + f.SHA256.String() + `"`
	if known := r.Header.Get("If-None-Match"); known == "*" || strings.Contains(known, etag) {
		say(event, "notModified", "true")
		describeFile(w.Header(), f, etag)
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	if r.Method == http.MethodHead {
		if err := s.Files.Check(ctx, organization, f); err != nil {
			return err
		}
		describeFile(w.Header(), f, etag)
		w.Header().Set("Content-Length", strconv.FormatInt(f.Size, 10))
		w.WriteHeader(http.StatusOK)
		return nil
	}
	select {
	case s.downloads <- struct{}{}:
		defer func() { <-s.downloads }()
	default:
		return problem.New(problem.Unavailable, "DOWNLOADS_BUSY", "%d files are handed out already; try again later", s.Limits.Downloads)
	}
	content, err := s.Files.Open(ctx, organization, f)
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }() // it was only read
	describeFile(w.Header(), f, etag)
	http.ServeContent(w, r, "", time.Time{}, content)
	return nil
}

// describeFile sets the headers under which a file is saved and never shown: whoever
// collected it may have meant it for the browser of whoever looks at it.
func describeFile(header http.Header, f *file.File, etag string) {
	header.Set("Content-Type", f.MediaType)
	header.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": f.Name}))
	header.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "private, no-cache")
	header.Set("ETag", etag)
}
