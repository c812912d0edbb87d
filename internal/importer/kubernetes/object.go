package kubernetes

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/yamldoc"
)

// object is what all objects have.
type object struct {
	kind      string
	namespace string // empty for objects of the cluster
	defaulted bool   // the namespace is not written, but assumed
	name      string
	labels    map[string]string
	at        record.Position
}

// id is Kind/namespace/name or Kind/name, which is also the source id of
// workloads and roles.
func (o *object) id() string {
	if o.namespace == "" {
		return o.kind + "/" + o.name
	}
	return o.kind + "/" + o.namespace + "/" + o.name
}

// typeMeta is the kind and version that an item of a typed list may leave out.
type typeMeta struct{ apiVersion, kind string }

// The codes of rejections.
const (
	codeInvalid      = "INVALID_OBJECT"
	codeDuplicateKey = "DUPLICATE_KEY"
	codeDuplicate    = "DUPLICATE_OBJECT"
)

// maxListDepth bounds lists of lists.
const maxListDepth = 8

func (s *set) readDocument(file string, root *yaml.Node) error {
	if root.Kind == yaml.ScalarNode {
		return s.reject(file, "", &yamldoc.ShapeError{Line: root.Line, Reason: "is plain text and no Kubernetes object"}, nil)
	}
	return s.readObject(file, root, typeMeta{}, 0)
}

