package live

import (
	"bufio"
	"net"
	"net/http"
	"sync"
)

const (
	parcel = 16 << 10 // bytes that are held back at most
	keep   = 4 << 10  // bytes of room for them that an idle stream keeps
)

// wire is the connection under a WebSocket. The library sends each message for
// itself; what others follow at once is held back here, and sent with them.
type wire struct {
	net.Conn

	mu   sync.Mutex
	more bool
	over bool // nothing is held back any more
	held []byte
}

// hold says whether another message follows at once the one that is sent next.
func (w *wire) hold(more bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.more = more && !w.over
}

// Write sends, or holds back.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.held) == 0 && !w.more {
		return w.Conn.Write(p)
	}
	w.held = append(w.held, p...)
	if w.more && len(w.held) < parcel {
		return len(p), nil
	}
	return len(p), w.send()
}

// flush sends what is held back: nothing follows after all.
func (w *wire) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.more = false
	_ = w.send() // whoever writes or reads next sees it
}

// last holds nothing back from here on: what is written next says why the connection
// ends, and whoever would flush it may itself be waiting for that end.
func (w *wire) last() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.more, w.over = false, true
}

func (w *wire) send() error {
	if len(w.held) == 0 {
		return nil
	}
	_, err := w.Conn.Write(w.held)
	if w.held = w.held[:0]; cap(w.held) > keep {
		w.held = nil
	}
	return err
}

// upgrade puts a wire under the WebSocket that takes its connection over.
type upgrade struct {
	http.ResponseWriter
	wire *wire
}

// Hijack gives the connection to the WebSocket.
func (u *upgrade) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(u.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	u.wire.Conn = conn
	buffered.Writer.Reset(u.wire) // which holds nothing: what was answered is sent
	return u.wire, buffered, nil
}
