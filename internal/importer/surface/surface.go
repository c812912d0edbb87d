package surface

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// File is one file of a scan.
type File struct {
	Name    string
	Content io.Reader
}

// Options adjust a parse. The zero value is useful.
type Options struct {
	// Now is what times are compared with. Zero: nothing is in the future.
	Now time.Time
}

// ClockSkew is how far ahead of us a scanner's clock may be.
const ClockSkew = 5 * time.Minute

// Future says whether a time cannot have been yet.
func (o Options) Future(at time.Time) bool {
	return !o.Now.IsZero() && at.After(o.Now.Add(ClockSkew))
}

// Summary is what was in a scan.
type Summary struct {
	Records               int // that were read and accepted
	Rows                  int // lines of a CSV
	StartedAt, FinishedAt time.Time
}

// Ran widens the time of a summary by that of one file; a time that is zero is
// not known.
func (s *Summary) Ran(started, finished time.Time) {
	if s.StartedAt.IsZero() || !started.IsZero() && started.Before(s.StartedAt) {
		s.StartedAt = started
	}
	if finished.After(s.FinishedAt) {
		s.FinishedAt = finished
	}
}

// Fault is why a value is not accepted, with the code of the rejection that it
// leads to. Two faults of one code are the same to errors.Is.
type Fault struct{ Code, Reason string }

func (f *Fault) Error() string { return f.Reason }

// Is compares codes.
func (f *Fault) Is(target error) bool {
	other, ok := target.(*Fault)
	return ok && other.Code == f.Code
}

func fault(code, format string, args ...any) *Fault {
	return &Fault{Code: code, Reason: fmt.Sprintf(format, args...)}
}

// The faults of values.
var (
	ErrAddress     = &Fault{"BAD_ADDRESS", "This is no address."}
	ErrName        = &Fault{"BAD_NAME", "This is no name of a host."}
	ErrWildcard    = &Fault{"WILDCARD_NAME", "A name with a star stands for many and is no asset."}
	ErrURL         = &Fault{"BAD_URL", "This is no URL."}
	ErrUnsupported = &Fault{"UNSUPPORTED_URL", "Only URLs of http and https are read."}
	ErrPort        = &Fault{"PORT_OUT_OF_RANGE", "A port is a number from 0 to 65535."}
	ErrProtocol    = &Fault{"BAD_PROTOCOL", "A protocol is tcp, udp, sctp or ip."}
	ErrDigest      = &Fault{"BAD_DIGEST", "This is no SHA-256 or SHA-1."}
	ErrText        = &Fault{"INVALID_TEXT", "The text has a control character or one that cannot be read."}
	ErrLong        = &Fault{"TEXT_TOO_LONG", "The text is longer than 2048 bytes."}
	ErrMissing     = &Fault{"MISSING_FIELD", "Nothing stands here."}
)

// Reject makes the rejection of a record from the fault of a value of it. What
// is no Fault is no matter of one record and is to end the parse.
func Reject(at record.Position, about *record.AssetRef, err error) (record.Rejection, bool) {
	var f *Fault
	if !errors.As(err, &f) {
		return record.Rejection{}, false
	}
	return record.Rejection{Position: at, Code: f.Code, Reason: f.Reason, Asset: about}, true
}

// In names the file that a fault of a file is about, where it does not say so.
func In(name string, err error) error {
	var p *problem.Error
	if errors.As(err, &p) && p.File == "" {
		return p.At(name, p.Line)
	}
	return err
}

// maxText bounds every text that is kept.
const maxText = 2048

// Unfit says why a text cannot be kept, "" if it can.
func Unfit(texts ...string) string {
	for _, text := range texts {
		if err := unfit(text); err != nil {
			return err.Reason
		}
	}
	return ""
}

func unfit(text string) *Fault {
	switch {
	case len(text) > maxText:
		return ErrLong
	case !utf8.ValidString(text), strings.ContainsFunc(text, unreadable):
		return ErrText
	}
	return nil
}

// unreadable holds for NUL and its like, and for what a decoder puts where there
// was no UTF-8.
func unreadable(c rune) bool { return unicode.IsControl(c) || c == utf8.RuneError }

// Quote shows a text from the input, cut where it would drown the message.
func Quote(text string) string {
	if len(text) > 120 {
		text = strings.ToValidUTF8(text[:120], "") + "…"
	}
	return fmt.Sprintf("%q", text)
}

// BaseName is what a position calls a file: its last element, whatever path the
// sender gave, without what cannot be shown and at most 255 bytes.
func BaseName(name string) string {
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	name = strings.Map(func(c rune) rune {
		if unreadable(c) {
			return '_'
		}
		return c
	}, name)
	if len(name) > 255 {
		name = strings.ToValidUTF8(name[:255], "")
	}
	return name
}

// Banner is how a service names itself: "product version (more)".
func Banner(product, version, extra string) string {
	if extra = spaced(extra); extra != "" {
		extra = "(" + extra + ")"
	}
	return spaced(product + " " + version + " " + extra)
}

// spaced has one space where there were some, and none at the ends.
func spaced(text string) string { return strings.Join(strings.Fields(text), " ") }
