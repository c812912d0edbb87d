package cli

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/app"
	"github.com/exposuregraph/exposuregraph/internal/invariant"
	"github.com/exposuregraph/exposuregraph/internal/org"
	"github.com/exposuregraph/exposuregraph/internal/posture"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

func newInvariant(p Process) *cobra.Command {
	return newGroup("invariant", "Prove what is kept incrementally", newInvariantCheck(p))
}

func newInvariantCheck(p Process) *cobra.Command {
	var slug string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Count everything again and name what differs",
		Long: "Count masks, cluster members and counters again from the exposures and the evidence, verify the ledger with all\n" +
			"that follows from it, and name each row and entry that says otherwise. This works on the database itself and only\n" +
			"reads; imports may go on meanwhile. The exit code is 1 when anything differs.\n\n" +
			"That the newest entries of a ledger are missing is found by `exposuregraph ledger verify`, against checkpoints that\n" +
			"were kept elsewhere.",
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
		if database.URL == "" && database.OwnerURL != "" {
			return usagef("invariant check reads as the role that serves: give --database-url")
		}
		config := *database
		if config.URL == "" {
			exists, folder, err := dataFolder(&config)
			if err != nil {
				return err
			}
			if !exists {
				return problem.New(problem.NotFound, "DATABASE_MISSING", "there is no database in %s yet: `exposuregraph serve` makes it", folder)
			}
		}
		var reports []invariant.Report
		if err := withDatabase(cmd.Context(), config, p, func(d *app.Database) (err error) {
			reports, err = checkInvariants(cmd.Context(), d, slug)
			return err
		}); err != nil {
			return err
		}
		if form == asJSON {
			err = printJSON(p.Stdout, reports)
		} else {
			err = p.printReports(reports)
		}
		if err != nil {
			return err
		}
		for _, report := range reports {
			if !report.Holds() {
				return exitError(exitFailure)
			}
		}
		return nil
	}
	return cmd
}

// checkInvariants checks the organization of this name or, without a name, each
// of them, every one in a snapshot of its own.
func checkInvariants(ctx context.Context, d *app.Database, slug string) ([]invariant.Report, error) {
	reports := []invariant.Report{}
	err := eachOrganization(ctx, d, slug, func(ctx context.Context, snapshot *db.Snapshot, organization *org.Organization) error {
		report, err := invariant.Check(ctx, snapshot, organization, posture.Definitions)
		reports = append(reports, report)
		return err
	})
	if err != nil {
		return nil, err
	}
	return reports, nil
}

// eachOrganization reads the organization of this name or, without a name, each of
// them, every one in a snapshot of its own.
func eachOrganization(ctx context.Context, d *app.Database, slug string, read func(context.Context, *db.Snapshot, *org.Organization) error) error {
	return asServer(ctx, d, []access.Scope{access.View, access.Audit}, func(ctx context.Context, pool *db.DB) error {
		organizations, err := findOrganizations(ctx, pool, slug)
		if err != nil {
			return err
		}
		for _, organization := range organizations {
			snapshot := pool.Snapshot()
			err := read(ctx, snapshot, organization)
			snapshot.Close(ctx)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// asServer works on a database as the role that serves. Who may open the database
// may do with it what the server does.
func asServer(ctx context.Context, d *app.Database, scopes []access.Scope, work func(context.Context, *db.DB) error) error {
	if err := d.CheckSchema(ctx); err != nil {
		return err
	}
	pool, err := db.Open(ctx, d.RuntimeURL, db.Options{MaxConns: 1})
	if err != nil {
		return err
	}
	defer pool.Close()
	return work(access.With(ctx, access.Actor{Subject: "cli", Role: access.Client, Scopes: scopes, AllOrganizations: true}), pool)
}

func findOrganizations(ctx context.Context, pool *db.DB, slug string) ([]*org.Organization, error) {
	snapshot := pool.Snapshot()
	defer snapshot.Close(ctx)
	var store org.Store
	if slug == "" {
		return store.List(ctx, snapshot)
	}
	organization, err := store.BySlug(ctx, snapshot, slug)
	if err != nil {
		return nil, err
	}
	if organization == nil {
		return nil, access.OrganizationNotFound()
	}
	return []*org.Organization{organization}, nil
}

// printReports writes a line for each check and, below it, what it found.
func (p Process) printReports(reports []invariant.Report) error {
	if len(reports) == 0 {
		logger(p.Stderr, slog.LevelInfo).Info("there is no organization yet")
	}
	table := p.table()
	for _, report := range reports {
		for _, check := range report.Checks {
			status, message := checkOK, fmt.Sprintf("%d compared", check.Compared)
			switch {
			case check.Findings > 0:
				status, message = checkFailed, fmt.Sprintf("%d compared, %d wrong", check.Compared, check.Findings)
			case check.Compared == 0:
				status, message = checkSkipped, "there is nothing to compare"
			}
			_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", status, report.Organization, check.Check, message) // Flush tells the error
			for _, f := range check.First {
				_, _ = fmt.Fprintf(table, "\t\t\t%s\n", describeFinding(f))
			}
			if more := check.Findings - int64(len(check.First)); more > 0 {
				_, _ = fmt.Fprintf(table, "\t\t\tand %d more\n", more)
			}
		}
	}
	return table.Flush()
}

func describeFinding(f invariant.Finding) string {
	var text strings.Builder
	text.WriteString(f.Subject + ": " + f.Message)
	if f.Want != "" {
		text.WriteString("; it should be " + f.Want)
	}
	if f.Have != "" {
		text.WriteString("; it is " + f.Have)
	}
	return text.String()
}
