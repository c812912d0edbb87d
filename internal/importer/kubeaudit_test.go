package importer_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/importer"
)

// TestRunKubeAudit: a log is partial and about the cluster of the manifests,
// without being told; a name that is given holds.
func TestRunKubeAudit(t *testing.T) {
	t.Parallel()
	at := time.Date(2025, 12, 31, 0, 0, 0, 0, time.UTC)
	log := call("1", "system:serviceaccount:shop:web", "get", at, 200)
	for _, test := range []struct{ given, want authority.SyncRequest }{
		{want: authority.SyncRequest{System: "kubernetes", Partial: true}},
		{given: authority.SyncRequest{System: "prod", Source: "apiserver-1", Partial: true, Strict: true, ObservedAt: at},
			want: authority.SyncRequest{System: "prod", Source: "apiserver-1", Partial: true, Strict: true, ObservedAt: at}},
	} {
		for _, format := range []string{"kubernetes-audit", "auto"} {
			request := importer.Request{SyncRequest: test.given, Files: files(log, log)}
			request.Format = format
			got, err := run(t, request)
			require.NoError(t, err)
			test.want.Organization, test.want.Format = "acme", "kubernetes-audit"
			require.Equal(t, test.want, got.request)
			require.Len(t, got.Records, 3, "the account, one evidence, its coverage: both files are one log")
			require.Empty(t, got.Rejections)
			require.Empty(t, got.Warnings)
		}
	}
}

func TestRunKubeAuditRefuses(t *testing.T) {
	t.Parallel()
	log := call("1", "system:serviceaccount:shop:web", "get", time.Date(2025, 12, 31, 0, 0, 0, 0, time.UTC), 200)
	side := &importer.File{Name: "side", Content: strings.NewReader("")}
	for name, test := range map[string]struct {
		request importer.Request
		code    string
	}{
		"a namespace":   {importer.Request{Namespace: "shop", Files: files(log)}, "OPTION_UNSUPPORTED"},
		"owners":        {importer.Request{Owners: side, Files: files(log)}, "OPTION_UNSUPPORTED"},
		"a policy":      {importer.Request{Policy: side, Files: files(log)}, "OPTION_UNSUPPORTED"},
		"no files":      {importer.Request{}, "FILE_MISSING"},
		"nothing":       {importer.Request{Files: files("")}, "AUDIT_EMPTY"},
		"nested lists":  {importer.Request{Files: files(strings.Repeat("[", 1<<20))}, "AUDIT_NOT_JSON"},
		"a broken list": {importer.Request{Files: files(`{"kind":"EventList","items":[` + log + `,{"auditID`)}, "AUDIT_TRUNCATED"},
	} {
		test.request.Format = "kubernetes-audit"
		_, err := run(t, test.request)
		require.Equal(t, test.code, code(t, err), name)
	}

	// An upload that breaks off is not applied, wherever that happens.
	cut := errors.New("cut off")
	for name, broken := range map[string]func(func(importer.File, error) bool){
		"between files": func(yield func(importer.File, error) bool) {
			if yield(importer.File{Name: "in", Content: strings.NewReader(log)}, nil) {
				yield(importer.File{}, cut)
			}
		},
		"in a file": func(yield func(importer.File, error) bool) {
			yield(importer.File{Name: "in", Content: io.MultiReader(strings.NewReader(log), iotest.ErrReader(cut))}, nil)
		},
	} {
		request := importer.Request{Files: broken}
		request.Format = "kubernetes-audit"
		_, err := run(t, request)
		require.ErrorIs(t, err, cut, name)
	}
}

// TestKubeAuditHostile: what is no event is rejected by its line, and its
// neighbours count.
func TestKubeAuditHostile(t *testing.T) {
	t.Parallel()
	const web = "system:serviceaccount:shop:web"
	at := time.Date(2025, 12, 31, 0, 0, 0, 0, time.UTC)
	good := call("1", web, "get", at, 200)
	for name, test := range map[string]struct{ line, code string }{
		"a NUL":              {"\x00", "NOT_JSON"},
		"a NUL in a verb":    {strings.Replace(strings.TrimSpace(good), `"get"`, `"g\u0000t"`, 1), "ILLEGAL_VALUE"},
		"a line cut off":     {good[:len(good)/2], "NOT_JSON"},
		"a bracket too many": {strings.TrimSpace(good) + "}", "NOT_JSON"},
		"nested lists":       {`{"auditID":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + "}", "NOT_JSON"},
		"a nested id":        {`{"auditID":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + "}", "WRONG_TYPE"},
		"a huge id":          {strings.TrimSpace(call(strings.Repeat("a", 1<<20), web, "get", at, 200)), "ILLEGAL_VALUE"},
		"half a pair":        {strings.Replace(strings.TrimSpace(good), `"get"`, `"g\ud800t"`, 1), "ILLEGAL_VALUE"},
		"bytes of no text":   {strings.Replace(strings.TrimSpace(good), `"get"`, "\"g\xfft\"", 1), "ILLEGAL_VALUE"},
		"no time":            {strings.NewReplacer("requestReceivedTimestamp", "x", "stageTimestamp", "y").Replace(strings.TrimSpace(good)), "MISSING_FIELD"},
		"a number":           {"1", "NOT_AN_EVENT"},
	} {
		request := importer.Request{Files: files(good + test.line + "\n" + call("9", web, "get", at, 200))}
		request.Format = "kubernetes-audit"
		got, err := run(t, request)
		require.NoError(t, err, name)
		require.Len(t, got.Rejections, 1, name)
		require.Equal(t, test.code, got.Rejections[0].Code, "%s: %s", name, got.Rejections[0].Reason)
		require.Equal(t, 2, got.Rejections[0].Line, name)
		require.Less(t, len(got.Rejections[0].Reason), 1000, name)
		require.Len(t, got.Records, 3, name)
	}
}
