// Package witness asks the readers everything they can say of an organization. It
// is for tests: what was answered live at an instant is what has to be answered as
// of that instant ever after.
package witness

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/page"
)

// Account is what the readers said, by what they were asked, as JSON. It has no
// cursors, which belong to the instant that they were given at.
type Account map[string]string

// Differences are the questions that were answered otherwise, with where both
// answers part.
func (a Account) Differences(now Account) (list []string) {
	asked := map[string]bool{}
	for _, account := range []Account{a, now} {
		for question := range account {
			asked[question] = true
		}
	}
	for question := range asked {
		if a[question] != now[question] {
			list = append(list, fmt.Sprintf("%s\n  then: %s\n  now:  %s", question, around(a[question], now[question]), around(now[question], a[question])))
		}
	}
	slices.Sort(list)
	return list
}

// around is where a text differs from another.
func around(text, other string) string {
	at := 0
	for at < min(len(text), len(other)) && text[at] == other[at] {
		at++
	}
	return text[max(0, at-300):min(len(text), at+200)]
}

// Keys are what can be asked for by its key. To ask for what comes later is a
// question, too: nobody knows of it.
type Keys struct {
	Exposures  []exposure.Key
	Workloads  []id.ID
	Identities []id.ID
	Codes      []string
}

// Add joins keys, each once.
func (k *Keys) Add(other Keys) {
	k.Exposures = joined(k.Exposures, other.Exposures)
	k.Workloads = joined(k.Workloads, other.Workloads)
	k.Identities = joined(k.Identities, other.Identities)
	k.Codes = joined(k.Codes, other.Codes)
}

func joined[T comparable](list, more []T) []T {
	known := map[T]bool{}
	var all []T
	for _, v := range slices.Concat(list, more) {
		if !known[v] {
			known[v] = true
			all = append(all, v)
		}
	}
	return all
}

func (k *Keys) paths() (list []id.ID) {
	for _, x := range k.Exposures {
		list = append(list, x.PathID)
	}
	return joined(list, nil)
}

// Ask asks everything, about all that the lists show and about the keys, on behalf of
// somebody who may see all of it.
func Ask(ctx context.Context, snapshot *db.Snapshot, organization id.ID, keys *Keys) (Account, error) {
	w := &asking{ctx: ctx, snapshot: snapshot, organization: organization, keys: keys, account: Account{}}
	for _, ask := range []func() error{w.exposures, w.workloads, w.postures, w.clusters, w.details, w.decisions} {
		if err := ask(); err != nil {
			return nil, err
		}
	}
	return w.account, nil
}

type asking struct {
	ctx          context.Context
	snapshot     *db.Snapshot
	organization id.ID
	keys         *Keys
	account      Account
}

// say notes an answer.
func (w *asking) say(answer any, question ...any) error {
	bytes, err := json.Marshal(answer)
	w.account[strings.TrimSpace(fmt.Sprintln(question...))] = string(bytes)
	return err
}

// listed is a page without its cursors.
type listed[T any] struct {
	Rows           []T
	Next, Previous bool
	Count          int
}

func without[T any](slice page.Slice[T]) listed[T] {
	return listed[T]{Rows: slice.Rows, Next: slice.HasNext, Previous: slice.HasPrevious}
}

// walk reads a list page by page.
func walk[T any](size int, read func(page.Request) (page.Slice[T], func(T) string, error)) (pages []listed[T], err error) {
	request := page.Request{First: &size}
	for {
		slice, cursor, err := read(request)
		if err != nil {
			return nil, err
		}
		pages = append(pages, without(slice))
		if !slice.HasNext {
			return pages, nil
		}
		after := cursor(slice.Rows[len(slice.Rows)-1])
		request.After = &after
	}
}
