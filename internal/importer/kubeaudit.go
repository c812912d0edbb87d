package importer

import (
	"context"
	"iter"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/importer/kubeaudit"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// runKubeAudit imports an audit log. It speaks about the service accounts of a
// cluster, so without a name the system is that of manifests without one. What a
// log does not show is not gone: it is always partial.
func runKubeAudit(ctx context.Context, s *Service, request Request) (*authority.SyncReport, error) {
	sync := request.SyncRequest
	sync.Partial = true
	if sync.System == "" {
		sync.System = "kubernetes"
	}
	return s.syncer.Sync(ctx, sync, func(out record.Emitter) error {
		_, err := kubeaudit.Parse(auditFiles(request.Files), kubeaudit.Options{Now: s.now()}, out)
		return err
	})
}

func auditFiles(files iter.Seq2[File, error]) iter.Seq2[kubeaudit.File, error] {
	return func(yield func(kubeaudit.File, error) bool) {
		for file, err := range files {
			if !yield(kubeaudit.File(file), err) {
				return
			}
		}
	}
}
