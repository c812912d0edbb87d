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
		Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, LookupEnv: os.LookupEnv, Now: time.Now,
	}))
}
