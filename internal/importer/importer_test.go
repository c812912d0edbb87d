package importer_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/importer"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/record/recordtest"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

const (
	deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\n" +
		"spec: {selector: {}, template: {spec: {serviceAccountName: web, containers: [{name: web, image: web}]}}}\n"
	account = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web, namespace: shop}\n"

	header  = `{"kind":"header","format":"exposuregraph-snapshot","version":1`
	trailer = `{"kind":"trailer","records":0,"counts":{}}` + "\n"
)

// syncer keeps what it is given.
type syncer struct {
	recordtest.Collector

	called  bool
	request authority.SyncRequest
}

func (s *syncer) Sync(_ context.Context, request authority.SyncRequest, feed func(record.Emitter) error) (*authority.SyncReport, error) {
	s.called, s.request = true, request
	if err := feed(s); err != nil {
		return nil, err
	}
	return &authority.SyncReport{Format: request.Format}, nil
}

func (s *syncer) workloads() (names []string) {
	for _, r := range s.Records {
		if entity, ok := r.Fact.(record.Entity); ok && entity.Kind == record.Workload {
			names = append(names, entity.SourceID)
		}
	}
	return names
}

func files(contents ...string) iter.Seq2[importer.File, error] {
	return func(yield func(importer.File, error) bool) {
		for _, content := range contents {
			if !yield(importer.File{Name: "in", Content: strings.NewReader(content)}, nil) {
				return
			}
		}
	}
}

func run(t *testing.T, request importer.Request) (*syncer, error) {
	t.Helper()
	request.Organization = "acme"
	ctx := access.With(t.Context(), access.Actor{Subject: "ada", Role: access.Client, Scopes: []access.Scope{access.Operate}, Organizations: []string{"acme"}})
	var fake syncer
	_, err := importer.New(&fake, func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }).Run(ctx, request)
	return &fake, err
}

func code(t *testing.T, err error) string {
	t.Helper()
	var typed *problem.Error
	require.ErrorAs(t, err, &typed)
	return typed.Code
}

func TestRunKubernetes(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"kubernetes", "auto", ""} {
		request := importer.Request{Files: files(deployment, account)}
		request.Format = format
		got, err := run(t, request)
		require.NoError(t, err, format)
		require.Equal(t, "kubernetes", got.request.Format, "the sync knows the format that was detected")
		require.Equal(t, []string{"Deployment/shop/web"}, got.workloads())
	}
}

func TestRunKubernetesWithOwners(t *testing.T) {
	t.Parallel()
	owners := func(content string) *importer.File {
		return &importer.File{Name: "owners.yaml", Content: strings.NewReader(content)}
	}
	request := importer.Request{Files: files(deployment, account), Owners: owners("owners: [{id: ada}]\nworkloads: [{workload: '*/shop/*', owners: [ada]}]\n")}
	request.Format = "kubernetes"
	got, err := run(t, request)
	require.NoError(t, err)
	owned := false
	for _, r := range got.Records {
		edge, ok := r.Fact.(record.Edge)
		owned = owned || ok && edge.Kind == record.OwnedBy && edge.From.SourceID == "Deployment/shop/web" && edge.To.SourceID == "ada"
	}
	require.True(t, owned, "owners apply to the workloads of the manifests")

	request = importer.Request{Files: files(deployment, account), Owners: owners("nonsense: [")}
	request.Format = "kubernetes"
	got, err = run(t, request)
	require.Equal(t, problem.Invalid, problem.KindOf(err))
	require.False(t, got.called, "a broken owners file costs no upload")

	request = importer.Request{Files: files(deployment), Policy: &importer.File{Name: "policy.yaml", Content: strings.NewReader("nonsense: [")}}
	request.Format = "kubernetes"
	got, err = run(t, request)
	require.Equal(t, problem.Invalid, problem.KindOf(err))
	require.False(t, got.called)
}

