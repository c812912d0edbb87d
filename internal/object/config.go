package object

import (
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/object/sigv4"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// Style is where the name of a bucket stands in the address of an object.
type Style string

// The styles.
const (
	PathStyle   Style = "path"         // https://host/bucket/key, which every store understands
	VirtualHost Style = "virtual-host" // https://bucket.host/key
)

// Config says where objects are kept.
type Config struct {
	Location string // a folder, or s3://bucket or s3://bucket/prefix

	// Only for a bucket:
	Spool       string            // the folder of its spool
	Region      string            // us-east-1, if there is an Endpoint and no Region
	Endpoint    string            // https://host of the store; that of AWS, if empty
	Style       Style             // path, if there is an Endpoint, otherwise virtual-host
	Credentials sigv4.Credentials // see FromEnvironment
	Now         func() time.Time  // the clock that dates requests
}

// Open opens the store that a configuration speaks of. Of a bucket it only checks
// what is written: nothing is asked of the other side.
func Open(c Config) (Store, error) {
	location, isBucket := strings.CutPrefix(c.Location, "s3://")
	switch {
	case isBucket:
		return openBucket(c, location)
	case c.Location == "":
		return nil, misconfigured("location", "it is empty; name a folder, or s3://bucket/prefix")
	case strings.Contains(c.Location, "://"):
		return nil, misconfigured("location", "%q is neither a folder nor s3://bucket/prefix", c.Location)
	}
	return OpenFolder(c.Location)
}

// FromEnvironment takes credentials from the variables that every tool for S3 reads.
func FromEnvironment(variable func(name string) string) sigv4.Credentials {
	return sigv4.Credentials{
		AccessKey:    variable("AWS_ACCESS_KEY_ID"),
		SecretKey:    sigv4.Secret(variable("AWS_SECRET_ACCESS_KEY")),
		SessionToken: sigv4.Secret(variable("AWS_SESSION_TOKEN")),
	}
}

// Letters that stand for themselves in an address: so what is signed and what is sent
// cannot differ in how they are escaped.
var (
	bucketName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]|\.[a-z0-9])+[a-z0-9]$`)
	prefixName = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$`)
	regionName = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)
	accessKey  = regexp.MustCompile(`^[!-.0-~]{1,256}$`) // visible, without a slash
	oneLine    = regexp.MustCompile(`^[ -~]*$`)
)

const maxPrefix = 512 // bytes; a key has at most 1,024

// check reads the location of a bucket, fills in what is left out and refuses what
// cannot be.
func (c *Config) check(location string) (bucket, prefix string, endpoint *url.URL, err error) {
	bucket, prefix, more := strings.Cut(location, "/")
	prefix = strings.TrimSuffix(prefix, "/")
	if c.Region == "" && c.Endpoint != "" {
		c.Region = "us-east-1"
	}
	if c.Style == "" {
		c.Style = PathStyle
		if c.Endpoint == "" && !strings.Contains(bucket, ".") { // the certificate covers one label
			c.Style = VirtualHost
		}
	}
	keys := c.Credentials
	switch {
	case !bucketName.MatchString(bucket) || len(bucket) > 63:
		err = misconfigured("location", "%q is no name of a bucket: 3 to 63 of a-z, 0-9, - and .", bucket)
	case more && prefix != "" && (!prefixName.MatchString(prefix) || len(prefix) > maxPrefix):
		err = misconfigured("location", "%q is no prefix: names of A-Z, a-z, 0-9, -, _ and ., none of which begins with a dot, with / between them", prefix)
	case !regionName.MatchString(c.Region):
		err = misconfigured("region", "name the region of the bucket, such as eu-central-1")
	case c.Style != PathStyle && c.Style != VirtualHost:
		err = misconfigured("style", "it is %s or %s", PathStyle, VirtualHost)
	case c.Spool == "":
		err = misconfigured("spool", "name a folder for what is on its way to the bucket")
	case c.Now == nil:
		err = misconfigured("now", "there is no clock")
	case !accessKey.MatchString(keys.AccessKey) || keys.SecretKey == "" || !oneLine.MatchString(string(keys.SecretKey)+string(keys.SessionToken)):
		err = misconfigured("credentials", "give both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, each a line without its end")
	default:
		endpoint, err = c.endpoint()
	}
	return bucket, prefix, endpoint, err
}

func (c *Config) endpoint() (*url.URL, error) {
	text := c.Endpoint
	if text == "" {
		text = "https://s3." + c.Region + ".amazonaws.com"
	}
	parsed, err := url.Parse(text)
	if err != nil || (parsed.Scheme != "https" && parsed.Scheme != "http") || parsed.Hostname() == "" ||
		parsed.User != nil || strings.TrimSuffix(parsed.Path, "/") != "" || parsed.RawQuery != "" || parsed.Fragment != "" {
		// Not quoted: who put a password into it would find it in the log.
		return nil, misconfigured("endpoint", "it is https://host or https://host:port, and nothing else")
	}
	return &url.URL{Scheme: parsed.Scheme, Host: strings.ToLower(parsed.Host)}, nil
}

func misconfigured(field, format string, args ...any) error {
	return problem.New(problem.Invalid, "OBJECT_STORE_CONFIGURATION", "the object store: "+format, args...).On(field)
}
