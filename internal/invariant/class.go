package invariant

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// readSets holds the classes that stand for several against these.
func (l *linking) readSets(ctx context.Context) error {
	type plain struct{ Class int32 }
	classes := map[int32]bool{}
	err := walk(ctx, l.world.reader, "access_classes", nil,
		func(r *plain) pgx.StrictNamedArgs { return pgx.StrictNamedArgs{"class": r.Class} },
		func(r *plain) { classes[r.Class] = true })
	if err != nil {
		return err
	}
	type set struct {
		Class   int32
		Members []int32
		Digest  []byte
	}
	return walk(ctx, l.world.reader, "access_class_sets", nil,
		func(r *set) pgx.StrictNamedArgs { return pgx.StrictNamedArgs{"class": r.Class} },
		func(r *set) {
			l.result.Compared++
			subject, members := fmt.Sprintf("class %d", r.Class), together(r.Members)
			if classes[r.Class] {
				l.result.found(subject, "it is a class of its own, and stands for others", "", members)
			}
			if sorted := slices.Compact(slices.Sorted(slices.Values(r.Members))); !slices.Equal(sorted, r.Members) || len(sorted) < 2 {
				l.result.found(subject, "it does not stand for several, in their order", together(sorted), members)
			}
			for _, member := range r.Members {
				if !classes[member] {
					l.result.found(subject, "it stands for what is no class", "", strconv.Itoa(int(member)))
				}
			}
			if digest := sha256.Sum256([]byte(members)); !bytes.Equal(digest[:], r.Digest) {
				l.result.found(subject, "its digest is not of its members", fmt.Sprintf("%x", digest), fmt.Sprintf("%x", r.Digest))
			}
			l.sets[members] = r.Class
		})
}

// together is how the digest of a set writes its members.
func together(classes []int32) string {
	var words []string
	for _, class := range classes {
		words = append(words, strconv.Itoa(int(class)))
	}
	return strings.Join(words, ",")
}

// checkClasses holds assets against the workloads that are linked to them. Those that
// have no class add nothing.
func (l *linking) checkClasses() {
	for _, of := range sortedIDs(l.things) {
		t, want := l.things[of], int32(0)
		classes := slices.DeleteFunc(slices.Sorted(maps.Keys(l.classes[of])), func(class int32) bool { return class == 0 })
		switch len(classes) {
		case 0:
		case 1:
			want = classes[0]
		default:
			want = l.sets[together(classes)]
		}
		subject := fmt.Sprintf("%s %s (%s)", t.kind, t.value, of)
		if want == 0 && len(classes) > 1 {
			l.result.found(subject, "no class stands for those of its workloads", together(classes), strconv.Itoa(int(t.class)))
			continue
		}
		differ(l.result, subject, "its class", want, t.class)
	}
}