func TestRunSnapshot(t *testing.T) {
	t.Parallel()
	flags := authority.SyncRequest{Source: "mine", System: "here", ObservedAt: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)}
	partly := flags
	partly.Partial = true
	for name, test := range map[string]struct {
		flags    authority.SyncRequest
		header   string
		want     authority.SyncRequest
		warnings int
	}{
		"only the import says": {flags: flags, want: flags},
		"only the header says": {
			header: `,"source":"theirs","system":"there","observedAt":"2025-06-01T00:00:00Z","partial":true`,
			want:   authority.SyncRequest{Source: "theirs", System: "there", ObservedAt: time.Date(2025, 6, 1, 0, 0, 0, 0, time.UTC), Partial: true},
		},
		"the import decides": {
			flags:    flags,
			header:   `,"source":"theirs","system":"there","observedAt":"2025-06-01T00:00:00Z","partial":true`,
			want:     partly,
			warnings: 3,
		},
		"both say the same": {flags: flags, header: `,"source":"mine","system":"here","observedAt":"2025-01-01T00:00:00Z"`, want: flags},
	} {
		for _, format := range []string{"snapshot", "auto"} {
			request := importer.Request{SyncRequest: test.flags, Files: files(header + test.header + "}\n" + trailer)}
			request.Format = format
			got, err := run(t, request)
			require.NoError(t, err, name)
			test.want.Organization, test.want.Format = "acme", "snapshot"
			require.Equal(t, test.want, got.request, name)
			require.Len(t, got.Warnings, test.warnings, name)
		}
	}
}

func TestRunSnapshotRefuses(t *testing.T) {
	t.Parallel()
	whole := header + "}\n" + trailer
	for name, test := range map[string]struct {
		code  string
		files iter.Seq2[importer.File, error]
	}{
		"two files":  {"ONE_FILE_ONLY", files(whole, whole)},
		"no file":    {"FILE_MISSING", files()},
		"nil files":  {"FILE_MISSING", nil},
		"no trailer": {"SNAPSHOT_TRAILER_MISSING", files(header + "}\n")},
		"no header":  {"SNAPSHOT_HEADER_MISSING", files(trailer)},
	} {
		request := importer.Request{Files: test.files}
		request.Format = "snapshot"
		_, err := run(t, request)
		require.Equal(t, test.code, code(t, err), name)
	}
}

// TestUploadBreaksOff holds that an error after the last record is an error of
// the import, whatever the format.
func TestUploadBreaksOff(t *testing.T) {
	t.Parallel()
	cut := errors.New("cut off")
	for format, content := range map[string]string{"kubernetes": deployment, "snapshot": header + "}\n" + trailer, "auto": deployment} {
		request := importer.Request{Files: func(yield func(importer.File, error) bool) {
			if yield(importer.File{Name: "in", Content: strings.NewReader(content)}, nil) {
				yield(importer.File{}, cut)
			}
		}}
		request.Format = format
		_, err := run(t, request)
		require.ErrorIs(t, err, cut, format)

		request.Files = func(yield func(importer.File, error) bool) {
			yield(importer.File{Name: "in", Content: io.MultiReader(strings.NewReader(content), iotest.ErrReader(cut))}, nil)
		}
		_, err = run(t, request)
		require.ErrorIs(t, err, cut, format)
	}
}

