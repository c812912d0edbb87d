package cli_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/exposuregraph/exposuregraph/graph/model"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/sign"
	"github.com/exposuregraph/exposuregraph/internal/triage"
)

// sent is a request as the server got it.
type sent struct {
	Query     string
	Variables struct {
		Input map[string]any
		ID    string
		First int
		After *string
	}
}

// script answers one request after the other and keeps what was asked.
func script(t *testing.T, requests *[]sent, answers ...string) string {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		var s sent
		content, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(content, &s)
		}
		if err != nil || len(*requests) >= len(answers) {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		*requests = append(*requests, s)
		answer(http.StatusOK, answers[len(*requests)-1])(w, r)
	})
}

var (
	acmePath  = id.New("path").Short()
	acmeKey   = exposure.Key{PathID: acmePath, Type: rule.OrphanedPath, Ordinal: 2}
	acmeOrg   = id.Organization("acme")
	acmeAlert = (&model.Exposure{Exposure: exposure.Exposure{OrganizationID: acmeOrg, Key: acmeKey}}).ID()
)

const (
	shown    = `{"id":"X1","type":"ORPHANED_PATH","severity":"HIGH","status":"ACKNOWLEDGED","disposition":"ACKNOWLEDGED","explanation":"w has\nno owner.","detectedAt":"2026-03-01T12:00:00Z","version":4}`
	accepted = `{"data":{"judged":{"exposure":` + shown + `,"decision":{"seq":12},"replayed":false,"userErrors":[]}}}`
)

func userError(code string) string {
	return `{"data":{"judged":{"exposure":null,"decision":null,"replayed":false,"batch":null,"userErrors":[{"code":"` + code + `","field":"expectedVersion","message":"No."}]}}}`
}

func TestTriageMoves(t *testing.T) {
	t.Parallel()
	for name, mutation := range map[string]string{
		"acknowledge": "acknowledgeExposure", "unacknowledge": "unacknowledgeExposure", "false-positive": "markFalsePositive", "unmark": "unmarkFalsePositive", "resolve": "resolveExposure",
	} {
		var requests []sent
		server := script(t, &requests, accepted)
		args := []string{"triage", name, acmeAlert, "--server", server, "-m", "Why.", "--expected-version", "3", "--idempotency-key", "k1"}
		want := map[string]any{"exposure": acmeAlert, "expectedVersion": 3.0, "idempotencyKey": "k1", "justification": "Why."}
		if name == "false-positive" {
			args = append(args, "--reason", "test-environment")
			want["reason"] = "TEST_ENVIRONMENT"
		}
		code, stdout, stderr := world{}.run(t.Context(), args...)
		require.Equal(t, 0, code, stderr)
		require.Equal(t, "X1 is acknowledged, at version 4 (entry 12 of the ledger)\n", stdout)
		require.Contains(t, requests[0].Query, mutation+"(input: $input)")
		require.Equal(t, want, requests[0].Variables.Input)
	}
}

// Without a version the current one is meant, and without a key each request has
// its own.
func TestTriageDefaults(t *testing.T) {
	t.Parallel()
	var requests []sent
	node := `{"data":{"node":` + strings.TrimSuffix(shown, "}") + `,"versions":{"nodes":[]}}}}`
	server := script(t, &requests, node, accepted, node, accepted)
	for range 2 {
		code, _, stderr := world{}.run(t.Context(), "triage", "acknowledge", acmeAlert, "--server", server, "-m", "Why.")
		require.Equal(t, 0, code, stderr)
	}
	require.Equal(t, acmeAlert, requests[0].Variables.ID)
	require.InEpsilon(t, 4.0, requests[1].Variables.Input["expectedVersion"], 0)
	require.Len(t, requests[1].Variables.Input["idempotencyKey"], 36)
	require.NotEqual(t, requests[1].Variables.Input["idempotencyKey"], requests[3].Variables.Input["idempotencyKey"])
}

