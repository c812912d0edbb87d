package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/exposuregraph/exposuregraph/internal/object"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

func newFile(p Process) *cobra.Command {
	return newGroup("file", "Collect files and get them back", newFilePut(p), newFileGet(p))
}

// filePut are the flags of an upload, by the names that they have there.
type filePut struct{ name, sync, artifact string }

func newFilePut(p Process) *cobra.Command {
	var flags filePut
	cmd := &cobra.Command{
		Use:   "put FILE|-",
		Short: "Send a file to the server to be kept",
		Long: "Send a file to the server to be kept; - is standard input. Its SHA-256 names it from then on. The same content\n" +
			"again is the same file.",
		Args: usageArgs(cobra.ExactArgs(1)),
	}
	server := addClient(cmd)
	organization := addOrganization(cmd, "say whose file this is")
	output := addOutput(cmd, asTable, asJSON)
	cmd.Flags().StringVar(&flags.name, "name", "", "`name` that it is kept under (default: that of the file)")
	cmd.Flags().StringVar(&flags.sync, "sync", "", "`id` of the sync that it belongs to, such as the scan whose report it is")
	cmd.Flags().StringVar(&flags.artifact, "artifact", "", "`image` that it was collected of, as workloads name theirs")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		form, err := output()
		if err != nil {
			return err
		}
		slug, err := organization()
		if err != nil {
			return err
		}
		content, err := p.open(args[0])
		if err != nil {
			return err
		}
		defer content.Close()
		source := &noted{Reader: content}
		response, err := server.post(cmd.Context(), "/files", flags.query(slug, args[0]), "application/octet-stream", io.NopCloser(source))
		if err == nil {
			defer response.Body.Close()
		}
		if source.err != nil {
			return unreadable(args[0], source.err) // of which the server's answer is only the echo
		}
		if err != nil {
			return err
		}
		return p.printFile(response, form)
	}
	return cmd
}

// query are the parameters of the request.
func (f filePut) query(slug, file string) url.Values {
	if f.name == "" && file != stdinName {
		f.name = filepath.Base(file)
	}
	query := url.Values{"org": {slug}}
	for name, value := range map[string]string{"name": f.name, "sync": f.sync, "artifact": f.artifact} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return query
}

func (p Process) printFile(response *http.Response, form string) error {
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusCreated {
		return refusal(response)
	}
	var f struct {
		SHA256, MediaType, Name string
		Size                    int64
		Created                 bool
	}
	content, err := io.ReadAll(io.LimitReader(response.Body, maxReport))
	if err == nil {
		err = json.Unmarshal(content, &f)
	}
	if err != nil {
		return problem.New(problem.Unavailable, "ANSWER_CUT_OFF", "the answer broke off; the file may be kept: send it again, which keeps nothing twice").Because(err)
	}
	if form == asJSON {
		_, err = p.Stdout.Write(content)
		return err
	}
	what := "kept"
	if !f.Created {
		what = "was kept before"
	}
	_, err = fmt.Fprintf(p.Stdout, "%s  %s, %d bytes, %s: %s\n", f.SHA256, oneLine(f.Name), f.Size, oneLine(f.MediaType), what)
	return err
}

func newFileGet(p Process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "get SHA256",
		Short: "Write a file that is kept to stdout",
		Args:  usageArgs(cobra.ExactArgs(1)),
	}
	server := addClient(cmd)
	organization := addOrganization(cmd, "say whose file")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		slug, err := organization()
		if err != nil {
			return err
		}
		digest, err := object.ParseDigest(args[0])
		if err != nil {
			return usageError{err}
		}
		return p.download(cmd.Context(), server, "/files/"+digest.String(), url.Values{"org": {slug}})
	}
	return cmd
}
