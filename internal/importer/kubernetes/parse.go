package kubernetes

import (
	"errors"
	"io"
	"iter"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/yamldoc"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// Options say how manifests are applied.
type Options struct {
	Namespace string  // of objects that name none, as in kubectl -n; "default" if empty
	Policy    *Policy // nil: the table that comes with the product
}

// File is one manifest file.
type File struct {
	Name    string
	Content io.Reader
}

// codePrefix begins the codes of faults of a file.
const codePrefix = "MANIFEST"

// Parse reads a set of manifests and emits what it says. An error is a fault of
// the input as a whole (*problem.Error), or what the iterator, a reader or the
// emitter returned; nothing that was emitted before it may be applied.
func Parse(files iter.Seq2[File, error], options Options, out record.Emitter) error {
	return parse(files, options, yamldoc.DefaultLimits, out)
}

func parse(files iter.Seq2[File, error], options Options, limits yamldoc.Limits, out record.Emitter) error {
	if options.Namespace == "" {
		options.Namespace = "default"
	}
	if !isLabel(options.Namespace) {
		return problem.New(problem.Invalid, "NAMESPACE_INVALID",
			"%q is not the name of a namespace: small letters, digits and hyphens, at most 63.", options.Namespace).On("namespace")
	}
	if options.Policy == nil {
		policy, err := defaultPolicy()
		if err != nil {
			return err
		}
		options.Policy = policy
	}
	s := newSet(options, out)
	budget := yamldoc.NewBudget(limits)
	for file, err := range files {
		if err != nil {
			return err
		}
		if s.first == "" {
			s.first = file.Name
		}
		if err := s.readFile(file, budget); err != nil {
			return err
		}
	}
	if s.documents == 0 {
		return problem.New(problem.Invalid, codePrefix+"_EMPTY",
			"The input holds no Kubernetes object: nothing but blank lines and comments.").At(s.first, 0)
	}
	return s.resolve()
}

func (s *set) readFile(file File, budget *yamldoc.Budget) error {
	documents := yamldoc.NewReader(file.Content, file.Name, codePrefix, budget)
	for {
		root, err := documents.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		s.documents++
		if err := s.readDocument(file.Name, root); err != nil {
			return err
		}
	}
}
