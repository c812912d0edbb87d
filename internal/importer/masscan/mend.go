package masscan

import (
	"bytes"
	"io"
)

// mended leaves out what masscan writes that is no JSON: a comma that nothing
// follows, or that stands outside of a list, and {finished: 1}. Line ends stay, so
// that positions are those of the file.
func mended(in io.Reader) io.Reader { return &mender{in: in} }

type mender struct {
	in     io.Reader
	err    error
	ready  []byte // what may be read
	held   []byte // a brace and what follows it, which may be the end of the scan
	depth  int    // of lists and objects
	comma  bool   // one was seen and nothing after it
	text   bool   // within a text
	escape bool   // the last byte of a text was a backslash
}

// maxHeld is more than the end of a scan takes.
const maxHeld = 64

func (m *mender) Read(p []byte) (int, error) {
	for len(m.ready) == 0 && m.err == nil {
		var piece [4096]byte
		var n int
		n, m.err = m.in.Read(piece[:])
		m.ready = m.ready[:0]
		for _, c := range piece[:n] {
			m.take(c)
		}
		if m.err != nil {
			m.release()
		}
	}
	n := copy(p, m.ready)
	m.ready = m.ready[n:]
	if n == 0 && len(p) > 0 {
		return 0, m.err
	}
	return n, nil
}

func (m *mender) take(c byte) {
	if len(m.held) > 0 {
		m.hold(c)
		return
	}
	if m.text {
		m.ready = append(m.ready, c)
		m.text = m.escape || c != '"'
		m.escape = !m.escape && c == '\\'
		return
	}
	switch c {
	case ' ', '\t', '\r', '\n':
		m.ready = append(m.ready, c)
	case ',':
		m.comma = m.depth > 0
	case '{':
		m.held = append(m.held, c)
	default:
		m.put(c)
	}
}

// put gives on what stands outside of a text, after the comma before it.
func (m *mender) put(c byte) {
	if m.comma && c != ']' && c != '}' {
		m.ready = append(m.ready, ',')
	}
	m.comma = false
	switch c {
	case '[', '{':
		m.depth++
	case ']', '}':
		m.depth = max(m.depth-1, 0)
	}
	m.text = c == '"'
	m.ready = append(m.ready, c)
}

// hold looks whether a brace begins the end of the scan.
func (m *mender) hold(c byte) {
	word := bytes.TrimLeft(m.held[1:], " \t")
	isEnd := len(word) >= len(end)
	switch {
	case !isEnd && len(word) == 0 && (c == ' ' || c == '\t') && len(m.held) < maxHeld:
		m.held = append(m.held, c)
	case !isEnd && c == end[len(word)]:
		m.held = append(m.held, c)
	case isEnd && c == '}':
		m.held = m.held[:0]
		if m.depth == 0 { // a scan that found nothing is still one
			m.ready = append(m.ready, "[]"...)
		}
	case isEnd && c != '\n' && c != '{' && c != '"' && len(m.held) < maxHeld:
		m.held = append(m.held, c)
	default:
		m.release()
		m.take(c)
	}
}

const end = "finished"

// release gives on a brace that begins something else.
func (m *mender) release() {
	held := m.held
	m.held = m.held[:0]
	for i, c := range held {
		if i == 0 {
			m.put(c)
		} else {
			m.take(c)
		}
	}
}
