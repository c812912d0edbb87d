package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// Process is what a command has of the operating system.
type Process struct {
	Args      []string // without the program's name
	Stdin     io.Reader
	Stdout    io.Writer
	Stderr    io.Writer
	Terminal  bool // is where Stderr goes
	LookupEnv func(string) (string, bool)
	Now       func() time.Time
}

// Main runs the command line and gives the exit code. The first interrupt ends
// it in order, the second at once.
func Main(p Process) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	go func() {
		<-ctx.Done()
		stop() // from here on a signal does what it does to any program
	}()
	return Run(ctx, p)
}

// Run is Main without signals.
func Run(ctx context.Context, p Process) int {
	root := newRoot(p)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	var usage usageError
	switch {
	case errors.As(err, &usage):
		_, _ = fmt.Fprintf(p.Stderr, "exposuregraph: %v\nSee `exposuregraph help`.\n", err)
	case errors.Is(err, errSilent):
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		_, _ = fmt.Fprintln(p.Stderr, "exposuregraph: interrupted")
	default:
		_, _ = fmt.Fprintf(p.Stderr, "exposuregraph: %s\n", describe(err))
	}
	return exitCode(err)
}

func newRoot(p Process) *cobra.Command {
	root := &cobra.Command{
		Use:           "exposuregraph",
		Short:         "What can workloads reach, through which identity, and what does that expose",
		Args:          usageArgs(cobra.NoArgs),
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetArgs(p.Args)
	root.SetIn(p.Stdin)
	root.SetOut(p.Stdout)
	root.SetErr(p.Stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.PersistentFlags().String("config", "", "YAML `file` with settings; its keys are names of flags")
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return applySettings(cmd, p.LookupEnv) }
	root.AddCommand(
		newServe(p), newImport(p), newToken(p), newQuery(p), newTail(p), newMigrate(p), newDoctor(p), newInvariant(p), newLedger(p), newFeed(p), newFile(p), newAudit(p),
		newTriage(p), newVersion(p),
	)
	return root
}

// newGroup is a command that only holds others.
func newGroup(use, short string, commands ...*cobra.Command) *cobra.Command {
	group := &cobra.Command{
		Use: use, Short: short, Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usagef("%s needs a command; see `%s --help`", cmd.Name(), cmd.CommandPath())
		},
	}
	group.AddCommand(commands...)
	return group
}

// describe is the line that a person reads of an error.
func describe(err error) string {
	var typed *problem.Error
	if !errors.As(err, &typed) {
		return err.Error()
	}
	if typed.Field != "" {
		return fmt.Sprintf("%s [%s: %s]", typed, typed.Code, typed.Field)
	}
	return fmt.Sprintf("%s [%s]", typed, typed.Code)
}
