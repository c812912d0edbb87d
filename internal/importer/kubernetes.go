package importer

import (
	"context"
	"iter"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/importer/kubernetes"
	"github.com/exposuregraph/exposuregraph/internal/importer/owners"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// runKubernetes imports a set of manifests, and after them the owners of the
// workloads that the manifests declare. Policy and owners are read first, so
// that a mistake in them costs no upload.
func runKubernetes(ctx context.Context, s *Service, request Request) (*authority.SyncReport, error) {
	options := kubernetes.Options{Namespace: request.Namespace}
	if request.Policy != nil {
		policy, err := kubernetes.LoadPolicy(request.Policy.Content, request.Policy.Name)
		if err != nil {
			return nil, err
		}
		options.Policy = policy
	}
	var mapping *owners.File
	if request.Owners != nil {
		read, err := owners.Read(request.Owners.Name, request.Owners.Content)
		if err != nil {
			return nil, err
		}
		mapping = read
	}
	return s.syncer.Sync(ctx, request.SyncRequest, func(out record.Emitter) error {
		seen := &workloads{Emitter: out}
		if err := kubernetes.Parse(manifests(request.Files), options, seen); err != nil {
			return err
		}
		if mapping == nil {
			return nil
		}
		return mapping.Emit(seen.sourceIDs, out)
	})
}

func manifests(files iter.Seq2[File, error]) iter.Seq2[kubernetes.File, error] {
	return func(yield func(kubernetes.File, error) bool) {
		for file, err := range files {
			if !yield(kubernetes.File(file), err) {
				return
			}
		}
	}
}

// workloads is an emitter that remembers the workloads that pass.
type workloads struct {
	record.Emitter
	sourceIDs []string
}

// Record notes a workload and passes every record on.
func (w *workloads) Record(r record.Record) error {
	if entity, ok := r.Fact.(record.Entity); ok && entity.Kind == record.Workload {
		w.sourceIDs = append(w.sourceIDs, entity.SourceID)
	}
	return w.Emitter.Record(r)
}
