package account

import (
	"maps"
	"reflect"
	"slices"

	"github.com/exposuregraph/exposuregraph/internal/access"
)

// Change is what replacing accounts came to, by their ids in order.
type Change struct {
	Added   []string
	Changed []string // in whatever way
	Less    []string // of these, those that have less than before: see less
	Gone    []string
}

// Replace puts other accounts in force, all at once. When it returns, tokens are made by
// these alone. Who was let in before and has not changed need not be compared again.
func (d *Desk) Replace(accounts []*Account) (change Change) {
	next := byID(accounts)
	d.serving.Lock()
	defer d.serving.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(next)) {
		before, known := d.accounts[id]
		switch {
		case !known:
			change.Added = append(change.Added, id)
			continue
		case reflect.DeepEqual(before, next[id]):
			next[id] = before // so that whoever holds it need not begin again
			continue
		case next[id].less(before):
			change.Less = append(change.Less, id)
		}
		change.Changed = append(change.Changed, id)
		if !reflect.DeepEqual(before.secrets, next[id].secrets) {
			delete(d.right, id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(d.accounts)) {
		if next[id] == nil {
			change.Gone = append(change.Gone, id)
			delete(d.right, id)
		}
	}
	d.accounts = next
	return change
}

// less says whether tokens of the account as it was may do more than it may have now.
// How long they last and who may act on its behalf grant nothing.
func (a *Account) less(before *Account) bool {
	if before.Role == access.Admin && a.Role != access.Admin || !within(before.Scopes, a.Scopes) || limits(a.Organizations, before.Organizations) {
		return true
	}
	return limits(a.Attributes.Environment, before.Attributes.Environment) || limits(a.Attributes.Owner, before.Attributes.Owner) ||
		limits(a.Attributes.BusinessTier, before.Attributes.BusinessTier)
}

// limits says whether a list, of which an empty one has all, lacks something of another.
func limits(list, before []string) bool {
	return len(list) > 0 && (len(before) == 0 || !within(before, list))
}

// within says whether all of some are in a list.
func within[T comparable](some, list []T) bool {
	return !slices.ContainsFunc(some, func(one T) bool { return !slices.Contains(list, one) })
}
