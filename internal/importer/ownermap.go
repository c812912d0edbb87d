package importer

import (
	"context"
	"iter"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/importer/owners"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// runOwners imports an owners file by itself, as a source of its own. It speaks
// about workloads that others brought, so without a name the system is that of
// manifests without one.
func runOwners(ctx context.Context, s *Service, request Request) (*authority.SyncReport, error) {
	next, stop := iter.Pull2(request.Files)
	defer stop()
	file, err, ok := next()
	if !ok {
		err = noFiles()
	}
	if err != nil {
		return nil, err
	}
	mapping, err := owners.Read(file.Name, file.Content)
	if err != nil {
		return nil, err
	}
	switch _, err, more := next(); { // an upload that breaks off here is not complete
	case err != nil:
		return nil, err
	case more:
		return nil, problem.New(problem.Invalid, "ONE_FILE_ONLY", "an owners file is one file; send them one by one").On("file")
	}
	sync := request.SyncRequest
	if sync.System == "" {
		sync.System = "kubernetes"
	}
	return s.syncer.Sync(ctx, sync, func(out record.Emitter) error { return mapping.EmitAlone(out) })
}
