// Command exposuregraph serves the API, and is the client of it. See
// `exposuregraph help`.
package main

import (
	"os"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/cli"
)

func main() {
	os.Exit(cli.Main(cli.Process{
		Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Terminal: isTerminal(os.Stderr), LookupEnv: os.LookupEnv, Now: time.Now,
	}))
}

// isTerminal says whether somebody reads the file who sees a line written over
// another.
func isTerminal(file *os.File) bool {
	info, err := file.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 || os.Getenv("TERM") == "dumb" {
		return false
	}
	nowhere, err := os.Stat(os.DevNull) // which is a device as well
	return err != nil || !os.SameFile(info, nowhere)
}
