package importer

import (
	"context"
	"iter"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/importer/cloudtrail"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// runCloudTrail imports the events of one account, or of an organization's trail.
// All files are read before the sync begins, because they say which account they
// are of, and so which system: its number, unless the import gives it a name. A
// trail of several accounts is a system of its own; its identities belong to their
// accounts either way. What a log does not show is not gone: it is always partial.
func runCloudTrail(ctx context.Context, s *Service, request Request) (*authority.SyncReport, error) {
	sync := request.SyncRequest
	sync.Partial = true
	log, err := cloudtrail.Read(trailFiles(request.Files), cloudtrail.Options{Now: s.now(), System: sync.System})
	if err != nil {
		return nil, err
	}
	if sync.System == "" {
		sync.System = log.Account()
	}
	return s.syncer.Sync(ctx, sync, func(out record.Emitter) error { return log.Emit(out) })
}

func trailFiles(files iter.Seq2[File, error]) iter.Seq2[cloudtrail.File, error] {
	return func(yield func(cloudtrail.File, error) bool) {
		for file, err := range files {
			if !yield(cloudtrail.File(file), err) {
				return
			}
		}
	}
}