func TestTriageExitCodes(t *testing.T) {
	t.Parallel()
	refused := func(kind, code string) string {
		return `{"data":null,"errors":[{"message":"No.","extensions":{"kind":"` + kind + `","code":"` + code + `"}}]}`
	}
	for _, test := range []struct {
		answer string
		code   int
		say    string
	}{
		{userError("VERSION_CONFLICT"), 6, "No. [VERSION_CONFLICT: expectedVersion]"},
		{userError("EXPOSURE_RESOLVED"), 6, "EXPOSURE_RESOLVED"},
		{userError("ILLEGAL_MOVE"), 6, "ILLEGAL_MOVE"},
		{userError("IDEMPOTENCY_KEY_REUSED"), 6, "IDEMPOTENCY_KEY_REUSED"},
		{userError("EXPOSURE_NOT_FOUND"), 4, "EXPOSURE_NOT_FOUND"},
		{userError("INVALID_TEXT"), 1, "INVALID_TEXT"},
		{refused("DENIED", "SCOPE_MISSING"), 5, "SCOPE_MISSING"},
		{refused("UNAUTHENTIC", "TOKEN_MISSING"), 5, "TOKEN_MISSING"},
		{refused("NOT_FOUND", "NODE_NOT_FOUND"), 4, "NODE_NOT_FOUND"},
		{refused("UNAVAILABLE", "DATABASE_UNAVAILABLE"), 7, "--idempotency-key k1"},
		{refused("LIMIT", "TOO_MANY_EXPOSURES"), 1, "TOO_MANY_EXPOSURES"},
		{`{"error":{"kind":"denied","code":"TOKEN_EXPIRED","message":"Expired."}}`, 5, "TOKEN_EXPIRED"},
		{`nothing of ours`, 1, "ANSWER_UNKNOWN"},
	} {
		var requests []sent
		server := script(t, &requests, test.answer)
		code, stdout, stderr := world{}.run(t.Context(), "triage", "acknowledge", acmeAlert, "--server", server, "-m", "Why.", "--expected-version", "3", "--idempotency-key", "k1")
		require.Equal(t, test.code, code, "%s: %s", test.answer, stderr)
		require.Contains(t, stderr, test.say)
		require.Empty(t, stdout)
	}
	code, _, stderr := world{}.run(t.Context(), "triage", "acknowledge", acmeAlert, "--server", "http://127.0.0.1:1", "-m", "Why.", "--expected-version", "3")
	require.Equal(t, 7, code)
	require.Contains(t, stderr, "send it again with --idempotency-key ")
	var requests []sent
	code, _, stderr = world{}.run(t.Context(), "triage", "view", acmeAlert, "--server", script(t, &requests, `{"data":{"node":null}}`))
	require.Equal(t, 4, code, stderr)
	requests = nil
	code, _, stderr = world{}.run(t.Context(), "triage", "list", "--org", "acme", "--server", script(t, &requests, `{"data":{"organization":null}}`))
	require.Equal(t, 4, code, stderr)

	for _, args := range [][]string{
		{"triage"}, {"triage", "accept"}, {"triage", "list"}, {"triage", "list", "--org", "a", "--limit", "-1"}, {"triage", "view"},
		{"triage", "acknowledge", "X"}, {"triage", "acknowledge", "-m", "Why."}, {"triage", "false-positive", "X", "-m", "Why."},
		{"triage", "acknowledge", "X", "-m", "Why.", "--reason", "other"}, {"triage", "acknowledge", "X", "-m", "Why.", "--expected-version", "1", "--sign-key", "/nowhere.pem"},
		{"triage", "bulk"}, {"triage", "bulk", "accept", "X", "--org", "a", "-m", "Why."}, {"triage", "bulk", "resolve", "X", "-m", "Why."},
		{"triage", "bulk", "resolve", "--org", "a", "-m", "Why."}, {"triage", "bulk", "resolve", "X", "--org", "a", "-m", "Why.", "--type", "orphaned_path"}, {"triage", "bulk", "resolve", "X", "--org", "a"},
		{"triage", "undo", "B"}, {"triage", "key"}, {"triage", "key", "register", "-"}, {"triage", "key", "revoke", "K"},
	} {
		code, stdout, stderr := world{}.run(t.Context(), args...)
		require.Equal(t, 2, code, "%v: %s", args, stderr)
		require.Empty(t, stdout, args)
	}
}

func TestTriageList(t *testing.T) {
	t.Parallel()
	page := func(more bool) string {
		form, err := json.Marshal(more)
		require.NoError(t, err)
		return `{"data":{"organization":{"list":{"nodes":[` + shown + `],"pageInfo":{"hasNextPage":` + string(form) + `,"endCursor":"c1"}}}}}`
	}
	var requests []sent
	code, stdout, stderr := world{}.run(t.Context(), "triage", "list", "--org", "acme", "--limit", "0", "--type", "orphaned-path", "--status", "active,false_positive",
		"--server", script(t, &requests, page(true), page(false)))
	require.Equal(t, 0, code, stderr)
	require.Equal(t, 3, strings.Count(stdout, "\n"), "a line each: what somebody wrote breaks none")
	require.Contains(t, stdout, "w has no owner.")
	require.Equal(t, 100, requests[0].Variables.First)
	require.Nil(t, requests[0].Variables.After)
	require.Equal(t, "c1", *requests[1].Variables.After)
	requests = nil
	code, stdout, _ = world{}.run(t.Context(), "triage", "list", "--org", "acme", "--limit", "1", "-o", "ndjson", "--server", script(t, &requests, page(true)))
	require.Equal(t, 0, code)
	require.JSONEq(t, shown, stdout)
	require.Equal(t, 1, requests[0].Variables.First)
}

