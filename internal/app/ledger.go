package app

import (
	"context"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/devpg"
	"github.com/exposuregraph/exposuregraph/internal/ledger/book"
	"github.com/exposuregraph/exposuregraph/internal/schedule"
	"github.com/exposuregraph/exposuregraph/internal/triage"
)

// The names within a data folder.
const (
	ledgerKeyName     = "ledger.key"
	checkpointsFolder = "checkpoints"
)

// LedgerKeyFile is the file of the key that signs ledgers: the one that is given
// or, with an embedded database, one in the data folder, which the server makes.
// It is empty where there is none. The key never lies in the database: whoever
// can rewrite that must not be able to sign it.
func LedgerKeyFile(given string, config DatabaseConfig) (string, error) {
	if given != "" || config.URL != "" || config.OwnerURL != "" {
		return given, nil
	}
	folder, err := dataFolder(config.DataDir)
	return filepath.Join(folder, ledgerKeyName), err
}

// NewTriage judges exposures in a database that no server need have open.
func NewTriage(database *db.DB, now func() time.Time, log *slog.Logger) *triage.Service {
	return triage.New(database, authority.New(database, assessor(), now, log).WithSurface(surface()), now)
}

func dataFolder(given string) (string, error) {
	if given != "" {
		return given, nil
	}
	return devpg.DefaultDataDir()
}

// openLedger reads the key and says who signs with it; nobody without a key.
func (a *App) openLedger(ctx context.Context) (schedule.Checkpointer, error) {
	a.ledger = &book.Library{DB: a.db, Book: a.authority.Ledger()}
	file, err := LedgerKeyFile(a.config.LedgerKey, DatabaseConfig{URL: a.config.DatabaseURL, OwnerURL: a.config.OwnerDatabaseURL, DataDir: a.config.DataDir})
	switch {
	case err != nil:
		return nil, err
	case file == "":
		a.config.Logger.WarnContext(ctx, "ledgers are not signed: there is no key; give one with --ledger-key")
		return nil, nil
	case a.config.LedgerKey != "":
		a.ledger.Key, err = book.ReadKey(file)
	default:
		var made bool
		if a.ledger.Key, made, err = book.MakeKey(file); made {
			a.config.Logger.InfoContext(ctx, "a key for the ledger was made; keep a copy of it, and of the checkpoints, elsewhere", "file", file)
		}
	}
	if err != nil {
		return nil, err
	}
	folder := a.config.CheckpointDir
	if folder == "" {
		if folder, err = dataFolder(a.config.DataDir); err != nil {
			return nil, err
		}
		folder = filepath.Join(folder, checkpointsFolder)
	}
	return book.NewCheckpointer(book.CheckpointerConfig{DB: a.db, Key: a.ledger.Key, Folder: folder, Logger: a.config.Logger, Now: a.config.Now}), nil
}
