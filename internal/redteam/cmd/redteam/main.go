// Command redteam attacks a server of its own, on a database that it throws away, as
// hostile and careless clients do. It prints a line per attack, and ends with 0 only
// if all is answered as it must be. docs/hostile.md says how to read it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"

	"github.com/exposuregraph/exposuregraph/internal/devpg"
	"github.com/exposuregraph/exposuregraph/internal/redteam"
)

func main() {
	if redteam.IsVictim(os.Args) {
		os.Exit(redteam.Serve(os.Args))
	}
	passed, err := run()
	if err != nil {
		fmt.Fprintln(os.Stderr, "redteam:", err)
		os.Exit(2)
	}
	if !passed {
		os.Exit(1)
	}
}

func run() (passed bool, err error) {
	quick := flag.Bool("quick", false, "attack with less of everything, as the test does")
	only := flag.String("rows", "", "run these `rows` alone, by number, with commas between")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	scale, rows := redteam.Full(), redteam.Rows()
	if *quick {
		scale = redteam.Quick()
	}
	if *only != "" {
		chosen := strings.Split(*only, ",")
		rows = slices.DeleteFunc(rows, func(row redteam.Row) bool { return !slices.Contains(chosen, row.Number) })
		if len(rows) == 0 {
			return false, fmt.Errorf("there are no rows %s", *only)
		}
	}
	folder, err := devpg.TempDir()
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	postgres, err := devpg.Start(ctx, devpg.Config{DataDir: filepath.Join(folder, "database"), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, postgres.Close()) }()
	beside := filepath.Join(folder, "data")
	if err := os.Mkdir(beside, 0o700); err != nil {
		return false, err
	}
	report, err := redteam.Run(ctx, redteam.Database{
		RuntimeURL: postgres.RuntimeURL(""), OwnerURL: postgres.OwnerURL(""), SuperURL: postgres.SuperuserURL(""), Folder: beside,
	}, rows, scale, os.Stdout)
	if err != nil {
		return false, err
	}
	return report.Passed(), nil
}
