package authority

import (
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/exposuregraph/exposuregraph/internal/id"
)

// currentKept is of how many organizations it is remembered what judged them.
const currentKept = 10_000

// judged says when an organization was judged last. Whoever judges by other rules,
// settings or clusters than before leaves a sync or an evaluation behind.
type judged struct{ sync, evaluation int64 }

func judgedAt(sync, evaluation *time.Time) judged {
	micro := func(at *time.Time) int64 {
		if at == nil {
			return 0
		}
		return at.UnixMicro()
	}
	return judged{micro(sync), micro(evaluation)}
}

// current remembers which organizations were found to be judged by this program's
// rules and clusters, and when they were judged last then: as long as that is so, a
// decision does not look again.
type current struct{ found *lru.Cache[id.ID, judged] }

func newCurrent() current {
	found, err := lru.New[id.ID, judged](currentKept)
	if err != nil { // a size that is not positive
		panic(err)
	}
	return current{found}
}

func (c current) of(organization id.ID) (last judged, known bool) { return c.found.Get(organization) }

func (c current) keep(organization id.ID, last judged) { c.found.Add(organization, last) }
