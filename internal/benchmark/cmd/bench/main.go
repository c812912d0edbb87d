// Command bench measures syncs and queries and prints the tables of
// docs/performance.md.
//
//	go run ./internal/benchmark/cmd/bench -paths 1000000 -write
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/pprof"
	"strconv"

	"github.com/exposuregraph/exposuregraph/internal/benchmark"
)

func main() {
	if benchmark.IsFollower(os.Args) {
		benchmark.Follow(os.Stdin, os.Stdout)
		return
	}
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
	flag.IntVar(&options.Beside, "beside", 10_000, "authority paths of the small world that operations are compared with")
	flag.BoolVar(&options.GrowthOnly, "growth", false, "compare operations with those in the small world only")
	flag.BoolVar(&options.SightOnly, "sight", false, "measure what attribute filters cost only")
	flag.BoolVar(&options.DecisionsOnly, "decisions", false, "measure the decisions of people only")
	flag.BoolVar(&options.FeedOnly, "feed", false, "measure the feed of changes and the past only")
	flag.IntVar(&options.Organizations, "organizations", 16, "organizations over which decisions are spread")
	flag.DurationVar(&options.Plans, "plans", 0, "log the plans of statements that take longer (costs time; use with -keep)")
	flag.BoolVar(&options.Keep, "keep", false, "leave the folder of the run, with PostgreSQL's log")
	explain := flag.Bool("explain", false, "print the time of each statement")
	profile := flag.String("profile", "", "write a CPU profile of this process to a file")
	write := flag.Bool("write", false, "put the tables into the document, between the marks of the number of paths")
	var before, after benchmark.Server
	flag.StringVar(&before.URL, "before", "", "compare two servers that run, each with the records of -world in the organization bench, by their URLs and the tokens in BENCH_BEFORE and BENCH_AFTER: the first")
	flag.StringVar(&after.URL, "after", "", "the second")
	world := flag.String("world", "", "write the records of the world to a file, and measure nothing")
	path := flag.String("document", "docs/performance.md", "the document of -write")
	flag.Parse()
	if err := checkWrite(*write, options); err != nil {
		return err
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	switch {
	case *world != "":
		return benchmark.WriteWorld(*world, options)
	case before.URL != "" || after.URL != "":
		before.Token, after.Token = os.Getenv("BENCH_BEFORE"), os.Getenv("BENCH_AFTER")
		table, err := benchmark.Compare(ctx, before, after, options)
		if err == nil {
			_, err = os.Stdout.WriteString(table)
		}
		return err
	}
	if *profile != "" {
		file, err := os.Create(*profile)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	result, err := benchmark.Run(ctx, options)
	if err != nil {
		return err
	}
	text := "\n" + result.Markdown()
	if *explain {
		text += result.Breakdown()
	}
	if _, err := os.Stdout.WriteString(text); err != nil || !*write {
		return err
	}
	document, err := os.ReadFile(*path)
	if err != nil {
		return err
	}
	text, err = benchmark.Insert(string(document), strconv.Itoa(options.Paths), result.Markdown())
	if err != nil {
		return err
	}
	return os.WriteFile(*path, []byte(text), 0o644)
}

// checkWrite refuses to write a part of the tables: between the marks stand all of
// them, and the rest would be gone.
func checkWrite(write bool, options benchmark.Options) error {
	if !write {
		return nil
	}
	for _, part := range []struct {
		flag string
		only bool
	}{{"-syncs", options.SyncsOnly}, {"-growth", options.GrowthOnly}, {"-sight", options.SightOnly}, {"-decisions", options.DecisionsOnly}, {"-feed", options.FeedOnly}} {
		if part.only {
			return fmt.Errorf("-write puts all tables into the document in the place of those that are there, and %s measures only some; leave one of the two out", part.flag)
		}
	}
	return nil
}
