package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/spf13/cobra"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/app"
	"github.com/exposuregraph/exposuregraph/internal/devpg"
	"github.com/exposuregraph/exposuregraph/internal/ledger/book"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// The outcomes of a check. Only a failure counts for the exit code.
const (
	checkOK      = "ok"
	checkWarning = "warning"
	checkSkipped = "skipped"
	checkFailed  = "failed"
)

// finding of a check.
type finding struct {
	Check   string `json:"check"`
	Status  string `json:"status"`
	Message string `json:"message"`
	err     error
}

func newDoctor(p Process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check what serving needs, and say what is missing",
		Args:  usageArgs(cobra.NoArgs),
	}
	database := addDatabase(cmd)
	server := addClient(cmd)
	output := addOutput(cmd, asTable, asJSON)
	ledgerKey := addLedgerKey(cmd, new(string))
	files := addFileStore(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		form, err := output()
		if err != nil {
			return err
		}
		config := *database
		config.Logger = slog.New(slog.DiscardHandler)
		findings := examine(cmd.Context(), config, func(pool *db.DB) finding { return examineFiles(cmd.Context(), p, files, config.DataDir, pool) })
		findings = append(findings, examineLedgerKey(*ledgerKey, config))
		findings = append(findings, examineServer(cmd.Context(), server, cmd.Flags().Changed("server")))
		findings = append(findings, examineAudit(cmd.Context(), server))
		if form == asJSON {
			err = printJSON(p.Stdout, findings)
		} else {
			err = p.printFindings(findings)
		}
		if err != nil {
			return err
		}
		for _, f := range findings {
			if f.Status == checkFailed {
				return exitError(exitCode(f.err))
			}
		}
		return nil
	}
	return cmd
}

func (p Process) printFindings(findings []finding) error {
	table := p.table()
	for _, f := range findings {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", f.Status, f.Check, f.Message) // Flush tells the error
	}
	return table.Flush()
}

// examine looks at the database, and stops where nothing further can be told. What is
// in it is looked at where it is as it should be.
func examine(ctx context.Context, config app.DatabaseConfig, inside func(*db.DB) finding) (findings []finding) {
	add := func(check string, err error, message string) bool {
		f := finding{Check: check, Status: checkOK, Message: message, err: err}
		if err != nil {
			f.Status, f.Message = checkFailed, describe(err)
		}
		findings = append(findings, f)
		return err == nil
	}
	skip := func(check, message string) {
		findings = append(findings, finding{Check: check, Status: checkSkipped, Message: message})
	}
	if config.URL == "" && config.OwnerURL == "" {
		binaries, err := devpg.Find()
		if !add("postgres", err, fmt.Sprintf("PostgreSQL %s in %s", binaries.Version, binaries.Dir)) {
			return findings
		}
		exists, message, err := dataFolder(&config)
		if !add("data folder", err, message) {
			return findings
		}
		if !exists {
			skip("database", "there is none yet: `exposuregraph serve` makes it")
			return findings
		}
	} else {
		skip("postgres", "a database URL is given")
		skip("data folder", "a database URL is given")
	}

	database, err := app.OpenDatabase(ctx, config)
	if err != nil {
		add("database", err, "")
		return findings
	}
	defer func() { _ = database.Close() }() // the findings are made
	if database.RuntimeURL == "" {
		skip("database", "--database-url is not given")
		add("migrations", database.CheckSchema(ctx), "the schema is current")
		return findings
	}
	pool, err := db.Open(ctx, database.RuntimeURL, db.Options{MaxConns: 1})
	if !add("database", err, "it answers") {
		return findings
	}
	defer pool.Close()
	if add("migrations", database.CheckSchema(ctx), "the schema is current") && add("self-test", pool.SelfTest(ctx), "row level security stands") {
		findings = append(findings, inside(pool))
	}
	return findings
}

func dataFolder(config *app.DatabaseConfig) (exists bool, message string, err error) {
	if config.DataDir == "" {
		if config.DataDir, err = devpg.DefaultDataDir(); err != nil {
			return false, "", err
		}
	}
	_, err = os.Stat(filepath.Join(config.DataDir, "pg"))
	switch {
	case err == nil:
		return true, config.DataDir, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, config.DataDir + " (nothing in it yet)", nil
	}
	return false, "", unreadable(config.DataDir, err)
}

// examineServer asks whether the server is ready. That none runs is a failure
// only where one was named.
func examineServer(ctx context.Context, server *client, named bool) finding {
	f := finding{Check: "server", Status: checkOK, Message: "ready at " + server.server}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if f.err = ready(ctx, server); f.err == nil {
		return f
	}
	f.Status, f.Message = checkFailed, describe(f.err)
	if !named {
		f.Status = checkWarning
	}
	return f
}

func ready(ctx context.Context, server *client) error {
	response, err := server.open(ctx, "/readyz")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return problem.New(problem.Unavailable, "SERVER_NOT_READY", "the server at %s answers %s; ask its /readyz why", server.server, response.Status)
	}
	return nil
}

// open asks for what needs no token.
func (c *client) open(ctx context.Context, path string) (*http.Response, error) {
	address, err := c.address(path, nil)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, usageError{err}
	}
	response, err := (&client{server: c.server}).do(request)
	if errors.Is(err, context.DeadlineExceeded) {
		err = problem.New(problem.Unavailable, "SERVER_SILENT", "the server at %s takes the connection and does not answer", c.server).Because(err)
	}
	return response, err
}

// lostEntries finds how many entries of audit logs a server could not write.
var lostEntries = regexp.MustCompile(`(?m)^exposuregraph_` + app.AuditFailures + ` (\d+)$`)

// examineAudit asks the server whether it could write its audit logs. That none runs is
// told by another check.
func examineAudit(ctx context.Context, server *client) finding {
	f := finding{Check: "audit log", Status: checkSkipped, Message: "no server tells"}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	response, err := server.open(ctx, "/metrics")
	if err != nil {
		return f
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	found := lostEntries.FindSubmatch(text)
	switch {
	case err != nil || found == nil:
	case string(found[1]) == "0":
		f.Status, f.Message = checkOK, "the server has lost no entry since it started"
	default:
		f.err = problem.New(problem.Unavailable, "AUDIT_ENTRIES_LOST",
			"the server could not write %s entries of audit logs since it started; its log has them whole, as \"the audit log could not be written\"", found[1])
		f.Status, f.Message = checkFailed, describe(f.err)
	}
	return f
}

// examineLedgerKey looks for the key that signs ledgers. Serving works without.
func examineLedgerKey(given string, config app.DatabaseConfig) finding {
	f := finding{Check: "ledger key", Status: checkOK}
	file, err := app.LedgerKeyFile(given, config)
	if err == nil && file == "" {
		f.Status, f.Message = checkWarning, "there is none, so that ledgers are not signed; give one with --ledger-key"
		return f
	}
	if err == nil && given == "" {
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			f.Status, f.Message = checkSkipped, "there is none yet: `exposuregraph serve` makes it"
			return f
		}
	}
	var key *book.Key
	if err == nil {
		key, err = book.ReadKey(file)
	}
	if err != nil {
		f.Status, f.Message, f.err = checkFailed, describe(err), err
		return f
	}
	f.Message = file + ", which is checked with " + key.PublicKey()
	return f
}
