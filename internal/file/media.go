package file

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/exposuregraph/exposuregraph/internal/object"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// CodeType is of a file that is of a type that is not kept.
const CodeType = "FILE_TYPE_REFUSED"

// headSize is how much of a file says what it is.
const headSize = 4 << 10

const (
	octets     = "application/octet-stream"
	executable = "a program"
	document   = "a page that a browser runs"
)

// givenAs are the types that files are given out as, besides text, JSON and XML, by
// what net/http calls them. What is of no type that is refused, and of none of these,
// is octets.
var givenAs = map[string]string{
	"application/pdf": "application/pdf", "application/zip": "application/zip", "application/x-gzip": "application/gzip",
	"image/png": "image/png", "image/jpeg": "image/jpeg", "image/gif": "image/gif", "image/webp": "image/webp",
}

// magics are beginnings that net/http does not know. Those of two bytes count only
// where the rest is no text.
var magics = []struct{ begins, media, refused string }{
	{begins: "\x7fELF", refused: executable}, {begins: "\x00asm", refused: executable},
	{begins: "\xfe\xed\xfa\xce", refused: executable}, {begins: "\xfe\xed\xfa\xcf", refused: executable}, // Mach-O
	{begins: "\xce\xfa\xed\xfe", refused: executable}, {begins: "\xcf\xfa\xed\xfe", refused: executable},
	{begins: "\xca\xfe\xba\xbe", refused: executable}, // Mach-O for several machines, and Java
	{begins: "MZ", refused: executable},
	{begins: "\xd4\xc3\xb2\xa1", media: "application/vnd.tcpdump.pcap"}, {begins: "\xa1\xb2\xc3\xd4", media: "application/vnd.tcpdump.pcap"},
	{begins: "\x4d\x3c\xb2\xa1", media: "application/vnd.tcpdump.pcap"}, {begins: "\xa1\xb2\x3c\x4d", media: "application/vnd.tcpdump.pcap"},
	{begins: "\x0a\x0d\x0d\x0a", media: "application/x-pcapng"},
}

// mediaType says of which type a draft is, by its content: what its sender calls it
// says nothing. It refuses what would run where somebody opens it.
func mediaType(draft *object.Draft) (string, error) {
	head := make([]byte, headSize)
	n, err := draft.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	media, refused := classify(head[:n])
	if refused != "" {
		return "", problem.New(problem.Invalid, CodeType, "this is %s, by its content, and is not kept; send it in an archive", refused)
	}
	return media, nil
}

// classify reads the beginning of a file.
func classify(head []byte) (media, refused string) {
	sniffed := http.DetectContentType(head)
	plain, _, _ := strings.Cut(sniffed, ";")
	switch {
	case plain == "text/html":
		return "", document
	case bytes.HasPrefix(head, []byte("#!")):
		return "", executable
	case plain == "text/xml":
		return ofXML(head)
	case plain == "text/plain":
		return ofText(head, sniffed)
	}
	for _, magic := range magics {
		if bytes.HasPrefix(head, []byte(magic.begins)) {
			return magic.media, magic.refused
		}
	}
	if known, ok := givenAs[plain]; ok {
		return known, ""
	}
	return octets, ""
}

// ofText tells JSON, and XML without a declaration, from other text.
func ofText(head []byte, sniffed string) (media, refused string) {
	trimmed := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	switch {
	case bytes.HasPrefix(trimmed, []byte("<")):
		if media, refused := ofXML(trimmed); refused != "" || rootOf(trimmed) != "" {
			return media, refused
		}
	case bytes.HasPrefix(trimmed, []byte("{")) || bytes.HasPrefix(trimmed, []byte("[")):
		if beginsAsJSON(trimmed) {
			return "application/json", ""
		}
	}
	return sniffed, ""
}

// ofXML refuses what a browser runs.
func ofXML(head []byte) (media, refused string) {
	switch strings.ToLower(rootOf(head)) {
	case "svg", "html", "stylesheet", "transform":
		return "", document
	}
	return "application/xml", ""
}

// rootOf is the name of the first element; empty where none is to be seen.
func rootOf(head []byte) string {
	decoder := xml.NewDecoder(bytes.NewReader(head))
	decoder.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil } // names are in ASCII in all that matters
	for {
		token, err := decoder.RawToken()
		if err != nil {
			return ""
		}
		if start, ok := token.(xml.StartElement); ok {
			return start.Name.Local
		}
	}
}

// beginsAsJSON says whether there is no fault up to where the head ends. Lines of JSON
// are JSON here, too.
func beginsAsJSON(head []byte) bool {
	decoder := json.NewDecoder(bytes.NewReader(head))
	for {
		if _, err := decoder.Token(); err != nil {
			return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		}
	}
}
