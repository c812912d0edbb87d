package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/app"
	"github.com/exposuregraph/exposuregraph/internal/audit"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
	"github.com/exposuregraph/exposuregraph/internal/ledger/book"
	"github.com/exposuregraph/exposuregraph/internal/org"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

func newLedger(p Process) *cobra.Command {
	return newGroup("ledger", "Verify and hand out what people judged",
		newLedgerVerify(p), newLedgerExport(p), newLedgerCheckpoint(p), newLedgerKey(p), newLedgerRebuild(p))
}

// addLedgerKey adds the flag that names the file of the private key.
func addLedgerKey(cmd *cobra.Command, file *string) *string {
	cmd.Flags().StringVar(file, "ledger-key", "", "`file` with the private key that signs checkpoints of the ledger (default, with the embedded database: ledger.key in the data folder)")
	return file
}

// ledgerVerify are the flags of one look.
type ledgerVerify struct {
	database    *app.DatabaseConfig
	ledgerKey   string
	slug        string
	all         bool
	checkpoints []string
	keys        []string
}

func newLedgerVerify(p Process) *cobra.Command {
	var v ledgerVerify
	cmd := &cobra.Command{
		Use:   "verify --org SLUG|--all, verify FILE|-",
		Short: "Prove that a ledger is what was written",
		Long: "Verify the ledger in the database, with all that follows from it, or a file of `exposuregraph ledger export`,\n" +
			"which takes no database. Each fault is named with its position; the exit code is 1 when there is one.\n\n" +
			"That the newest entries are missing, or that a ledger was written anew, is found only against checkpoints that\n" +
			"were kept elsewhere: give them with --checkpoint.",
		Args: usageArgs(cobra.MaximumNArgs(1)),
	}
	v.database = addDatabase(cmd)
	output := addOutput(cmd, asTable, asJSON)
	addLedgerKey(cmd, &v.ledgerKey)
	cmd.Flags().StringVar(&v.slug, "org", "", "`slug` of the organization; of a file, whose ledger it has to be")
	cmd.Flags().BoolVar(&v.all, "all", false, "verify the ledger of each organization")
	cmd.Flags().StringArrayVar(&v.checkpoints, "checkpoint", nil, "`file` with a checkpoint that was kept elsewhere, or a folder of them; may be repeated")
	cmd.Flags().StringArrayVar(&v.keys, "key", nil, "public `key` that checkpoints must be signed with; may be repeated (default: that of --ledger-key)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		form, err := output()
		if err != nil {
			return err
		}
		if len(args) == 1 {
			if v.all {
				return usagef("--all is about the database; a file holds one ledger")
			}
			return v.file(p, form, args[0])
		}
		if (v.slug == "") == !v.all {
			return usagef("say what to verify: --org SLUG, --all, or a FILE")
		}
		return v.stored(cmd.Context(), p, form)
	}
	return cmd
}

// file verifies an export.
func (v *ledgerVerify) file(p Process, form, name string) error {
	verifiers, err := v.verifiers(false)
	if err != nil {
		return err
	}
	kept, err := readCheckpoints(v.checkpoints)
	if err != nil {
		return err
	}
	expect := ledger.Expect{}
	for _, checkpoint := range kept {
		expect.Kept = append(expect.Kept, checkpoint.Kept)
	}
	if v.slug != "" {
		expect.Organization = id.Organization(v.slug)
	}
	if len(verifiers) > 0 {
		expect.Keys = note.VerifierList(verifiers...)
	}
	file, err := p.open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	report, err := ledger.VerifyExport(file, expect)
	if err != nil {
		return unreadable(name, err)
	}
	if form == asJSON {
		err = printJSON(p.Stdout, report)
	} else {
		shown := ledgerReport{name: name, size: report.Size, head: report.Head, root: report.Root, checkpoints: report.Checkpoints, kept: report.Kept,
			signatures: report.Signatures, more: report.More}
		for _, fault := range report.Faults {
			where := fmt.Sprintf("entry %d", fault.Seq)
			if fault.Line > 0 {
				where = fmt.Sprintf("line %d, %s", fault.Line, where)
			}
			shown.faults = append(shown.faults, fmt.Sprintf("%s: %s: %s", where, fault.Code, fault.Message))
		}
		err = p.printLedgers([]ledgerReport{shown})
	}
	if err == nil && !report.OK() {
		return exitError(exitFailure)
	}
	return err
}

