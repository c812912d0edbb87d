package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/exposuregraph/exposuregraph/graph/model"
	"github.com/exposuregraph/exposuregraph/internal/problem"
	"github.com/exposuregraph/exposuregraph/internal/sign"
	"github.com/exposuregraph/exposuregraph/internal/triage"
)

// judging are the flags of whoever judges.
type judging struct {
	justification, idempotencyKey, reason string
}

func (j *judging) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&j.justification, "justification", "m", "", "`text` that says why")
	cmd.Flags().StringVar(&j.idempotencyKey, "idempotency-key", "", "`key` under which the request can be sent again without being done twice (default: a random one)")
}

func (j *judging) addReason(cmd *cobra.Command) {
	reasons := make([]string, len(triage.FalsePositiveReasons))
	for i, reason := range triage.FalsePositiveReasons {
		reasons[i] = string(reason)
	}
	cmd.Flags().StringVar(&j.reason, "reason", "", "`reason` of a false positive: "+strings.Join(reasons, ", "))
}

func (j *judging) check() error {
	if j.justification == "" {
		return usagef("say why: --justification TEXT")
	}
	if j.idempotencyKey == "" {
		j.idempotencyKey = uuid.NewString()
	}
	return nil
}

// again tells how to send a request again of which nobody knows whether it was done.
func (j *judging) again(err error) error {
	if problem.KindOf(err) != problem.Unavailable {
		return err
	}
	return problem.New(problem.Unavailable, "ANSWER_UNKNOWN", "%s; it may have been done: send it again with --idempotency-key %s", err, j.idempotencyKey).Because(err)
}

func newTriageMove(p Process, name, short string, action triage.Action, mutation string) *cobra.Command {
	var j judging
	var expected int
	var signKey string
	cmd := &cobra.Command{Use: name + " EXPOSURE", Short: short, Args: usageArgs(cobra.ExactArgs(1))}
	server := addClient(cmd)
	output := addOutput(cmd, asTable, asJSON)
	j.add(cmd)
	if action == triage.MarkFalsePositive {
		j.addReason(cmd)
	}
	cmd.Flags().IntVar(&expected, "expected-version", 0, "`version` that you have looked at; another one is a conflict (default: the current one)")
	cmd.Flags().StringVar(&signKey, "sign-key", "", "`file` with your private Ed25519 key (PEM), to sign the decision with")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		form, err := output()
		if err != nil {
			return err
		}
		if err := j.check(); err != nil {
			return err
		}
		if action == triage.MarkFalsePositive && j.reason == "" {
			return usagef("say what makes it a false positive: --reason REASON")
		}
		if expected == 0 {
			x, _, err := server.exposure(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			expected = x.Version
		}
		input := map[string]any{"exposure": args[0], "expectedVersion": expected, "idempotencyKey": j.idempotencyKey, "justification": j.justification}
		if j.reason != "" {
			input["reason"] = word(j.reason)
		}
		if signKey != "" {
			if input["envelope"], err = j.signed(signKey, args[0], action, expected); err != nil {
				return err
			}
		}
		judged, err := server.move(cmd.Context(), mutation, input)
		if err != nil {
			return j.again(err)
		}
		return p.printJudged(form, judged)
	}
	return cmd
}

// signed is the decision in an envelope.
func (j *judging) signed(file, exposure string, action triage.Action, expected int) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", usagef("read --sign-key: %w", err)
	}
	private, err := sign.ReadPrivateKey(text)
	if err != nil {
		return "", err
	}
	opened, _ := model.ParseID(exposure)
	key, ok := opened.ExposureKey()
	if !ok {
		return "", problem.New(problem.NotFound, "EXPOSURE_NOT_FOUND", "%s is no id of an exposure", exposure)
	}
	c := triage.Command{
		Action: action, ExpectedVersion: expected, Reason: triage.FalsePositiveReason(lower(word(j.reason))),
		Justification: j.justification, IdempotencyKey: j.idempotencyKey,
	}
	statement, err := c.Statement(opened.Organization, key)
	if err != nil {
		return "", err
	}
	envelope, err := sign.Sign(sign.DecisionType, statement, private)
	if err != nil {
		return "", err
	}
	form, err := envelope.JSON()
	return string(form), err
}

// judged is what a decision came to.
type judged struct {
	Exposure shownExposure `json:"exposure"`
	Decision struct {
		Seq json.Number `json:"seq"`
	} `json:"decision"`
	Replayed bool `json:"replayed"`
}

func moveDocument(mutation string) string {
	return fmt.Sprintf(`mutation ($input: %s!) { judged: %s(input: $input) { exposure { %s } decision { seq } replayed userErrors { code field message } } }`,
		inputs[mutation], mutation, exposureFields)
}

func (c *client) move(ctx context.Context, mutation string, input map[string]any) (*judged, error) {
	var answer struct {
		Judged struct {
			judged
			UserErrors []wrong
		}
	}
	if err := c.ask(ctx, moveDocument(mutation), map[string]any{"input": input}, &answer); err != nil {
		return nil, err
	}
	return &answer.Judged.judged, firstOf(answer.Judged.UserErrors)
}

func (p Process) printJudged(form string, j *judged) error {
	if form == asJSON {
		return printJSON(p.Stdout, j)
	}
	before := ""
	if j.Replayed {
		before = ", as it was done before"
	}
	_, err := fmt.Fprintf(p.Stdout, "%s is %s, at version %d (entry %s of the ledger%s)\n", j.Exposure.ID, lower(j.Exposure.Status), j.Exposure.Version, j.Decision.Seq, before)
	return err
}
