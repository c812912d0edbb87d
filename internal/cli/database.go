package cli

import (
	"context"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/exposuregraph/exposuregraph/internal/app"
)

// addDatabase adds the flags that name the database.
func addDatabase(cmd *cobra.Command) *app.DatabaseConfig {
	config := &app.DatabaseConfig{}
	cmd.Flags().StringVar(&config.URL, "database-url", "", "`URL` of the database for the role that serves; without it the embedded database is used (also DATABASE_URL)")
	cmd.Flags().StringVar(&config.OwnerURL, "owner-database-url", "", "`URL` of the same database for the role that owns the tables")
	cmd.Flags().StringVar(&config.DataDir, "data-dir", "", "`folder` of the embedded database (default: the user's data folder)")
	return config
}

// withDatabase opens the database for one command.
func withDatabase(ctx context.Context, config app.DatabaseConfig, p Process, use func(*app.Database) error) error {
	config.Logger = logger(p.Stderr, slog.LevelWarn)
	database, err := app.OpenDatabase(ctx, config)
	if err != nil {
		return err
	}
	err = use(database)
	if closeErr := database.Close(); err == nil {
		err = closeErr
	}
	return err
}

func logger(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}
