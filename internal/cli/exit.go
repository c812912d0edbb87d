package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// Exit codes; scripts rely on them.
const (
	exitDone        = 0
	exitFailure     = 1
	exitUsage       = 2
	exitPartly      = 3
	exitNotFound    = 4
	exitDenied      = 5
	exitConflict    = 6
	exitUnavailable = 7
)

// usageError is a command line that makes no sense.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// usageArgs makes the errors of a check of arguments usage errors.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError{err}
		}
		return nil
	}
}

// errSilent is part of an error that was told already.
var errSilent = errors.New("told already")

// exitError ends with a code after everything was said.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func (e exitError) Is(target error) bool { return target == errSilent }

func exitCode(err error) int {
	var usage usageError
	var exit exitError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &exit):
		return int(exit)
	}
	return exitCodeOf(problem.KindOf(err))
}

func exitCodeOf(kind problem.Kind) int {
	switch kind {
	case problem.NotFound:
		return exitNotFound
	case problem.Denied, problem.Unauthentic:
		return exitDenied
	case problem.Conflict:
		return exitConflict
	case problem.Unavailable:
		return exitUnavailable
	}
	return exitFailure
}
