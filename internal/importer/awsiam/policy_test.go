package awsiam

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/record/recordtest"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

func TestClassify(t *testing.T) {
	t.Parallel()
	p, err := defaultPolicy()
	require.NoError(t, err)
	for _, c := range []struct {
		service, pattern string
		want             Class
	}{
		{"*", "*", Class{"identity_platform", "restricted"}}, // everything is as sensitive as the most sensitive of it
		{"iam", "*", Class{"identity_platform", "restricted"}},
		{"secretsmanager", "arn:aws:secretsmanager:*:*:secret:x", Class{"secrets", "restricted"}},
		{"s3", "*", Class{"storage", "confidential"}},
		{"s3", "arn:aws:s3:::b/${aws:username}", Class{"storage", "confidential"}},
		{"ssm", "arn:aws:ssm:eu-west-1:1:parameter/x", Class{"secrets", "confidential"}},
		{"ssm", "arn:aws:ssm:eu-west-1:1:document/x", Class{"compute", "confidential"}},
		{"logs", "*", Class{"observability", "internal"}},
		{"nothing-known", "*", Class{"cloud_service", "internal"}},
	} {
		require.Equal(t, c.want, p.Classify(c.service, c.pattern), "%s %s", c.service, c.pattern)
	}
}

func TestLoadPolicy(t *testing.T) {
	t.Parallel()
	const table = "environmentTags: [Stage]\nrules:\n- {services: [S3], resources: ['arn:aws:s3:::pay*'], dataDomain: finance, sensitivity: restricted}\n" +
		"default: {dataDomain: other, sensitivity: public}\n"
	p, err := LoadPolicy(strings.NewReader(table), "mine.yaml")
	require.NoError(t, err)
	require.Equal(t, Class{"finance", "restricted"}, p.Classify("s3", "arn:aws:s3:::payroll"))
	require.Equal(t, Class{"other", "public"}, p.Classify("s3", "arn:aws:s3:::menu"))
	require.Equal(t, Class{"finance", "restricted"}, p.Classify("s3", "*"))
	var got recordtest.Collector
	require.NoError(t, Parse(texts(account{roles: [][2]string{{"r", `,"Tags":[{"Key":"stage","Value":"test"},{"Key":"team","Value":"x"}]`}}}.dump()), Options{Policy: p}, &got))
	r := got.Entities(record.Identity)[iam+"role/r"]
	require.Equal(t, "test", r.Environment)
	require.Empty(t, r.OwnerTeam, "the table names no tag for it")

	for text, code := range map[string]string{
		"": "POLICY_EMPTY", "[": "POLICY_NOT_YAML", "rules: []\n": "POLICY_INVALID", "nonsense: 1\n": "POLICY_INVALID",
		table + "---\na: b\n": "POLICY_INVALID", "default: {dataDomain: a, sensitivity: huge}\n": "POLICY_INVALID",
	} {
		_, err := LoadPolicy(strings.NewReader(text), "mine.yaml")
		var fault *problem.Error
		require.ErrorAs(t, err, &fault, text)
		require.Equal(t, code, fault.Code, text)
	}
}

// TestDocumented holds that the page of the format explains every code that a
// reader may meet.
func TestDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/formats/aws-iam.md")
	require.NoError(t, err)
	sources, err := filepath.Glob("*.go")
	require.NoError(t, err)
	code := regexp.MustCompile(`"(_?[A-Z]+(?:_[A-Z]+)*)"`)
	elsewhere := []string{"AWS", "POLICY", "POLICY_EMPTY", "POLICY_INVALID", "SERVICE_CONTROL_POLICY", "ARN"}
	found := 0
	for _, source := range append(sources, "../awsiam.go") {
		if strings.HasSuffix(source, "_test.go") {
			continue
		}
		content, err := os.ReadFile(source)
		require.NoError(t, err)
		for _, match := range code.FindAllStringSubmatch(string(content), -1) {
			if slices.Contains(elsewhere, match[1]) {
				continue
			}
			found++
			whole := "AWS_" + strings.TrimPrefix(match[1], "_")
			require.True(t, strings.Contains(string(page), "`"+match[1]+"`") || strings.Contains(string(page), "`"+whole+"`"), "%s in %s", match[1], source)
		}
	}
	require.Greater(t, found, 40)
}
