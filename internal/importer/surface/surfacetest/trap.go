package surfacetest

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Secret is what stands in the file of a trap.
const Secret = "secret-of-the-canary"

// Trap is a file and a server that an input may name, and that whoever reads the
// input must not touch.
type Trap struct {
	File   string // its URL
	Server string // the URL of something there
}

// NewTrap sets a trap. The test fails at its end if somebody connected to the
// server; that nobody read the file shows in that [Secret] stands nowhere.
func NewTrap(t testing.TB) Trap {
	t.Helper()
	file := filepath.Join(t.TempDir(), "canary")
	require.NoError(t, os.WriteFile(file, []byte(Secret), 0o600))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	reached := make(chan bool, 1)
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			_ = conn.Close()
		}
		reached <- err == nil
	}()
	t.Cleanup(func() {
		_ = listener.Close() // which ends the wait for somebody
		require.False(t, <-reached, "somebody opened a connection")
	})
	return Trap{File: "file://" + file, Server: "http://" + listener.Addr().String() + "/x"}
}
