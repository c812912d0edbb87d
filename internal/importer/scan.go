package importer

import (
	"context"
	"iter"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface"
)

// scanEndings are the names of the files that scanners write.
var scanEndings = []string{".xml", ".json", ".jsonl", ".csv"}

// parser reads the files of one scanner.
type parser func(iter.Seq2[surface.File, error], surface.Options, record.Emitter) (surface.Summary, error)

// scan is the format of a scanner. Its files are one scan: what they show of the
// outer surface, and what they looked at to see it. When a scan was is for whoever
// sends it to say: the files of one import may be of several times, and many do
// not know theirs.
func scan(parse parser) format {
	return format{endings: scanEndings, run: func(ctx context.Context, s *Service, request Request) (*authority.SyncReport, error) {
		sync := request.SyncRequest
		sync.Scan = true
		return s.syncer.Sync(ctx, sync, func(out record.Emitter) error {
			_, err := parse(scanFiles(request.Files), surface.Options{Now: s.now()}, out)
			return err
		})
	}}
}

// scanFiles gives the files, and says so if there is none: nothing is not a scan
// that saw nothing.
func scanFiles(files iter.Seq2[File, error]) iter.Seq2[surface.File, error] {
	return func(yield func(surface.File, error) bool) {
		some := false
		for file, err := range files {
			some = true
			if !yield(surface.File(file), err) {
				return
			}
		}
		if !some {
			yield(surface.File{}, noFiles())
		}
	}
}
