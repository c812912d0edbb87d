package importer

import (
	"context"
	"io"
	"iter"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// File is one file of an import. Content is read once, and only until the next
// file is asked for.
type File struct {
	Name    string
	Content io.Reader
}

// Request is an import: who speaks about what (the sync), and the files.
type Request struct {
	authority.SyncRequest

	Files     iter.Seq2[File, error]
	Namespace string // kubernetes: of objects that name none
	Owners    *File  // kubernetes, aws-iam: who answers for which workload
	Policy    *File  // kubernetes, aws-iam: domain and sensitivity of resources
}

// Syncer applies the records of a source. The records come from the function,
// which emits them and returns the fault that ended it.
type Syncer interface {
	Sync(context.Context, authority.SyncRequest, func(record.Emitter) error) (*authority.SyncReport, error)
}

// Service runs imports.
type Service struct {
	syncer Syncer
	now    func() time.Time
}

// New makes a service over what applies the records.
func New(syncer Syncer, now func() time.Time) *Service {
	return &Service{syncer: syncer, now: now}
}

// Run imports the files of the request. A request without a format, or with
// "auto", takes the format from the first file.
func (s *Service) Run(ctx context.Context, request Request) (*authority.SyncReport, error) {
	if err := access.Require(ctx, id.Organization(request.Organization), access.Operate); err != nil {
		return nil, err
	}
	if request.Files == nil {
		return nil, noFiles()
	}
	if request.Format == "" || request.Format == Auto {
		head, files, stop, err := peekFirst(request.Files)
		defer stop()
		if err != nil {
			return nil, err
		}
		if request.Format, err = Detect(head); err != nil {
			return nil, err
		}
		request.Files = files
	}
	chosen, known := formats[request.Format]
	if !known {
		return nil, unknownFormat(request.Format)
	}
	for _, option := range []struct {
		name  string
		given bool
	}{
		{"namespace", request.Namespace != ""},
		{"owners", request.Owners != nil},
		{"policy", request.Policy != nil},
	} {
		if option.given && !chosen.options[option.name] {
			return nil, problem.New(problem.Invalid, "OPTION_UNSUPPORTED",
				"an import of %s takes no %s", request.Format, option.name).On(option.name)
		}
	}
	return chosen.run(ctx, s, request)
}

func noFiles() error {
	return problem.New(problem.Invalid, "FILE_MISSING", "an import needs at least one file").On("file")
}
