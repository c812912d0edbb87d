package cli

import (
	"fmt"
	"io"
	"mime/multipart"
	"net/textproto"
	"strings"
	"sync"
)

// upload is the body of an import: the files as parts, read while they are sent.
type upload struct {
	*io.PipeReader

	contentType string
	done        chan struct{}
	mu          sync.Mutex
	err         error // of a file, not of the connection
}

// startUpload begins to read the files: those that steer the import first.
func startUpload(p Process, flags importFlags, files []string) *upload {
	reader, writer := io.Pipe()
	form := multipart.NewWriter(writer)
	u := &upload{PipeReader: reader, contentType: form.FormDataContentType(), done: make(chan struct{})}
	parts := make([][2]string, 0, len(files)+2)
	for _, side := range [][2]string{{"policy", flags.policy}, {"owners", flags.owners}} {
		if side[1] != "" {
			parts = append(parts, side)
		}
	}
	for _, file := range files {
		parts = append(parts, [2]string{"file", file})
	}
	go func() {
		defer close(u.done)
		err := u.send(p, form, parts)
		if err == nil {
			err = form.Close()
		}
		_ = writer.CloseWithError(err) // never fails
	}()
	return u
}

func (u *upload) send(p Process, form *multipart.Writer, parts [][2]string) error {
	for _, part := range parts {
		file, err := p.open(part[1])
		if err != nil {
			return u.fail(err)
		}
		err = u.sendFile(form, part[0], part[1], file)
		_ = file.Close() // it was only read
		if err != nil {
			return err
		}
	}
	return nil
}

func (u *upload) sendFile(form *multipart.Writer, part, name string, file io.Reader) error {
	label := name
	if name == stdinName {
		label = "stdin"
	}
	target, err := form.CreatePart(textproto.MIMEHeader{
		// The server takes the name as a label for its report, slashes and all.
		"Content-Disposition": {fmt.Sprintf(`form-data; name="%s"; filename="%s"`, part, escape.Replace(label))},
		"Content-Type":        {"application/octet-stream"},
	})
	if err != nil {
		return err
	}
	source := &noted{Reader: file}
	if _, err := io.Copy(target, source); err != nil {
		if source.err != nil {
			return u.fail(unreadable(label, source.err))
		}
		return err // of the connection, which the request tells
	}
	return nil
}

// escape is what mime/multipart does to a name.
var escape = strings.NewReplacer("\\", "\\\\", `"`, "\\\"", "\r", "%0D", "\n", "%0A")

func (u *upload) fail(err error) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.err = err
	return err
}

// failure is what was wrong with a file, if that ended the upload.
func (u *upload) failure() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.err
}

// noted remembers how its reader failed.
type noted struct {
	io.Reader

	err error
}

func (n *noted) Read(p []byte) (int, error) {
	count, err := n.Reader.Read(p)
	if err != nil && err != io.EOF {
		n.err = err
	}
	return count, err
}