// stored verifies ledgers in the database.
func (v *ledgerVerify) stored(ctx context.Context, p Process, form string) error {
	if v.database.URL == "" && v.database.OwnerURL != "" {
		return usagef("ledger verify reads as the role that serves: give --database-url")
	}
	verifiers, err := v.verifiers(true)
	if err != nil {
		return err
	}
	kept, err := readCheckpoints(v.checkpoints)
	if err != nil {
		return err
	}
	config := *v.database
	if config.URL == "" {
		exists, folder, err := dataFolder(&config)
		if err != nil {
			return err
		}
		if !exists {
			return problem.New(problem.NotFound, "DATABASE_MISSING", "there is no database in %s yet: `exposuregraph serve` makes it", folder)
		}
	}
	var reports []*book.Report
	if err := withDatabase(ctx, config, p, func(d *app.Database) (err error) {
		reports, err = v.each(ctx, d, p, verifiers, kept)
		return err
	}); err != nil {
		return err
	}
	if form == asJSON {
		err = printJSON(p.Stdout, reports)
	} else {
		err = p.printLedgers(shownLedgers(reports))
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

func (v *ledgerVerify) each(ctx context.Context, d *app.Database, p Process, verifiers []note.Verifier, kept []keptCheckpoint) ([]*book.Report, error) {
	reports := []*book.Report{}
	err := eachOrganization(ctx, d, v.slug, func(ctx context.Context, snapshot *db.Snapshot, organization *org.Organization) error {
		report, err := book.New(p.Now).Verify(ctx, snapshot, organization, book.Trust{Keys: verifiers, Kept: v.keptOf(kept, organization)})
		reports = append(reports, report)
		return err
	})
	if err != nil {
		return nil, err
	}
	return reports, nil
}

// keptOf are the checkpoints to hold a ledger against. Of a folder, and where all
// organizations are looked at, they are those that say they are of this one.
func (v *ledgerVerify) keptOf(all []keptCheckpoint, organization *org.Organization) (own []ledger.Kept) {
	for _, kept := range all {
		checkpoint, err := ledger.ReadCheckpoint(kept.Note)
		if err != nil || !kept.ofFolder && !v.all || checkpoint.Origin == ledger.Origin(organization.ID) {
			own = append(own, kept.Kept)
		}
	}
	return own
}

// verifiers are the keys that are given. Without one, of the database, it is that
// of the private key, if there is one.
func (v *ledgerVerify) verifiers(ofDatabase bool) (keys []note.Verifier, err error) {
	for _, text := range v.keys {
		key, err := note.NewVerifier(strings.TrimSpace(text))
		if err != nil {
			return nil, usagef("--key %q is no public key as `exposuregraph ledger key` prints it", text)
		}
		keys = append(keys, key)
	}
	file := v.ledgerKey
	if file == "" && ofDatabase {
		if file, err = app.LedgerKeyFile("", *v.database); err != nil {
			return nil, err
		}
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			file = ""
		}
	}
	if len(keys) > 0 || file == "" {
		return keys, nil
	}
	key, err := book.ReadKey(file)
	if err != nil {
		return nil, err
	}
	verifier, err := key.Verifier()
	return []note.Verifier{verifier}, err
}

// keptCheckpoint is one that was kept elsewhere.
type keptCheckpoint struct {
	ledger.Kept
	ofFolder bool
}

func readCheckpoints(names []string) (kept []keptCheckpoint, err error) {
	for _, name := range names {
		before := len(kept)
		err := filepath.WalkDir(name, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return unreadable(path, err)
			}
			if entry.IsDir() || path != name && filepath.Ext(path) != ".checkpoint" {
				return nil
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return unreadable(path, err)
			}
			kept = append(kept, keptCheckpoint{ledger.Kept{Name: path, Note: string(content)}, path != name})
			return nil
		})
		if err != nil {
			return nil, err
		}
		if len(kept) == before {
			return nil, problem.New(problem.Invalid, "FOLDER_EMPTY", "the folder holds no file that ends in .checkpoint").At(name, 0)
		}
	}
	return kept, nil
}

// ledgerReport is what is printed of a look.
type ledgerReport struct {
	name              string
	size              int64
	head, root        ledger.Hash
	checkpoints, kept int
	signatures        bool
	more              int
	faults            []string
}

func shownLedgers(reports []*book.Report) []ledgerReport {
	shown := make([]ledgerReport, len(reports))
	for i, r := range reports {
		shown[i] = ledgerReport{name: r.Organization, size: r.Size, head: r.Head, root: r.Root, checkpoints: r.Checkpoints, kept: r.Kept,
			signatures: r.Signatures, more: r.More}
		for _, fault := range r.Faults {
			var where []string
			if fault.Seq > 0 || fault.Row == "" {
				where = append(where, fmt.Sprintf("entry %d", fault.Seq))
			}
			if fault.Row != "" {
				where = append(where, fault.Row)
			}
			shown[i].faults = append(shown[i].faults, fmt.Sprintf("%s: %s: %s", strings.Join(where, ", "), fault.Code, fault.Message))
		}
	}
	return shown
}

