// Command bench measures syncs and queries and prints the tables of
// docs/performance.md.
//
//	go run ./internal/benchmark/cmd/bench -paths 1000000 -write docs/performance.md
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"github.com/exposuregraph/exposuregraph/internal/benchmark"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	options := benchmark.Options{Progress: os.Stderr}
	flag.IntVar(&options.Paths, "paths", 100_000, "authority paths to make")
	flag.Uint64Var(&options.Seed, "seed", 1, "seed of the world")
	flag.IntVar(&options.Requests, "requests", 300, "requests of each operation on one connection")
	flag.IntVar(&options.Load, "load", 1000, "requests of each operation on all connections")
	flag.IntVar(&options.Connections, "connections", 16, "connections under load")
	flag.BoolVar(&options.SyncsOnly, "syncs", false, "measure the syncs only")
	flag.DurationVar(&options.Plans, "plans", 0, "log the plans of statements that take longer (costs time; use with -keep)")
	flag.BoolVar(&options.Keep, "keep", false, "leave the folder of the run, with PostgreSQL's log")
	explain := flag.Bool("explain", false, "print the time of each statement")
	write := flag.String("write", "", "put the tables into this document, between the marks of the number of paths")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	result, err := benchmark.Run(ctx, options)
	if err != nil {
		return err
	}
	fmt.Print("\n", result.Markdown())
	if *explain {
		fmt.Print(result.Breakdown())
	}
	if *write == "" {
		return nil
	}
	document, err := os.ReadFile(*write)
	if err != nil {
		return err
	}
	text, err := benchmark.Insert(string(document), fmt.Sprint(options.Paths), result.Markdown())
	if err != nil {
		return err
	}
	return os.WriteFile(*write, []byte(text), 0o644) //nolint:gosec // a document of the repository
}