func TestTriageBulkAndUndo(t *testing.T) {
	t.Parallel()
	const some = `{"data":{"judged":{"batch":{"id":"B1","asked":3,"done":2,"refused":1,"dryRun":false,"replayed":false,"counts":[{"state":"OPEN","code":null,"count":2},
		{"state":"RESOLVED","code":"EXPOSURE_RESOLVED","count":1}],"outcomes":[{"exposure":"X3","state":"RESOLVED","code":"EXPOSURE_RESOLVED","message":"It has resolved."}]},"userErrors":[]}}}`
	var requests []sent
	server := script(t, &requests, some, strings.NewReplacer(`"B1"`, "null", `"dryRun":false`, `"dryRun":true`).Replace(some), some, userError("ALREADY_UNDONE"))
	code, stdout, stderr := world{stdin: "X2\n\n X3 \n"}.run(t.Context(), "triage", "bulk", "false-positive", "X1", "-", "--org", "acme", "-m", "Why.", "--reason", "duplicate",
		"--idempotency-key", "k1", "--server", server)
	require.Equal(t, 3, code)
	require.Equal(t, "X3: It has resolved. [EXPOSURE_RESOLVED]\n", stderr)
	require.Contains(t, stdout, "B1")
	require.Equal(t, map[string]any{
		"organization": "acme", "action": "MARK_FALSE_POSITIVE", "reason": "DUPLICATE", "idempotencyKey": "k1", "justification": "Why.", "dryRun": false,
		"exposures": []any{map[string]any{"exposure": "X1"}, map[string]any{"exposure": "X2"}, map[string]any{"exposure": "X3"}},
	}, requests[0].Variables.Input)
	code, stdout, _ = world{}.run(t.Context(), "triage", "bulk", "acknowledge", "--org", "acme", "--severity", "low", "--dry-run", "--server", server)
	require.Equal(t, 0, code)
	require.Contains(t, stdout, "would be done")
	require.Equal(t, map[string]any{"organization": "acme", "action": "ACKNOWLEDGE", "filter": map[string]any{"severity": []any{"LOW"}}, "dryRun": true}, requests[1].Variables.Input)

	code, _, _ = world{}.run(t.Context(), "triage", "undo", "B1", "-m", "Back.", "--idempotency-key", "k2", "--server", server)
	require.Equal(t, 3, code)
	require.Equal(t, map[string]any{"batch": "B1", "idempotencyKey": "k2", "justification": "Back."}, requests[2].Variables.Input)
	code, _, _ = world{}.run(t.Context(), "triage", "undo", "B1", "-m", "Back.", "--server", server)
	require.Equal(t, 6, code)
}

