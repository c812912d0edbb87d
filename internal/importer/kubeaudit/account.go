package kubeaudit

import (
	"strings"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// accounts is an emitter that says of each service account, before what it did,
// that it is there. A server answered it, so it is, whether or not a manifest
// that we were given declares it: evidence of an account that comes before its
// manifests is not lost, and that of an account without any is seen. What
// manifests say of it outranks this.
type accounts struct {
	record.Emitter
	said map[string]bool
}

// Record passes every record on.
func (a *accounts) Record(r record.Record) error {
	evidence, ok := r.Fact.(record.Evidence)
	if !ok || evidence.Identity == nil || a.said[evidence.Identity.SourceID] {
		return a.Emitter.Record(r)
	}
	a.said[evidence.Identity.SourceID] = true
	_, name, _ := strings.Cut(evidence.Identity.SourceID, "/")
	known := record.Entity{Ref: *evidence.Identity, Basis: record.Inferred, Name: name, SourceType: "ServiceAccount"}
	if err := a.Emitter.Record(record.Record{Position: r.Position, Fact: known}); err != nil {
		return err
	}
	return a.Emitter.Record(r)
}
