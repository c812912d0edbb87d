package cli

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/app"
	"github.com/exposuregraph/exposuregraph/internal/audit"
	"github.com/exposuregraph/exposuregraph/internal/change"
	"github.com/exposuregraph/exposuregraph/internal/change/outbox"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// stuckAfter is how long a note may wait before it is worth a look. Servers publish
// within a second, a long backlog in minutes.
const stuckAfter = 10 * time.Minute

func newFeed(p Process) *cobra.Command {
	return newGroup("feed", "See and repair the feeds of changes", newFeedStatus(p), newFeedRepair(p))
}

// feedStatus is how the feed of an organization stands.
type feedStatus struct {
	Organization string `json:"organization"`
	*change.Status
}

func newFeedStatus(p Process) *cobra.Command {
	var slug string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say what is published and what waits to be",
		Long: "Say how many events each feed holds, what waits to be published, and what could not be noted or published and\n" +
			"is not repaired. This works on the database itself and only reads.",
		Args: usageArgs(cobra.NoArgs),
	}
	database := addDatabase(cmd)
	output := addOutput(cmd, asTable, asJSON)
	cmd.Flags().StringVar(&slug, "org", "", "`slug` of the organization (default: each of them)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		form, err := output()
		if err != nil {
			return err
		}
		statuses := []feedStatus{}
		if err := p.onFeeds(cmd.Context(), "feed status reads", database, func(ctx context.Context, pool *db.DB, repairer *change.Repairer) error {
			organizations, err := findOrganizations(ctx, pool, slug)
			if err != nil {
				return err
			}
			for _, organization := range organizations {
				status, err := repairer.Status(ctx, organization.ID)
				if err != nil {
					return err
				}
				statuses = append(statuses, feedStatus{organization.Slug, status})
			}
			return nil
		}); err != nil {
			return err
		}
		if form == asJSON {
			return printJSON(p.Stdout, statuses)
		}
		return p.printFeeds(statuses)
	}
	return cmd
}

// onFeeds opens an existing database as the role that serves.
func (p Process) onFeeds(ctx context.Context, what string, database *app.DatabaseConfig, work func(context.Context, *db.DB, *change.Repairer) error) error {
	config := *database
	if config.URL == "" && config.OwnerURL != "" {
		return usagef("%s as the role that serves: give --database-url", what)
	}
	if config.URL == "" {
		exists, folder, err := dataFolder(&config)
		if err != nil {
			return err
		}
		if !exists {
			return problem.New(problem.NotFound, "DATABASE_MISSING", "there is no database in %s yet: `exposuregraph serve` makes it", folder)
		}
	}
	return withDatabase(ctx, config, p, func(d *app.Database) error {
		return asServer(ctx, d, []access.Scope{access.View}, func(ctx context.Context, pool *db.DB) error {
			return work(ctx, pool, change.NewRepairer(pool, p.Now, slog.New(slog.DiscardHandler)))
		})
	})
}

// printFeeds writes a line for each feed.
func (p Process) printFeeds(statuses []feedStatus) error {
	if len(statuses) == 0 {
		logger(p.Stderr, slog.LevelInfo).Info("there is no organization yet")
	}
	table := p.table()
	for _, s := range statuses {
		status := checkOK
		if s.Gaps > 0 || s.PendingSince != nil && p.Now().Sub(*s.PendingSince) > stuckAfter {
			status = checkWarning
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", status, s.Organization, // Flush tells the error
			counted(s.Head, "event published", "events published", "the last at", s.PublishedAt),
			counted(s.Pending, "note waits", "notes wait", "since", s.PendingSince),
			counted(s.Gaps, "gap", "gaps", "since", s.GapsSince))
	}
	return table.Flush()
}

func counted(n int64, one, many, since string, at *time.Time) string {
	text := fmt.Sprintf("%d %s", n, many)
	if n == 1 {
		text = "1 " + one
	}
	if at != nil {
		text += ", " + since + " " + at.UTC().Format(time.RFC3339)
	}
	return text
}

// feedRepair is what a repair found in an organization.
type feedRepair struct {
	Organization string        `json:"organization"`
	Filled       change.Filled `json:"filled"` // gaps that were known
	Found        change.Filled `json:"found"`  // that only the history told of
	Status       change.Status `json:"status"` // after it
}

func newFeedRepair(p Process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "repair --org SLUG",
		Short: "Note again what a feed lacks",
		Long: "Fill the gaps of a feed, and go through the whole history for what neither the feed nor its outbox knows. The\n" +
			"server does the first each minute and the second once a day. What is noted again waits for a server to publish it.",
		Args: usageArgs(cobra.NoArgs),
	}
	database := addDatabase(cmd)
	organization := addOrganization(cmd, "say whose feed")
	output := addOutput(cmd, asTable, asJSON)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		form, err := output()
		if err != nil {
			return err
		}
		slug, err := organization()
		if err != nil {
			return err
		}
		var done feedRepair
		if err := p.onFeeds(cmd.Context(), "feed repair writes", database, func(ctx context.Context, pool *db.DB, repairer *change.Repairer) error {
			done, err = repairFeed(ctx, pool, repairer, slug)
			audit.New(pool, p.Now, logger(p.Stderr, slog.LevelWarn)).Record(ctx, audit.Event{
				Organization: id.Organization(slug), Action: audit.FeedRepair, Outcome: audit.OutcomeOf(err), Door: audit.CLI})
			return err
		}); err != nil {
			return err
		}
		if form == asJSON {
			return printJSON(p.Stdout, done)
		}
		if _, err := fmt.Fprintf(p.Stdout, "gaps filled: %s; found by the history: %s\n", describeFilled(done.Filled), describeFilled(done.Found)); err != nil {
			return err
		}
		return p.printFeeds([]feedStatus{{done.Organization, &done.Status}})
	}
	return cmd
}

func repairFeed(ctx context.Context, pool *db.DB, repairer *change.Repairer, slug string) (done feedRepair, err error) {
	organizations, err := findOrganizations(ctx, pool, slug)
	if err != nil {
		return done, err
	}
	organization := organizations[0]
	done.Organization = organization.Slug
	if done.Filled, err = repairer.Fill(ctx, organization.ID); err != nil {
		return done, err
	}
	if done.Found, err = repairer.Audit(ctx, organization.ID); err != nil {
		return done, err
	}
	status, err := repairer.Status(ctx, organization.ID)
	if err != nil {
		return done, err
	}
	done.Status = *status
	return done, nil
}

func describeFilled(filled change.Filled) string {
	parts := []string{}
	for _, cause := range []outbox.Cause{outbox.Sync, outbox.Evaluation, outbox.Decision} {
		if n := filled[cause]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d of cause %s", n, cause))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}
