package object

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/object/sigv4"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

func goodConfig(t *testing.T) Config {
	return Config{Location: "s3://evidence/files", Spool: t.TempDir(), Region: "eu-central-1", Now: func() time.Time { return fakeNow },
		Credentials: sigv4.Credentials{AccessKey: "AKID", SecretKey: "swordfish"}}
}

func TestWhereABucketIs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(c *Config)
		base   string
		prefix string
	}{
		"AWS":                       {func(*Config) {}, "https://evidence.s3.eu-central-1.amazonaws.com", "files/"},
		"AWS, with the path":        {func(c *Config) { c.Style = PathStyle }, "https://s3.eu-central-1.amazonaws.com/evidence", "files/"},
		"AWS, a dot in the name":    {func(c *Config) { c.Location = "s3://evi.dence" }, "https://s3.eu-central-1.amazonaws.com/evi.dence", ""},
		"another store":             {func(c *Config) { c.Endpoint, c.Region = "http://Store:9000/", "" }, "http://store:9000/evidence", "files/"},
		"another, with the host":    {func(c *Config) { c.Endpoint, c.Style = "https://store", VirtualHost }, "https://evidence.store", "files/"},
		"a prefix of several names": {func(c *Config) { c.Location = "s3://evidence/a/b_c/d.e/" }, "https://evidence.s3.eu-central-1.amazonaws.com", "a/b_c/d.e/"},
	} {
		config := goodConfig(t)
		c.change(&config)
		opened, err := Open(config)
		require.NoError(t, err, name)
		b := opened.(*Bucket)
		require.Equal(t, c.base, b.base.String(), name)
		require.Equal(t, c.prefix, b.prefix, name)
	}
}

func TestConfigurationsThatCannotBe(t *testing.T) {
	t.Parallel()
	for field, changes := range map[string][]func(c *Config){
		"location": {
			func(c *Config) { c.Location = "" },
			func(c *Config) { c.Location = "gs://evidence" },
			func(c *Config) { c.Location = "s3://" },
			func(c *Config) { c.Location = "s3://Evidence" },
			func(c *Config) { c.Location = "s3://e" },
			func(c *Config) { c.Location = "s3://a..b" },
			func(c *Config) { c.Location = "s3://-ab" },
			func(c *Config) { c.Location = "s3://" + strings.Repeat("a", 64) },
			func(c *Config) { c.Location = "s3://evidence/../other" },
			func(c *Config) { c.Location = "s3://evidence//files" },
			func(c *Config) { c.Location = "s3://evidence/a b" },
			func(c *Config) { c.Location = "s3://evidence/" + strings.Repeat("a", 513) },
		},
		"region": {
			func(c *Config) { c.Region = "" },
			func(c *Config) { c.Region = "eu/central" },
		},
		"style": {func(c *Config) { c.Style = "dns" }},
		"spool": {func(c *Config) { c.Spool = "" }},
		"now":   {func(c *Config) { c.Now = nil }},
		"credentials": {
			func(c *Config) { c.Credentials.AccessKey = "" },
			func(c *Config) { c.Credentials.AccessKey = "a/b" },
			func(c *Config) { c.Credentials.SecretKey = "" },
			func(c *Config) { c.Credentials.SecretKey = "swordfish\n" },
			func(c *Config) { c.Credentials.SessionToken = "swordfish\r\nX-Header: y" },
		},
		"endpoint": {
			func(c *Config) { c.Endpoint = "store:9000" },
			func(c *Config) { c.Endpoint = "ftp://store" },
			func(c *Config) { c.Endpoint = "https://" },
			func(c *Config) { c.Endpoint = "https://who:swordfish@store" },
			func(c *Config) { c.Endpoint = "https://store/path" },
			func(c *Config) { c.Endpoint = "https://store?x=swordfish" },
			func(c *Config) { c.Endpoint = "https://sto re" },
		},
	} {
		for _, change := range changes {
			config := goodConfig(t)
			change(&config)
			_, err := Open(config)
			requireCode(t, "OBJECT_STORE_CONFIGURATION", err)
			var typed *problem.Error
			require.ErrorAs(t, err, &typed)
			require.Equal(t, field, typed.Field, "%v", err)
			require.NotContains(t, err.Error(), "swordfish")
		}
	}
}

func TestFromEnvironment(t *testing.T) {
	t.Parallel()
	given := map[string]string{"AWS_ACCESS_KEY_ID": "who", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token"}
	require.Equal(t, sigv4.Credentials{AccessKey: "who", SecretKey: "secret", SessionToken: "token"},
		FromEnvironment(func(name string) string { return given[name] }))
}
