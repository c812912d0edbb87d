package account

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/org"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

const (
	maxFile     = 4 << 20
	maxAccounts = 10_000
	maxSecrets  = 2 // the one that goes and the one that comes

	defaultTTL = time.Hour
	minTTL     = 10 * time.Second
	maxTTL     = 24 * time.Hour
)

// idForm is that of an account: it stands in headers and logs.
var idForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,127}$`)

// Account is one that may get tokens.
type Account struct {
	ID            string
	Role          access.Role
	Scopes        []access.Scope
	Organizations []string // empty: all
	TTL           time.Duration
	Attributes    access.Attributes // the values that it may ask for
	Delegates     []string          // who may act on its behalf

	secrets []hash
}

// Load reads a file.
func Load(path string) ([]*Account, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, problem.New(problem.Invalid, "SERVICE_ACCOUNTS_UNREADABLE", "the file of --service-accounts cannot be read: %s", err).Because(err)
	}
	defer func() { _ = file.Close() }() // it was read
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, problem.New(problem.Invalid, "SERVICE_ACCOUNTS_UNREADABLE", "the file of --service-accounts cannot be read: %s", err).Because(err)
	}
	return Parse(path, content)
}

// Mistakes are those of a file, in the order of its lines. They are the cause of the
// error that has them all.
type Mistakes []*problem.Error

// Error is the first of them.
func (m Mistakes) Error() string { return m[0].Error() }

const codeInvalid = "SERVICE_ACCOUNTS_INVALID"

// mistake is one in the file.
type mistake struct {
	line   int
	path   string
	advice string
}

// parser reads a file as far as it can, and notes what is wrong on the way.
type parser struct {
	mistakes []mistake
	lines    map[string]int // of ids
}

// Parse reads accounts. The error has all mistakes, a line each.
func Parse(name string, content []byte) ([]*Account, error) {
	p := &parser{lines: map[string]int{}}
	accounts := p.file(content)
	if len(p.mistakes) == 0 {
		return accounts, nil
	}
	slices.SortStableFunc(p.mistakes, func(a, b mistake) int { return cmp.Compare(a.line, b.line) })
	lines := make([]string, len(p.mistakes))
	all := make(Mistakes, len(p.mistakes))
	for i, m := range p.mistakes {
		all[i] = problem.New(problem.Invalid, codeInvalid, "%s: %s", m.path, m.advice).On(m.path).At(name, m.line)
		lines[i] = all[i].Error()
	}
	first := p.mistakes[0].path
	return nil, problem.New(problem.Invalid, codeInvalid, "the service accounts have mistakes:\n%s", strings.Join(lines, "\n")).On(first).Because(all)
}

func (p *parser) wrong(node *yaml.Node, path, format string, args ...any) {
	p.mistakes = append(p.mistakes, mistake{line: node.Line, path: path, advice: fmt.Sprintf(format, args...)})
}

func (p *parser) file(content []byte) []*Account {
	start := &yaml.Node{Line: 1}
	if len(content) > maxFile {
		p.wrong(start, "accounts", "the file has more than %d bytes", maxFile)
		return nil
	}
	var document, more yaml.Node
	decoder := yaml.NewDecoder(strings.NewReader(string(content)))
	if err := decoder.Decode(&document); err != nil {
		p.wrong(start, "accounts", "the file is no YAML with a list `accounts`: %s", err)
		return nil
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		p.wrong(start, "accounts", "the file has more than one document; put all accounts into one")
	}
	var accounts []*Account
	p.mapping(document.Content[0], "", map[string]func(*yaml.Node, string){
		"accounts": func(node *yaml.Node, path string) {
			p.list(node, path, 1, maxAccounts, func(item *yaml.Node, path string) { accounts = append(accounts, p.account(item, path)) })
		},
	}, "accounts")
	return accounts
}

func (p *parser) account(node *yaml.Node, path string) *Account {
	a := &Account{Role: access.Client, TTL: defaultTTL}
	p.mapping(node, path, map[string]func(*yaml.Node, string){
		"id": func(node *yaml.Node, path string) { a.ID = p.id(node, path) },
		"secret": func(node *yaml.Node, path string) {
			if node.Kind == yaml.SequenceNode {
				p.list(node, path, 1, maxSecrets, func(item *yaml.Node, path string) { p.secret(a, item, path) })
				return
			}
			p.secret(a, node, path)
		},
		"role": func(node *yaml.Node, path string) {
			text, ok := p.text(node, path)
			if a.Role = access.Role(text); ok && !slices.Contains(access.Roles, a.Role) {
				p.wrong(node, path, "there is no role %q; give client or admin", text)
			}
		},
		"scopes": func(node *yaml.Node, path string) {
			a.Scopes = distinct(p, node, path, len(access.Scopes), func(text string) (access.Scope, error) {
				if !slices.Contains(access.Scopes, access.Scope(text)) {
					return "", fmt.Errorf("there is no scope %q; give vuln:view, vuln:investigate, vuln:operate, vuln:audit or vuln:approve", text)
				}
				return access.Scope(text), nil
			})
		},
		"organizations": func(node *yaml.Node, path string) {
			if node.Kind == yaml.ScalarNode && node.Value == "all" {
				return
			}
			if node.Kind == yaml.ScalarNode {
				p.wrong(node, path, "give a list of slugs, or the word all")
				return
			}
			a.Organizations = distinct(p, node, path, 200, func(text string) (string, error) { return text, org.CheckSlug(text) })
		},
		"ttl": func(node *yaml.Node, path string) {
			text, ok := p.text(node, path)
			ttl, err := time.ParseDuration(text)
			if a.TTL = ttl; ok && (err != nil || ttl < minTTL || ttl > maxTTL || ttl%time.Second != 0) {
				p.wrong(node, path, "%q is no time to live; give whole seconds from 10s to 24h, such as 15m", text)
			}
		},
		"attributes": func(node *yaml.Node, path string) { p.attributes(a, node, path) },
		"delegates": func(node *yaml.Node, path string) {
			a.Delegates = distinct(p, node, path, 1000, func(text string) (string, error) {
				if text == "" || len(text) > 256 || strings.ContainsAny(text, " \t\r\n\x00") {
					return "", fmt.Errorf("%.80q is no name of a delegate; give 1 to 256 bytes without white space", text)
				}
				return text, nil
			})
		},
	}, "id", "secret", "scopes", "organizations")
	return a
}

func (p *parser) id(node *yaml.Node, path string) string {
	text, ok := p.text(node, path)
	if !ok {
		return ""
	}
	if !idForm.MatchString(text) {
		p.wrong(node, path, "%.80q is no id of an account; give 1 to 128 letters, digits and . _ @ -, beginning with a letter or a digit", text)
		return text
	}
	if line, taken := p.lines[text]; taken {
		p.wrong(node, path, "the account %s is in line %d already; give each an id of its own", text, line)
	}
	p.lines[text] = node.Line
	return text
}

func (p *parser) secret(a *Account, node *yaml.Node, path string) {
	// What is a number for YAML is not repeated either: see parseHash.
	if node.Kind == yaml.ScalarNode && node.Tag != "!!null" {
		node.Tag = "!!str"
	}
	text, ok := p.text(node, path)
	if !ok {
		return
	}
	h, err := parseHash(text)
	if err != nil {
		p.wrong(node, path, "%s", err)
	}
	a.secrets = append(a.secrets, h)
}

func (p *parser) attributes(a *Account, node *yaml.Node, path string) {
	each := map[string]func(*yaml.Node, string){}
	for _, name := range access.AttributeNames {
		each[name] = func(node *yaml.Node, path string) {
			*a.Attributes.Of(name) = distinct(p, node, path, 64, func(text string) (string, error) { return text, access.CheckAttribute(name, text) })
		}
	}
	p.mapping(node, path, each)
}

// mapping reads the members of a mapping, of which some are needed.
func (p *parser) mapping(node *yaml.Node, path string, members map[string]func(*yaml.Node, string), needed ...string) {
	if node.Kind != yaml.MappingNode {
		p.wrong(node, orFile(path), "a mapping is expected, with %s", names(members))
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		below := strings.TrimPrefix(path+"."+key.Value, ".")
		read, known := members[key.Value]
		switch {
		case !known:
			p.wrong(key, orFile(path), "there is no %.80q; known are %s", key.Value, names(members))
		case seen[key.Value]:
			p.wrong(key, below, "it is given twice; give it once")
		default:
			read(value, below)
		}
		seen[key.Value] = true
	}
	for _, name := range needed {
		if !seen[name] {
			p.wrong(node, orFile(path), "%s is missing", name)
		}
	}
}

func orFile(path string) string {
	if path == "" {
		return "the file"
	}
	return path
}

func names(members map[string]func(*yaml.Node, string)) string {
	list := make([]string, 0, len(members))
	for name := range members {
		list = append(list, name)
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

func (p *parser) list(node *yaml.Node, path string, least, most int, read func(*yaml.Node, string)) {
	switch {
	case node.Kind != yaml.SequenceNode:
		p.wrong(node, path, "a list is expected, such as [a, b]")
	case len(node.Content) < least || len(node.Content) > most:
		p.wrong(node, path, "it has %d members; give %d to %d, or leave it out if nothing is meant", len(node.Content), least, most)
	default:
		for i, item := range node.Content {
			read(item, fmt.Sprintf("%s[%d]", path, i))
		}
	}
}

// text reads a text. A number or a yes is none until it is quoted, lest it is another
// text than was written.
func (p *parser) text(node *yaml.Node, path string) (string, bool) {
	switch {
	case node.Kind == yaml.AliasNode:
		p.wrong(node, path, "write it out: aliases are not followed")
	case node.Kind != yaml.ScalarNode || node.Tag == "!!null":
		p.wrong(node, path, "a text is expected")
	case node.Tag != "!!str":
		p.wrong(node, path, "%.80q is no text in YAML; put it in quotes", node.Value)
	default:
		return node.Value, true
	}
	return "", false
}

// distinct reads a list of texts, each of which is there once.
func distinct[T ~string](p *parser, node *yaml.Node, path string, most int, check func(string) (T, error)) (all []T) {
	p.list(node, path, 1, most, func(item *yaml.Node, path string) {
		text, ok := p.text(item, path)
		if !ok {
			return
		}
		value, err := check(text)
		switch {
		case err != nil:
			p.wrong(item, path, "%s", err)
		case slices.Contains(all, value):
			p.wrong(item, path, "%q is given twice; give it once", text)
		default:
			all = append(all, value)
		}
	})
	return all
}
