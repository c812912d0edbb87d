package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/importer"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// importFlags are the flags of import, by the names they have there.
type importFlags struct {
	org, source, system, namespace, owners, policy, observedAt string
	partial, strict                                            bool
}

func newImport(p Process) *cobra.Command {
	var flags importFlags
	cmd := &cobra.Command{
		Use:   "import FORMAT FILE|FOLDER|-...",
		Short: "Send files to the server and print what came of them",
		Long: "Send files to the server and print what came of them. FORMAT is " + strings.Join(importer.Formats(), ", ") + ", or auto to detect it.\n" +
			"Of a folder every file is sent that ends in " + strings.Join(importer.Endings(importer.Auto), ", ") + ", of scans in " +
			strings.Join(importer.Endings("nmap"), ", ") + "; - is standard input.\n" +
			"The files of one import are one delivery of the source: send what it looked at together, and what it looked at apart under names of their own.\n" +
			"On a terminal it shows how far the import has come, unless stderr or the output goes elsewhere.\n" +
			"The organization is created if it does not exist and the token is an admin's.\n" +
			"Exit code 3 says that records were rejected; each is listed.",
		Args: usageArgs(cobra.MinimumNArgs(2)),
	}
	server := addClient(cmd)
	output := addOutput(cmd, asTable, asJSON)
	f := cmd.Flags()
	f.StringVar(&flags.org, "org", "", "`slug` of the organization")
	f.StringVar(&flags.source, "source", "", "`name` of the feed (default: the format)")
	f.StringVar(&flags.system, "system", "", "`name` of the cluster, account or tenant that the files speak about (default: the format)")
	f.StringVar(&flags.namespace, "namespace", "", "kubernetes: `namespace` of objects that name none")
	f.StringVar(&flags.owners, "owners", "", "kubernetes, aws-iam: `file` that says who answers for which workload")
	f.StringVar(&flags.policy, "policy", "", "kubernetes, aws-iam: `file` with domain and sensitivity of resources")
	f.StringVar(&flags.observedAt, "observed-at", "", "`time` (RFC 3339) at which the source looked (default: now)")
	f.BoolVar(&flags.partial, "partial", false, "the files show a part only: what they do not name is not gone")
	f.BoolVar(&flags.strict, "strict", false, "one rejected record refuses everything")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		form, err := output()
		if err != nil {
			return err
		}
		query, err := flags.query()
		if err != nil {
			return err
		}
		files, err := expand(args[1:], importer.Endings(args[0]))
		if err != nil {
			return err
		}
		var bar *progressBar
		if p.Terminal && form == asTable {
			bar = startProgress(cmd.Context(), p, server, flags.org)
			query.Set("progress", bar.id)
		}
		upload := startUpload(p, flags, files)
		defer upload.Close()
		response, err := server.post(cmd.Context(), "/imports/"+url.PathEscape(args[0]), query, upload.contentType, upload)
		bar.stop()
		if err == nil {
			defer response.Body.Close()
		}
		if failed := upload.failure(); failed != nil {
			return failed // of which the server's answer is only the echo
		}
		if err != nil {
			return err
		}
		return printReport(p, response, form)
	}
	return cmd
}

// query are the parameters of the request.
func (f importFlags) query() (url.Values, error) {
	if f.org == "" {
		return nil, usagef("say whose files these are: --org SLUG")
	}
	query := url.Values{"org": {f.org}, "create": {"true"}}
	for name, value := range map[string]string{"source": f.source, "system": f.system, "namespace": f.namespace, "observedAt": f.observedAt} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if f.observedAt != "" {
		if _, err := time.Parse(time.RFC3339, f.observedAt); err != nil {
			return nil, usagef("--observed-at %q is no time as in 2006-01-02T15:04:05Z (RFC 3339)", f.observedAt)
		}
	}
	for name, value := range map[string]bool{"partial": f.partial, "strict": f.strict} {
		if value {
			query.Set(name, strconv.FormatBool(value))
		}
	}
	return query, nil
}

// printReport prints the report of a sync, and ends with 3 if it rejected
// records.
func printReport(p Process, response *http.Response, form string) error {
	if response.StatusCode != http.StatusOK {
		return refusal(response)
	}
	content, err := io.ReadAll(io.LimitReader(response.Body, maxReport))
	var report authority.SyncReport
	if err == nil {
		err = json.Unmarshal(content, &report)
	}
	if err != nil {
		return problem.New(problem.Unavailable, "ANSWER_CUT_OFF",
			"the report of the import broke off; the import may have been applied: send it again, which writes nothing twice").Because(err)
	}
	if form == asJSON {
		_, err = p.Stdout.Write(content)
	} else {
		err = p.printSummary(report)
	}
	if err != nil {
		return err
	}
	if report.Records.Rejected > 0 {
		return exitError(exitPartly)
	}
	return nil
}

// printSummary prints the counts, and before them on stderr what was rejected
// and what the reader should know.
func (p Process) printSummary(r authority.SyncReport) error {
	for _, rejection := range r.Rejections {
		_, _ = fmt.Fprintf(p.Stderr, "%s: rejected: %s [%s]\n", rejection.Position, rejection.Reason, rejection.Code)
	}
	if more := r.Records.Rejected - len(r.Rejections); more > 0 {
		_, _ = fmt.Fprintf(p.Stderr, "and %d more rejected\n", more)
	}
	for _, warning := range r.Warnings {
		_, _ = fmt.Fprintf(p.Stderr, "%s: warning: %s [%s]\n", warning.Position, warning.Message, warning.Code)
	}
	coverage := "complete"
	switch {
	case !r.Complete && r.Assets.Gone > 0: // a rejected record shields its host, and no other
		coverage = "partial: it counts where it looked"
	case !r.Complete:
		coverage = "partial: nothing was removed"
	}
	_, err := fmt.Fprintf(p.Stdout, "sync       %s\n           %s, version %d of %s, %s\nsource     %s on %s, observed at %s\n"+
		"records    %d read, %d accepted, %d rejected\nentities   %d added, %d changed, %d removed\n"+
		"paths      %d added, %d kept, %d changed, %d removed\nexposures  %d opened, %d resolved\n",
		r.SyncID, r.Outcome, r.Version, r.Organization, coverage, r.Source, r.System, r.ObservedAt.Format(time.RFC3339),
		r.Records.Read, r.Records.Accepted, r.Records.Rejected, r.Entities.Added, r.Entities.Changed, r.Entities.Removed,
		r.Paths.Added, r.Paths.Kept, r.Paths.Changed, r.Paths.Removed, r.Exposures.Opened, r.Exposures.Resolved)
	if err == nil && r.Assets != (authority.SurfaceCounts{}) {
		_, err = fmt.Fprintf(p.Stdout, "assets     %d added, %d changed, %d gone, %d kept\n", r.Assets.Added, r.Assets.Changed, r.Assets.Gone, r.Assets.Kept)
	}
	return err
}