func TestRunRefuses(t *testing.T) {
	t.Parallel()
	side := &importer.File{Name: "side", Content: strings.NewReader("")}
	for name, test := range map[string]struct {
		code, field string
		request     importer.Request
		format      string
	}{
		"unknown format":      {code: "FORMAT_UNKNOWN", field: "format", format: "nessus"},
		"undetectable":        {code: "FORMAT_UNDETECTED", field: "format", format: "auto", request: importer.Request{Files: files("hello")}},
		"auto of nothing":     {code: "FILE_MISSING", field: "file", format: "auto", request: importer.Request{Files: files()}},
		"namespace":           {code: "OPTION_UNSUPPORTED", field: "namespace", format: "snapshot", request: importer.Request{Namespace: "shop"}},
		"owners":              {code: "OPTION_UNSUPPORTED", field: "owners", format: "snapshot", request: importer.Request{Owners: side}},
		"policy":              {code: "OPTION_UNSUPPORTED", field: "policy", format: "snapshot", request: importer.Request{Policy: side}},
		"a strange namespace": {code: "NAMESPACE_INVALID", field: "namespace", format: "kubernetes", request: importer.Request{Namespace: "Shop!", Files: files(deployment)}},
	} {
		if test.request.Files == nil {
			test.request.Files = files("")
		}
		test.request.Format = test.format
		_, err := run(t, test.request)
		require.Equal(t, test.code, code(t, err), name)
		var typed *problem.Error
		require.ErrorAs(t, err, &typed)
		require.Equal(t, test.field, typed.Field, name)
	}
	require.ErrorContains(t, func() error {
		_, err := run(t, importer.Request{Files: files("x"), SyncRequest: authority.SyncRequest{Format: "x"}})
		return err
	}(),
		"owners, snapshot, sslyze", "the message lists the formats")
}

// TestAccessComesFirst gives files that must not be touched.
func TestAccessComesFirst(t *testing.T) {
	t.Parallel()
	service := importer.New(&syncer{}, time.Now)
	untouched := func(func(importer.File, error) bool) { t.Error("the files were read") }
	request := importer.Request{Files: untouched}
	request.Organization = "acme"
	_, err := service.Run(t.Context(), request)
	require.Equal(t, problem.Unauthentic, problem.KindOf(err))
	_, err = service.Run(access.With(t.Context(), access.Actor{Scopes: []access.Scope{access.View}, Organizations: []string{"acme"}}), request)
	require.Equal(t, problem.Denied, problem.KindOf(err))
	_, err = service.Run(access.With(t.Context(), access.Actor{Scopes: access.Scopes, Organizations: []string{"other"}}), request)
	require.Equal(t, problem.NotFound, problem.KindOf(err))
}

func TestDetect(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ head, want string }{
		"a manifest":               {deployment, "kubernetes"},
		"with comments before":     {strings.Repeat("# Copyright\n", 500) + "---\n" + deployment, "kubernetes"},
		"in JSON":                  {`{"kind":"List","apiVersion":"v1","items":[`, "kubernetes"},
		"in indented JSON":         {"{\n  \"apiVersion\": \"v1\",\n  \"kind\": \"Pod\"\n}", "kubernetes"},
		"with a byte order mark":   {"\ufeff" + account, "kubernetes"},
		"a snapshot":               {header + "}\n", "snapshot"},
		"a snapshot, keys in turn": {`{"version":1,"format":"exposuregraph-snapshot","kind":"header"}`, "snapshot"},
		"a snapshot with a mark":   {"\ufeff\n" + header + "}\n", "snapshot"},
		"nothing":                  {"", ""},
		"text":                     {"hello\n", ""},
		"SARIF":                    {`{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"x"}}}]}`, ""},
		"CycloneDX":                {`{"bomFormat":"CycloneDX","specVersion":"1.5"}`, ""},
		"XML":                      {`<?xml version="1.0"?><bom>`, ""},
		"words in prose":           {"the apiVersion and the kind: both are named\n", ""},
		"binary":                   {"\x00\x01\x02\xff", ""},
	} {
		got, err := importer.Detect([]byte(test.head))
		require.Equal(t, test.want, got, name)
		require.Equal(t, test.want == "", err != nil, name)
	}
}

func TestFormats(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"aws-iam", "cloudtrail", "httpx", "kubernetes", "kubernetes-audit", "masscan", "naabu", "nmap", "owners", "snapshot",
		"sslyze", "subfinder", "testssl", "zap"}, importer.Formats())
	require.Equal(t, []string{".yaml", ".yml", ".json"}, importer.Endings("kubernetes"))
	require.Equal(t, importer.Endings("kubernetes"), importer.Endings(importer.Auto))
	require.Equal(t, []string{".xml", ".json", ".jsonl", ".csv"}, importer.Endings("zap"))
}
