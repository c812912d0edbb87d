package awsiam

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// statement is one statement of a policy. Of each pair of lists one is filled.
type statement struct {
	at                      record.Position
	sid                     string
	number                  int // counted from 1
	deny                    bool
	actions, notActions     []string
	resources, notResources []string
	conditional             bool
	principals              []trusted
	notPrincipals           bool

	lower     []string // actions or notActions, whose letters' case means nothing
	general   []string // resources or notResources with a star in the place of each variable
	variables []bool   // which of them had one
}

// trusted is a principal that a trust policy names.
type trusted struct {
	kind string // AWS, Service, Federated, CanonicalUser
	name string
}

// title is the id of the statement, or its place where it has none.
func (s *statement) title() string {
	if s.sid != "" {
		return quoted(s.sid)
	}
	return strconv.Itoa(s.number)
}

// Bounds of one policy. AWS has none that comes near.
const (
	maxStatements = 10_000
	maxPairs      = 50_000 // of actions and resources
)

// readPolicyDocument reads the statements of a policy. The document may be an
// object, or a text with its JSON, percent-encoded or not, as the API answers.
func readPolicyDocument(file string, document value, trust bool) ([]statement, *shapeError) {
	if !document.present() {
		return nil, &shapeError{line: document.line, path: document.path, reason: "is missing"}
	}
	root := document.node
	if document.is(textNode) {
		parsed, fault := unpack(document)
		if fault != nil {
			return nil, fault
		}
		root = parsed
	}
	if fault := sound(root, document.path, nil); fault != nil {
		return nil, fault
	}
	doc, check := open(root)
	doc.path = document.path
	items := doc.get("Statement")
	var statements []statement
	if !items.present() {
		items.fail("is missing")
	}
	pairs := 0
	for n, item := range items.some() {
		if n == maxStatements {
			items.fail("has more than %d statements", maxStatements)
			break
		}
		s := readStatement(file, item, trust)
		s.number = n + 1
		pairs += max(len(s.actions), 1) * max(len(s.resources), 1)
		if pairs > maxPairs {
			items.fail("multiplies to more than %d pairs of action and resource", maxPairs)
			break
		}
		statements = append(statements, s)
	}
	if check.err != nil {
		return nil, check.err
	}
	return statements, nil
}

// unpack reads a document that stands in a text. Its parts have the line of the
// text, because they have none of their own.
func unpack(document value) (*node, *shapeError) {
	fault := func(reason string) *shapeError {
		return &shapeError{line: document.line, path: document.path, reason: reason}
	}
	text := strings.TrimSpace(document.node.text)
	if !strings.HasPrefix(text, "{") {
		decoded, err := url.PathUnescape(text)
		if err != nil {
			return nil, fault("is a text and no policy")
		}
		text = decoded
	}
	if notText([]byte(text)) > 0 {
		return nil, fault("holds bytes that are not UTF-8")
	}
	values := newReader([]byte(text), document.line)
	root, syntax := values.next()
	if syntax != nil {
		return nil, fault("is no policy: " + strings.TrimSuffix(syntax.reason, "."))
	}
	if root == nil {
		return nil, fault("is empty")
	}
	if more, syntax := values.next(); more != nil || syntax != nil {
		return nil, fault("is followed by more text")
	}
	return root, nil
}

func readStatement(file string, item value, trust bool) statement {
	s := statement{at: record.Position{File: file, Line: item.line}, sid: item.get("Sid").text()}
	switch effect := item.get("Effect"); effect.text() {
	case "Allow":
	case "Deny":
		s.deny = true
	default:
		effect.fail("must be Allow or Deny")
	}
	s.actions, s.notActions = oneOf(item, "Action", "NotAction", action)
	if trust {
		s.principals, s.notPrincipals = readPrincipals(item)
	} else {
		s.resources, s.notResources = oneOf(item, "Resource", "NotResource", pattern)
	}
	s.conditional = len(item.get("Condition").fields()) > 0
	for _, one := range append(s.actions, s.notActions...) {
		s.lower = append(s.lower, strings.ToLower(one))
	}
	for _, one := range append(s.resources, s.notResources...) {
		general, variable := generalise(one)
		s.general = append(s.general, general)
		s.variables = append(s.variables, variable)
	}
	return s
}

// oneOf reads a list or its negative, of which a statement has one.
func oneOf(item value, key, negative string, clean func(value)) (list, not []string) {
	is, isNot := item.get(key), item.get(negative)
	switch {
	case is.present() && isNot.present():
		isNot.fail("stands beside %s", key)
	case !is.present() && !isNot.present():
		is.fail("is missing")
	}
	for _, one := range append(is.some(), isNot.some()...) {
		clean(one)
	}
	return is.texts(), isNot.texts()
}

// action checks an action: a service and a name, or a star.
func action(v value) {
	text := v.name()
	service, name, found := strings.Cut(text, ":")
	if strings.Trim(text, "*") != "" && (!found || service == "" || name == "") {
		v.fail("%s is no action", quoted(text))
	}
}

func pattern(v value) { v.name() }

func readPrincipals(item value) (principals []trusted, negative bool) {
	is, isNot := item.get("Principal"), item.get("NotPrincipal")
	switch {
	case is.present() && isNot.present():
		isNot.fail("stands beside Principal")
	case isNot.present():
		return nil, true
	case !is.present():
		is.fail("is missing")
	case is.is(textNode):
		if is.text() != anything {
			is.fail("must be * or an object")
		}
		return []trusted{{kind: "AWS", name: anything}}, false
	}
	for _, kind := range is.fields() {
		for _, one := range kind.some() {
			principals = append(principals, trusted{kind: kind.key, name: one.name()})
		}
	}
	return principals, false
}

// service is the service of an action, a pattern like the action itself.
func service(action string) string {
	name, _, found := strings.Cut(action, ":")
	if !found {
		return anything
	}
	return strings.ToLower(name)
}
