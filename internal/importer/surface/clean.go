package surface

import (
	"bufio"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// cleaner turns the bytes of an XML document into characters that XML may have.
// Scanners copy what servers send, and a NUL in one banner must not cost a scan
// of a thousand hosts: what XML forbids, as a byte or as a reference, becomes
// U+FFFD, and the text that has it is refused where it stands.
type cleaner struct {
	in     *bufio.Reader
	single *[128]rune // the upper half of a character set of single bytes; nil: UTF-8
	left   []byte     // of the last character, what did not fit
	given  int64
	limit  int64 // how much may be given
	err    error
}

// Read fills p as far as the input goes, so that whoever counts what was taken
// counts the same however the input comes.
func (c *cleaner) Read(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	n = copy(p, c.left)
	c.left = c.left[n:]
	for n < len(p) && c.err == nil {
		if c.given+int64(n) >= c.limit {
			c.err = errLarge
			break
		}
		var char rune
		if char, c.err = c.next(); c.err != nil {
			break
		}
		if char < utf8.RuneSelf {
			p[n] = byte(char)
			n++
			continue
		}
		encoded := utf8.AppendRune(nil, char)
		fits := copy(p[n:], encoded)
		n, c.left = n+fits, encoded[fits:]
	}
	c.given += int64(n)
	if n > 0 {
		return n, nil
	}
	return 0, c.err
}

// next is the next character.
func (c *cleaner) next() (rune, error) {
	var char rune
	if c.single != nil {
		b, err := c.in.ReadByte()
		if err != nil {
			return 0, err
		}
		if char = rune(b); b >= 128 {
			char = c.single[b-128]
		}
	} else {
		var err error
		if char, _, err = c.in.ReadRune(); err != nil {
			return 0, err
		}
	}
	if char == '&' && c.forbidden() {
		return utf8.RuneError, nil
	}
	if !isXML(char) {
		return utf8.RuneError, nil
	}
	return char, nil
}

// isXML says whether a document may have a character.
func isXML(c rune) bool {
	return c == '\t' || c == '\n' || c == '\r' || ' ' <= c && c <= 0xd7ff || 0xe000 <= c && c <= 0xfffd || 0x10000 <= c && c <= 0x10ffff
}

// maxReference is as long as a reference to any character is.
const maxReference = len("#x0010FFFF;")

// forbidden takes a reference, whose ampersand was taken, to a character that no
// document may have. Any other is left to the decoder.
func (c *cleaner) forbidden() bool {
	ahead, _ := c.in.Peek(maxReference) // near the end it is shorter, and its error comes again
	text, _, whole := strings.Cut(string(ahead), ";")
	digits, ok := strings.CutPrefix(text, "#")
	if !whole || !ok {
		return false
	}
	base := 10
	if rest, hex := strings.CutPrefix(digits, "x"); hex {
		digits, base = rest, 16
	}
	n, err := strconv.ParseUint(digits, base, 32)
	if err != nil || n <= 0x10ffff && isXML(rune(n)) { //nolint:gosec // it is bounded before
		return false
	}
	_, _ = c.in.Discard(len(text) + 1) // it was peeked
	return true
}

// sticky gives an error again and again, as not every reader does.
type sticky struct {
	in  io.Reader
	err error
}

func (s *sticky) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.in.Read(p)
	s.err = err
	return n, err
}

// characterSets are the encodings that are read besides UTF-8.
var characterSets = map[string]*[128]rune{
	"utf-8": nil, "utf8": nil, "us-ascii": nil, "ascii": nil, "iso-8859-1": latin(""), "latin1": latin(""), "windows-1252": latin(windows), "cp1252": latin(windows),
}

// windows is what Windows-1252 has where ISO-8859-1 has control characters.
const windows = "€\ufffd‚ƒ„…†‡ˆ‰Š‹Œ\ufffdŽ\ufffd\ufffd‘’“”•–—˜™š›œ\ufffdžŸ"

func latin(first string) *[128]rune {
	var set [128]rune
	for i := range set {
		set[i] = rune(128 + i)
	}
	copy(set[:], []rune(first))
	return &set
}