// readObject reads an object, or a list and each of its items: a fault in one
// item rejects that item.
func (s *set) readObject(file string, node *yaml.Node, inherited typeMeta, depth int) error {
	root, check := yamldoc.Open(node)
	if !root.IsMapping() {
		root.Fail("is not a mapping with apiVersion, kind and metadata")
		return s.reject(file, "", check.Err(), nil)
	}
	items := root.Get("items")
	kind := root.Get("kind").Text()
	isList := items.IsList() && strings.HasSuffix(kind, "List")
	if err := yamldoc.Sound(node, func(n *yaml.Node) bool { return isList && n == items.Node() }); err != nil {
		return s.reject(file, kind, err, readRef(node, s.options.Namespace))
	}
	if err := check.Err(); err != nil {
		return s.reject(file, "", err, nil)
	}
	if !isList {
		return s.readSingle(file, root, check, inherited)
	}
	if depth == maxListDepth {
		root.Fail("is a list in a list, %d deep", maxListDepth)
		return s.reject(file, kind, check.Err(), nil)
	}
	var element typeMeta
	if kind != "List" {
		element = typeMeta{apiVersion: root.Get("apiVersion").Text(), kind: strings.TrimSuffix(kind, "List")}
	}
	for _, item := range items.Items() {
		if !item.Present() {
			continue
		}
		if err := s.readObject(file, item.Node(), element, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (s *set) readSingle(file string, root yamldoc.Value, check *yamldoc.Check, inherited typeMeta) error {
	kind, version := root.Get("kind"), root.Get("apiVersion")
	o := object{kind: kind.Text(), at: record.Position{File: file, Line: root.Line()}}
	apiVersion := version.Text()
	if !kind.Present() && !version.Present() {
		o.kind, apiVersion = inherited.kind, inherited.apiVersion
	}
	switch {
	case o.kind == "" && apiVersion == "":
		root.Fail("has no apiVersion and no kind: it is no Kubernetes object")
	case o.kind == "":
		kind.Fail("is missing")
	case apiVersion == "":
		version.Fail("is missing")
	case !isPlain(o.kind) || !isPlain(apiVersion) || len(o.kind) > maxText || len(apiVersion) > maxText:
		kind.Fail("is no name of a kind")
	}
	if err := check.Err(); err != nil {
		return s.reject(file, o.kind, err, nil)
	}
	group, _, found := strings.Cut(apiVersion, "/")
	if !found {
		group = ""
	}
	if !slices.Contains(readKinds[o.kind], group) {
		s.pass(o.kind, group, apiVersion, o.at)
		return nil
	}
	o.header(root.Get("metadata"), s.options.Namespace)
	if err := check.Err(); err != nil {
		return s.reject(file, o.kind, err, readRef(root.Node(), s.options.Namespace))
	}
	keep := s.decode(&o, root)
	if err := check.Err(); err != nil {
		return s.reject(file, o.kind, err, o.ref())
	}
	return s.keep(&o, root.Node(), keep)
}

// decode reads the body of an object and returns what adds it to the set.
func (s *set) decode(o *object, root yamldoc.Value) func() {
	switch o.kind {
	case "ServiceAccount":
		account := readServiceAccount(o, root)
		return func() { s.addServiceAccount(account) }
	case "Role", "ClusterRole":
		role := readRole(o, root)
		return func() { s.addRole(role) }
	case "RoleBinding", "ClusterRoleBinding":
		binding := readBinding(o, root)
		return func() { s.bindings = append(s.bindings, binding) }
	case "CustomResourceDefinition":
		group, plural, cluster := readDefinition(root)
		return func() {
			if cluster {
				s.clusterResources[resourceKey{group, plural}] = true
			}
		}
	case "Service":
		service := readService(o, root)
		return func() { s.addService(service) }
	case "Ingress":
		ingress := readIngress(o, root)
		return func() { s.ingresses = append(s.ingresses, ingress) }
	default:
		workload := readWorkload(o, root)
		return func() { s.addWorkload(workload) }
	}
}

// keep adds an object unless the set has it already.
func (s *set) keep(o *object, node *yaml.Node, add func()) error {
	digest := yamldoc.Digest(node)
	if before, double := s.seen[o.id()]; double {
		if before.digest == digest {
			return s.out.Warn(record.Warning{Position: o.at, Code: codeDuplicate,
				Message: fmt.Sprintf("%s stands there twice with the same content, first at %s.", o.id(), before.at)})
		}
		s.blame(o.kind)
		return s.out.Reject(record.Rejection{Position: o.at, Code: codeDuplicate, Entity: o.ref(),
			Reason: fmt.Sprintf("%s stands there twice with different content; the first, at %s, holds.", o.id(), before.at)})
	}
	s.seen[o.id()] = sighting{digest: digest, at: o.at}
	add()
	return nil
}

// header reads the metadata.
func (o *object) header(metadata yamldoc.Value, namespace string) {
	name := metadata.Get("name")
	o.name = name.Text()
	valid := isSubdomain
	if readKinds[o.kind][0] == rbacGroup {
		valid = isSegment
	}
	switch {
	case !metadata.Present():
		metadata.Fail("is missing")
	case o.name == "" && metadata.Get("generateName").Present():
		name.Fail("is missing: an object with generateName has another name each time it is applied")
	case o.name == "":
		name.Fail("is missing")
	case !valid(o.name):
		name.Fail("%s is no name of a %s", quoted(o.name), o.kind)
	}
	if !clusterKinds[o.kind] {
		written := metadata.Get("namespace")
		o.namespace = written.Text()
		if o.namespace == "" {
			o.namespace, o.defaulted = namespace, true
		} else if !isLabel(o.namespace) {
			written.Fail("%s is no name of a namespace", quoted(o.namespace))
		}
	}
	o.labels = metadata.Get("labels").TextMap()
}

// ref is the entity that an object is, nil if it is none.
func (o *object) ref() *record.Ref {
	switch {
	case podTemplates[o.kind] != nil:
		return &record.Ref{Kind: record.Workload, SourceID: o.id()}
	case o.kind == "ServiceAccount":
		return &record.Ref{Kind: record.Identity, SourceID: o.namespace + "/" + o.name}
	case o.kind == "Role" || o.kind == "ClusterRole":
		return &record.Ref{Kind: record.Role, SourceID: o.id()}
	}
	return nil
}

// readRef is the entity of an object that has a fault, if so much of it can be
// read.
func readRef(node *yaml.Node, namespace string) *record.Ref {
	root, check := yamldoc.Open(node)
	o := object{kind: root.Get("kind").Text()}
	if readKinds[o.kind] == nil {
		return nil
	}
	o.header(root.Get("metadata"), namespace)
	// Labels come last in a header: a fault in them leaves the name readable.
	if err := check.Err(); err != nil && !strings.HasPrefix(err.Path, "metadata.labels") {
		return nil
	}
	return o.ref()
}

func (s *set) reject(file, kind string, err *yamldoc.ShapeError, entity *record.Ref) error {
	s.blame(kind)
	code := codeInvalid
	if err.Duplicate {
		code = codeDuplicateKey
	}
	return s.out.Reject(record.Rejection{Position: record.Position{File: file, Line: err.Line}, Code: code,
		Reason: yamldoc.Sentence(err.Error()), Entity: entity})
}

// quoted shows a text from the input, cut where it would drown the message.
func quoted(text string) string {
	if runes := []rune(text); len(runes) > 80 {
		text = string(runes[:80]) + "…"
	}
	return fmt.Sprintf("%q", text)
}