// The envelope signs what the request says, for whoever has the public key.
func TestTriageSigns(t *testing.T) {
	t.Parallel()
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	file := write(t, filepath.Join(t.TempDir(), "key.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	var requests []sent
	code, _, stderr := world{}.run(t.Context(), "triage", "false-positive", acmeAlert, "-m", "Why.", "--reason", "not_reachable", "--expected-version", "3", "--idempotency-key", "k1",
		"--sign-key", file, "--server", script(t, &requests, accepted))
	require.Equal(t, 0, code, stderr)
	envelope, err := sign.Parse([]byte(requests[0].Variables.Input["envelope"].(string)))
	require.NoError(t, err)
	require.Equal(t, sign.DecisionType, envelope.PayloadType)
	payload, _, err := sign.Verify(envelope, map[string]ed25519.PublicKey{sign.KeyID(public): public})
	require.NoError(t, err)
	c := triage.Command{Action: triage.MarkFalsePositive, ExpectedVersion: 3, Reason: triage.NotReachable, Justification: "Why.", IdempotencyKey: "k1"}
	want, err := c.Statement(acmeOrg, acmeKey)
	require.NoError(t, err)
	require.Equal(t, string(want), string(payload))

	code, _, stderr = world{}.run(t.Context(), "triage", "acknowledge", "no-id", "-m", "Why.", "--expected-version", "3", "--sign-key", file)
	require.Equal(t, 4, code, stderr)
	code, _, stderr = world{}.run(t.Context(), "triage", "acknowledge", acmeAlert, "-m", "Why.", "--expected-version", "3", "--sign-key", write(t, filepath.Join(t.TempDir(), "bad.pem"), "no key"))
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "KEY_INVALID")
}

func TestTriageKeys(t *testing.T) {
	t.Parallel()
	const key = `{"data":{"changed":{"key":{"keyId":"ab12","subject":"ann","publicKey":"AA==","validFrom":"2026-03-01T12:00:00Z","validTo":null},"userErrors":[]}}}`
	var requests []sent
	server := script(t, &requests, key, strings.Replace(key, "null", `"2026-03-02T12:00:00Z"`, 1), `{"data":{"changed":{"key":null,"userErrors":[{"code":"KEY_REVOKED","field":"key","message":"No."}]}}}`)
	code, stdout, stderr := world{stdin: "PEM"}.run(t.Context(), "triage", "key", "register", "-", "--org", "acme", "--subject", "ann", "--server", server)
	require.Equal(t, 0, code, stderr)
	require.Equal(t, "ab12 of ann, valid from 2026-03-01T12:00:00Z\n", stdout)
	require.Equal(t, map[string]any{"organization": "acme", "publicKey": "PEM", "subject": "ann"}, requests[0].Variables.Input)
	code, stdout, _ = world{}.run(t.Context(), "triage", "key", "revoke", "ab12", "--org", "acme", "--server", server)
	require.Equal(t, 0, code)
	require.Equal(t, "ab12 of ann, revoked at 2026-03-02T12:00:00Z\n", stdout)
	require.Equal(t, map[string]any{"organization": "acme", "key": "ab12"}, requests[1].Variables.Input)
	code, _, _ = world{}.run(t.Context(), "triage", "key", "revoke", "ab12", "--org", "acme", "--server", server)
	require.Equal(t, 6, code)
	requests = nil
	server = script(t, &requests, `{"data":{"organization":{"signingKeys":[{"keyId":"ab12","subject":"ann","publicKey":"AA==","validFrom":"2026-03-01T12:00:00Z","validTo":null}]}}}`, `{"data":{"organization":null}}`)
	code, stdout, _ = world{}.run(t.Context(), "triage", "key", "list", "--org", "acme", "--server", server)
	require.Equal(t, 0, code)
	require.Equal(t, "ab12 of ann, valid from 2026-03-01T12:00:00Z\n", stdout)
	code, _, _ = world{}.run(t.Context(), "triage", "key", "list", "--org", "acme", "--server", server)
	require.Equal(t, 4, code)
}

// What is sent is what the schema has: every document of the command line is valid.
func TestTriageDocuments(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile(filepath.Join("..", "..", "schema.graphqls"))
	require.NoError(t, err)
	schema, err := gqlparser.LoadSchema(&ast.Source{Name: "schema.graphqls", Input: string(source)})
	require.NoError(t, err)
	_, wrong := gqlparser.LoadQueryWithRules(schema, "{ nothing }", nil)
	require.NotEmpty(t, wrong)
	var requests []sent
	empty := make([]string, 20)
	for i := range empty {
		empty[i] = `{"data":null,"errors":[{"message":"No.","extensions":{"kind":"DENIED","code":"SCOPE_MISSING"}}]}`
	}
	server := script(t, &requests, empty...)
	judging := []string{"-m", "Why.", "--expected-version", "3", "--reason", "other"}
	for _, args := range [][]string{
		{"list", "--org", "acme"}, {"view", "X"}, {"acknowledge", "X"}, {"unacknowledge", "X"}, {"false-positive", "X"}, {"unmark", "X"}, {"resolve", "X"},
		{"bulk", "resolve", "X", "--org", "acme", "-m", "Why."}, {"undo", "B", "-m", "Why."}, {"key", "register", "-", "--org", "acme"}, {"key", "revoke", "K", "--org", "acme"}, {"key", "list", "--org", "acme"},
	} {
		switch {
		case args[0] == "false-positive":
			args = append(args, judging...)
		case len(args) == 2 && args[0] != "view":
			args = append(args, judging[:4]...)
		}
		code, _, stderr := world{}.run(t.Context(), append(append([]string{"triage"}, args...), "--server", server)...)
		require.Equal(t, 5, code, "%v: %s", args, stderr)
		_, wrong := gqlparser.LoadQueryWithRules(schema, requests[len(requests)-1].Query, nil)
		require.Empty(t, wrong, args)
	}
	require.Len(t, requests, 12)
}
