package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// The pauses before another try, and how long a stream may be silent: the server
// sends a heartbeat every ten seconds.
const (
	firstPause   = 200 * time.Millisecond
	longestPause = 10 * time.Second
	maxSilence   = 45 * time.Second
)

const tailDocument = `subscription Tail($organization: String!, $after: String) {
  exposureChanges(organization: $organization, after: $after) { seq cursor type entityType entityId title occurredAt }
}`

const fromNowDocument = `query FromNow($organization: String!) { organization(slug: $organization) { exposureChangeFeed { cursor } } }`

// changeLine is what is printed of a change. A heartbeat has only the cursor.
type changeLine struct {
	Seq        int64  `json:"seq,omitempty"`
	Cursor     string `json:"cursor"`
	Type       string `json:"type,omitempty"`
	EntityType string `json:"entityType,omitempty"`
	EntityID   string `json:"entityId,omitempty"`
	Title      string `json:"title,omitempty"`
	OccurredAt string `json:"occurredAt,omitempty"`
}

// tail follows the feed of an organization.
type tail struct {
	p            Process
	server       *client
	organization string
	cursor       string // of the last frame that came, or to begin behind
	last         int64  // that was printed
	came         bool   // anything at all
	form         string
}

func newTail(p Process) *cobra.Command {
	t := &tail{p: p}
	var fromNow bool
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Print what changes in an organization, from the beginning or from a cursor on, until it is interrupted",
		Args:  usageArgs(cobra.NoArgs),
	}
	t.server = addClient(cmd)
	organization := addOrganization(cmd, "say whose changes you follow")
	output := addOutput(cmd, asNDJSON, asTable)
	cmd.Flags().StringVar(&t.cursor, "after", "", "`cursor` of the last change that you know (default: from the beginning)")
	cmd.Flags().BoolVar(&fromNow, "from-now", false, "leave out what has changed before")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if t.form, err = output(); err != nil {
			return err
		}
		if t.organization, err = organization(); err != nil {
			return err
		}
		if fromNow && t.cursor != "" {
			return usagef("--after and --from-now exclude each other")
		}
		if fromNow {
			if t.cursor, err = t.now(cmd.Context()); err != nil {
				return err
			}
		}
		return t.follow(cmd.Context())
	}
	return cmd
}

// now is the cursor of the head of the feed.
func (t *tail) now(ctx context.Context) (string, error) {
	var data struct {
		Organization *struct{ ExposureChangeFeed struct{ Cursor string } }
	}
	if err := t.server.ask(ctx, fromNowDocument, map[string]any{"organization": t.organization}, &data); err != nil {
		return "", err
	}
	if data.Organization == nil {
		return "", access.OrganizationNotFound()
	}
	return data.Organization.ExposureChangeFeed.Cursor, nil
}

// follow prints until it is interrupted or refused. A stream that breaks is taken
// up again behind its last frame.
func (t *tail) follow(ctx context.Context) error {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		variables := map[string]any{"organization": t.organization}
		if t.cursor != "" {
			variables["after"] = t.cursor
		}
		before := t.cursor
		err := t.server.follow(ctx, tailDocument, variables, maxSilence, t.take)
		select {
		case <-ctx.Done(): // interrupted, which is how it ends
			return nil
		default:
		}
		if err != nil && !t.passes(err) {
			return err
		}
		if t.cursor != before {
			pause = firstPause
		}
		if err != nil {
			_, _ = fmt.Fprintf(t.p.Stderr, "exposuregraph: %s; trying again\n", describe(err))
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// passes says whether it helps to come again. A server that never answered is more
// likely the wrong one.
func (t *tail) passes(err error) bool {
	var typed *problem.Error
	if !t.came || !errors.As(err, &typed) {
		return false
	}
	return typed.Kind == problem.Unavailable || typed.Kind == problem.Internal && typed.Code == "INTERNAL" || strings.HasPrefix(typed.Code, "LIMIT_STREAMS")
}

// take prints a frame, unless it was printed before.
func (t *tail) take(data json.RawMessage) error {
	var frame struct{ ExposureChanges changeLine }
	if err := json.Unmarshal(data, &frame); err != nil {
		return problem.New(problem.Internal, "ANSWER_UNKNOWN", "the server sent a frame that is none of a feed").Because(err)
	}
	line := frame.ExposureChanges
	t.came, t.cursor = true, line.Cursor
	if line.Seq != 0 {
		if line.Seq <= t.last {
			return nil
		}
		t.last = line.Seq
	}
	if t.form == asNDJSON {
		return printJSON(t.p.Stdout, line)
	}
	if line.Seq == 0 {
		return nil
	}
	_, err := fmt.Fprintf(t.p.Stdout, "%d  %s  %-35s  %s\n", line.Seq, oneLine(line.OccurredAt), oneLine(line.Type), oneLine(line.Title))
	return err
}
