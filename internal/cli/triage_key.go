package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

func newTriageKey(p Process) *cobra.Command {
	return newGroup("key", "Register, revoke and list the keys that decisions are signed with", newTriageKeyRegister(p), newTriageKeyRevoke(p), newTriageKeyList(p))
}

// keyRequest is what every command about keys is told.
type keyRequest struct {
	*client

	slug, form string
	args       []string
}

// newKeyCommand is a command about the keys of an organization.
func newKeyCommand(use, short string, args cobra.PositionalArgs, run func(context.Context, keyRequest) error) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: usageArgs(args)}
	server := addClient(cmd)
	output := addOutput(cmd, asTable, asJSON)
	organization := addOrganization(cmd, "say where")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		form, err := output()
		if err != nil {
			return err
		}
		slug, err := organization()
		if err != nil {
			return err
		}
		return run(cmd.Context(), keyRequest{server, slug, form, args})
	}
	return cmd
}

func newTriageKeyRegister(p Process) *cobra.Command {
	var subject string
	cmd := newKeyCommand("register FILE --org SLUG", "Register a public Ed25519 key (PEM), as `openssl pkey -pubout` writes it", cobra.ExactArgs(1),
		func(ctx context.Context, asked keyRequest) error {
			text, err := readDocument(p, asked.args[0])
			if err != nil {
				return err
			}
			input := map[string]any{"organization": asked.slug, "publicKey": string(text)}
			if subject != "" {
				input["subject"] = subject
			}
			return asked.change(ctx, p, "registerSigningKey", input)
		})
	cmd.Flags().StringVar(&subject, "subject", "", "`subject` of the person whose key it is (default: the token's; others take an admin)")
	return cmd
}

func newTriageKeyRevoke(p Process) *cobra.Command {
	return newKeyCommand("revoke KEY --org SLUG", "Revoke a key: nothing that it signs from now on is taken", cobra.ExactArgs(1),
		func(ctx context.Context, asked keyRequest) error {
			return asked.change(ctx, p, "revokeSigningKey", map[string]any{"organization": asked.slug, "key": asked.args[0]})
		})
}

func keyDocument(mutation string) string {
	return fmt.Sprintf(`mutation ($input: %s!) { changed: %s(input: $input) { key { %s } userErrors { code field message } } }`, inputs[mutation], mutation, keyFields)
}

const keysDocument = `query ($slug: String!, $subject: String) { organization(slug: $slug) { signingKeys(subject: $subject) { ` + keyFields + ` } } }`

// change sends a mutation of a key and prints what became of it.
func (r keyRequest) change(ctx context.Context, p Process, mutation string, input map[string]any) error {
	var answer struct {
		Changed struct {
			Key        shownKey
			UserErrors []wrong
		}
	}
	if err := r.ask(ctx, keyDocument(mutation), map[string]any{"input": input}, &answer); err != nil {
		return err
	}
	if err := firstOf(answer.Changed.UserErrors); err != nil {
		return err
	}
	if r.form == asJSON {
		return printJSON(p.Stdout, answer.Changed.Key)
	}
	return p.printKey(answer.Changed.Key)
}

// shownKey is a key as the command line shows it.
type shownKey struct {
	KeyID     string  `json:"keyId"`
	Subject   string  `json:"subject"`
	PublicKey string  `json:"publicKey"`
	ValidFrom string  `json:"validFrom"`
	ValidTo   *string `json:"validTo"`
}

const keyFields = `keyId subject publicKey validFrom validTo`

func (p Process) printKey(k shownKey) error {
	what := "valid from " + k.ValidFrom
	if k.ValidTo != nil {
		what = "revoked at " + *k.ValidTo
	}
	_, err := fmt.Fprintf(p.Stdout, "%s of %s, %s\n", k.KeyID, oneLine(k.Subject), what)
	return err
}

func newTriageKeyList(p Process) *cobra.Command {
	var subject string
	cmd := newKeyCommand("list --org SLUG", "List the keys, those that were revoked, too", cobra.NoArgs,
		func(ctx context.Context, asked keyRequest) error {
			keys, err := asked.keys(ctx, subject)
			switch {
			case err != nil:
				return err
			case asked.form == asJSON:
				return printJSON(p.Stdout, keys)
			}
			for _, k := range keys {
				if err := p.printKey(k); err != nil {
					return err
				}
			}
			return nil
		})
	cmd.Flags().StringVar(&subject, "subject", "", "`subject` of the person whose keys (default: everybody)")
	return cmd
}

// keys are those of a person or, without a subject, of everybody.
func (r keyRequest) keys(ctx context.Context, subject string) ([]shownKey, error) {
	variables := map[string]any{"slug": r.slug}
	if subject != "" {
		variables["subject"] = subject
	}
	var answer struct {
		Organization *struct{ SigningKeys []shownKey }
	}
	if err := r.ask(ctx, keysDocument, variables, &answer); err != nil {
		return nil, err
	}
	if answer.Organization == nil {
		return nil, noOrganization(r.slug)
	}
	return answer.Organization.SigningKeys, nil
}