// printLedgers writes a line for each ledger and, below it, what was found.
func (p Process) printLedgers(reports []ledgerReport) error {
	log := logger(p.Stderr, slog.LevelInfo)
	if len(reports) == 0 {
		log.Info("there is no organization yet")
	}
	table := p.table()
	for _, r := range reports {
		status := checkOK
		switch {
		case len(r.faults) > 0:
			status = checkFailed
		case r.size == 0:
			status = checkSkipped
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%d entries, %d checkpoints, %d kept elsewhere\thead %s\troot %s\n", // Flush tells the error
			status, r.name, r.size, r.checkpoints, r.kept, r.head, r.root)
		for _, fault := range r.faults {
			_, _ = fmt.Fprintf(table, "\t%s\n", fault)
		}
		if r.more > 0 {
			_, _ = fmt.Fprintf(table, "\tand %d more\n", r.more)
		}
		if r.checkpoints+r.kept > 0 && !r.signatures {
			log.Warn("signatures of checkpoints were not looked at; give --key", "ledger", r.name)
		}
	}
	return table.Flush()
}

func newLedgerExport(p Process) *cobra.Command {
	return newDownload(p, "export", "Write the ledger of an organization to stdout",
		"Write the ledger of an organization to stdout: a file of JSON lines that can be verified without the server.",
		func(slug string) string { return "/ledgers/" + slug })
}

func newLedgerCheckpoint(p Process) *cobra.Command {
	return newDownload(p, "checkpoint", "Write the newest checkpoint of a ledger to stdout",
		"Write the newest signed checkpoint of a ledger to stdout. Keep it where nobody who can change the database can change it.",
		func(slug string) string { return "/ledgers/" + slug + "/checkpoint" })
}

func newDownload(p Process, use, short, long string, path func(slug string) string) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Long: long, Args: usageArgs(cobra.NoArgs)}
	server := addClient(cmd)
	organization := addOrganization(cmd, "say whose ledger")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		slug, err := organization()
		if err != nil {
			return err
		}
		if err := org.CheckSlug(slug); err != nil {
			return usageError{err}
		}
		return p.download(cmd.Context(), server, path(slug), nil)
	}
	return cmd
}

func newLedgerKey(p Process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Print the public key that checks new checkpoints",
		Args:  usageArgs(cobra.NoArgs),
	}
	server := addClient(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return p.download(cmd.Context(), server, "/ledger-key", nil)
	}
	return cmd
}

// download writes what the server has at a path to stdout, as it comes.
func (p Process) download(ctx context.Context, server *client, path string, query url.Values) error {
	address, err := server.address(path, query)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return usageError{err}
	}
	response, err := server.do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return refusal(response)
	}
	body := &readErrors{Reader: response.Body}
	if _, err = io.Copy(p.Stdout, body); body.err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return problem.New(problem.Unavailable, "ANSWER_CUT_OFF", "the answer of the server broke off; try again").Because(body.err)
	}
	if err != nil {
		return fmt.Errorf("write to stdout: %w", err)
	}
	return nil
}

// readErrors remembers an error of reading, apart from those of writing.
type readErrors struct {
	io.Reader
	err error
}

func (r *readErrors) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

func newLedgerRebuild(p Process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rebuild --org SLUG",
		Short: "Read off the ledger again what people say of exposures",
		Long: "Write what the tables say otherwise than the ledger, in the database itself, with everything that counts it.\n" +
			"The exit code is 1 when something is left that only the owner of the tables can mend.",
		Args: usageArgs(cobra.NoArgs),
	}
	config := addDatabase(cmd)
	organization := addOrganization(cmd, "say whose ledger")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		slug, err := organization()
		if err != nil {
			return err
		}
		if config.URL == "" && config.OwnerURL != "" {
			return usagef("ledger rebuild writes as the role that serves: give --database-url")
		}
		return withDatabase(cmd.Context(), *config, p, func(d *app.Database) error { return rebuild(cmd.Context(), d, p, slug) })
	}
	return cmd
}

func rebuild(ctx context.Context, d *app.Database, p Process, slug string) error {
	var before, after *book.Projection
	if err := asServer(ctx, d, []access.Scope{access.View, access.Operate}, func(ctx context.Context, pool *db.DB) (err error) {
		before, after, err = app.NewTriage(pool, p.Now, slog.New(slog.DiscardHandler)).Rebuild(ctx, id.Organization(slug))
		audit.New(pool, p.Now, logger(p.Stderr, slog.LevelWarn)).Record(ctx, audit.Event{
			Organization: id.Organization(slug), Action: audit.LedgerRebuild, Outcome: audit.OutcomeOf(err), Door: audit.CLI})
		return err
	}); err != nil {
		return err
	}
	for _, diff := range after.Differences {
		if _, err := fmt.Fprintf(p.Stdout, "%s: the ledger says %s, the row %s\n", diff.Row(), diff.Want, diff.Have); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintf(p.Stdout, "%d exposures decided, %d rows mended, %d left; ledger %s, tables %s\n",
		after.Rows, len(before.Differences)-len(after.Differences), len(after.Differences), after.Ledger, after.Tables); err != nil {
		return err
	}
	if len(after.Differences) > 0 {
		return exitError(exitFailure)
	}
	return nil
}
