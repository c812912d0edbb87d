package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/exposuregraph/exposuregraph/internal/app"
)

func newMigrate(p Process) *cobra.Command {
	return newGroup("migrate", "Move the schema of the database", newMigrateUp(p), newMigrateDown(p), newMigrateStatus(p))
}

func newMigrateUp(p Process) *cobra.Command {
	cmd := &cobra.Command{Use: "up", Short: "Apply the migrations that are missing", Args: usageArgs(cobra.NoArgs)}
	database := addDatabase(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if (database.URL == "") != (database.OwnerURL == "") {
			return usagef("migrate up takes both roles: --owner-database-url to migrate, and --database-url to know who gets the rights")
		}
		return withDatabase(cmd.Context(), *database, p, func(d *app.Database) error {
			applied, err := d.Migrate(cmd.Context())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(p.Stderr, "the schema is current; %d migrations were applied now\n", applied)
			return err
		})
	}
	return cmd
}

func newMigrateDown(p Process) *cobra.Command {
	cmd := &cobra.Command{Use: "down", Short: "Take the last migration back, and the data of its tables with it", Args: usageArgs(cobra.NoArgs)}
	database := addDatabase(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if database.URL != "" && database.OwnerURL == "" {
			return usagef("migrate down takes the owner role: give --owner-database-url")
		}
		return withDatabase(cmd.Context(), *database, p, func(d *app.Database) error {
			version, err := d.MigrateDown(cmd.Context())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(p.Stderr, "migration %d was taken back\n", version)
			return err
		})
	}
	return cmd
}

func newMigrateStatus(p Process) *cobra.Command {
	cmd := &cobra.Command{Use: "status", Short: "List the migrations", Args: usageArgs(cobra.NoArgs)}
	database := addDatabase(cmd)
	output := addOutput(cmd, asTable, asJSON)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		form, err := output()
		if err != nil {
			return err
		}
		return withDatabase(cmd.Context(), *database, p, func(d *app.Database) error {
			list, err := d.Migrations(cmd.Context())
			if err != nil {
				return err
			}
			if form == asJSON {
				return printJSON(p.Stdout, list)
			}
			table := p.table()
			_, _ = fmt.Fprintln(table, "VERSION\tSTATE\tNAME") // Flush tells the error
			for _, migration := range list {
				state := "missing"
				if migration.Applied {
					state = "applied"
				}
				_, _ = fmt.Fprintf(table, "%d\t%s\t%s\n", migration.Version, state, migration.Name)
			}
			return table.Flush()
		})
	}
	return cmd
}
