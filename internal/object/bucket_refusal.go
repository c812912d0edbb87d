package object

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

const maxRefusal = 64 << 10

// refusal is an answer that is none of success. Of what the store says only the code
// and its number for the request are kept: the rest repeats who asked, and how it was
// signed.
type refusal struct {
	status  int
	code    string // NoSuchKey, AccessDenied; "" if it has none that can be read
	request string
}

func (r *refusal) Error() string {
	text := "status " + strconv.Itoa(r.status)
	if r.code != "" {
		text += " " + r.code
	}
	if r.request != "" {
		text += ", request " + r.request
	}
	return text
}

var word = regexp.MustCompile(`^[A-Za-z0-9._:/+=-]{1,128}$`)

// Refusals of the moment, besides those that a status tells.
var passingCodes = []string{"InternalError", "RequestTimeout", "ServiceUnavailable", "SlowDown", "SlowDownRead", "SlowDownWrite", "Throttling", "ThrottlingException", "TooManyRequests"}

// Refusals for want of room.
var fullCodes = []string{"QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded"}

func refusalOf(response *http.Response) error {
	var said struct {
		XMLName struct{} `xml:"Error"`
		Code    string
		Request string `xml:"RequestId"`
	}
	r := &refusal{status: response.StatusCode}
	// Without words, or with those of a proxy, the status says what there is to say.
	if err := decodeXML(response.Body, maxRefusal, &said); err == nil && word.MatchString(said.Code) {
		r.code = said.Code
		if word.MatchString(said.Request) {
			r.request = said.Request
		}
	}
	switch {
	case r.isFull():
		return r
	case r.status == http.StatusTooManyRequests || r.status == http.StatusRequestTimeout || slices.Contains(passingCodes, r.code),
		r.status >= 500 && r.status != http.StatusNotImplemented:
		return passing{r}
	}
	return r
}

func (r *refusal) isFull() bool {
	return r.status == http.StatusInsufficientStorage || slices.Contains(fullCodes, r.code)
}

// problem tells an error of call.
func (b *Bucket) problem(address Address, err error) error {
	var typed *problem.Error
	var refused *refusal
	isRefusal, isPassing := errors.As(err, &refused), errors.As(err, new(passing))
	switch {
	case err == nil || errors.As(err, &typed):
		return err
	case isPassing && isRefusal:
		return unavailable("the object store cannot do it now (%s); try again", refused).Because(err)
	case isPassing:
		return unavailable("the object store cannot be reached, or broke off; try again").Because(err)
	case !isRefusal: // what ended the context
		return err
	case refused.status == http.StatusNotFound && refused.code == "NoSuchKey":
		return missing(address).Because(err)
	case refused.isFull():
		return full(err)
	}
	return problem.New(problem.Unavailable, "OBJECT_STORE_REFUSES",
		"the object store refuses (%s); see to its bucket, region, credentials and clock", refused).Because(err)
}

func unavailable(format string, args ...any) *problem.Error {
	return problem.New(problem.Unavailable, "OBJECT_STORE_UNAVAILABLE", format, args...)
}

func malformed(how string) *problem.Error {
	return problem.New(problem.Unavailable, "OBJECT_STORE_MALFORMED", "the object store does not speak S3 as it should: %s", how)
}

// decodeXML reads one document, whole: with its element first, nothing but space after
// it, no declaration of a type, and no more bytes than there may be.
func decodeXML(from io.Reader, most int64, into any) error {
	text, err := io.ReadAll(io.LimitReader(from, most+1))
	if err != nil {
		return err
	}
	if int64(len(text)) > most {
		return malformed("an answer is too long")
	}
	decoder := xml.NewDecoder(bytes.NewReader(text))
	for read := false; ; {
		token, err := decoder.Token()
		switch token := token.(type) {
		case nil:
			if errors.Is(err, io.EOF) && read {
				return nil
			}
			return malformed("an answer is no XML").Because(err)
		case xml.StartElement:
			if read {
				return malformed("an answer has two elements")
			}
			if err := decoder.DecodeElement(into, &token); err != nil {
				return malformed("an answer is not the XML that it should be").Because(err)
			}
			read = true
		case xml.Directive:
			return malformed("an answer declares a type")
		case xml.CharData:
			if len(bytes.TrimSpace(token)) > 0 {
				return malformed("an answer has text around its element")
			}
		}
	}
}
