package loader

import (
	"context"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/ledger/book"
	"github.com/exposuregraph/exposuregraph/internal/triage"
)

// Judgements are the loaders of what people decided.
type Judgements struct {
	LedgerEntries Loader[int64, *book.Entry] // by their places
	Decisions     Loader[DecisionKey, []*triage.Decision]
}

// DecisionKey is so many of the newest decisions on an exposure.
type DecisionKey struct {
	Exposure exposure.Key
	Most     int
}

func (s *Scope) judgements(ledger *book.Book, decisions *triage.Reader, wait time.Duration) {
	snapshot := s.Snapshot

	s.LedgerEntries = newLoader(wait, func(ctx context.Context, organization id.ID, seqs []int64) (map[int64]*book.Entry, error) {
		return index(func(e *book.Entry) int64 { return e.Seq })(ledger.EntriesBySeqs(ctx, snapshot, organization, seqs))
	})
	s.Decisions = newLoader(wait, func(ctx context.Context, organization id.ID, keys []DecisionKey) (map[DecisionKey][]*triage.Decision, error) {
		byMost := map[int][]exposure.Key{}
		for _, k := range keys {
			byMost[k.Most] = append(byMost[k.Most], k.Exposure)
		}
		all := make(map[DecisionKey][]*triage.Decision, len(keys))
		for most, exposures := range byMost {
			rows, err := decisions.Decisions(ctx, snapshot, organization, exposures, most)
			if err != nil {
				return nil, err
			}
			for key, list := range rows {
				all[DecisionKey{key, most}] = list
			}
		}
		return all, nil
	})
}
