package invariant

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// span is what the former versions of one thing cover.
type span struct {
	first, last int64 // microseconds
	count       int32
}

// fold adds the next version of a thing to its span. Versions arrive in order.
func fold[K comparable](r *Result, spans map[K]span, key K, subject func() string, number int32, from, to time.Time) {
	r.Compared++
	s, ok := spans[key]
	if !ok {
		s.first = from.UnixMicro()
	}
	s.count++
	switch {
	case number != s.count:
		r.found(subject(), "a version is missing", strconv.Itoa(int(s.count)), strconv.Itoa(int(number)))
		s.count = number
	case ok && s.last != from.UnixMicro():
		r.found(subject(), fmt.Sprintf("version %d does not begin where the one before ends", number), instant(s.last), instant(from.UnixMicro()))
	case !from.Before(to):
		r.found(subject(), fmt.Sprintf("version %d ends before it begins", number), "", instant(to.UnixMicro()))
	}
	s.last = to.UnixMicro()
	spans[key] = s
}

// closeSpan holds the span of a thing against its current version, and forgets it.
func closeSpan[K comparable](r *Result, spans map[K]span, key K, subject func() string, version int32, start, from time.Time) {
	s, ok := spans[key]
	if !ok {
		s = span{first: from.UnixMicro(), last: from.UnixMicro()}
	}
	delete(spans, key)
	switch {
	case version != s.count+1:
		r.found(subject(), "the current version is not the next one", strconv.Itoa(int(s.count+1)), strconv.Itoa(int(version)))
	case s.last != from.UnixMicro():
		r.found(subject(), "the current version does not begin where the one before ends", instant(s.last), instant(from.UnixMicro()))
	case s.first != start.UnixMicro():
		r.found(subject(), "the first version does not begin where it itself does", instant(start.UnixMicro()), instant(s.first))
	}
}

// orphans are spans of things that do not exist.
func orphans[K comparable, V any](r *Result, spans map[K]V, subject func(K) string) {
	names := make([]string, 0, len(spans))
	for key := range spans {
		names = append(names, subject(key))
	}
	slices.Sort(names)
	for _, name := range names {
		r.found(name, "it does not exist and has former versions", "", "")
	}
}

// interval is one of several in which the same thing was true.
type interval struct {
	ordinal int32
	from    time.Time
	to      *time.Time
	reason  *string
}

// follow holds an interval against the one before it, null for the first.
func follow(r *Result, subject func() string, before *interval, now interval) {
	expected := int32(1)
	if before != nil {
		expected = before.ordinal + 1
		switch {
		case before.to == nil && now.to == nil:
			r.found(subject(), "two intervals are open", "", "")
		case before.to == nil:
			r.found(subject(), "an interval follows one that is open", "", "")
		case now.from.Before(*before.to):
			r.found(subject(), "two intervals overlap", "from "+instant(before.to.UnixMicro())+" on", instant(now.from.UnixMicro()))
		}
	}
	if now.ordinal != expected {
		r.found(subject(), "the ordinals have a gap", strconv.Itoa(int(expected)), strconv.Itoa(int(now.ordinal)))
	}
	if now.to != nil && !now.from.Before(*now.to) {
		r.found(subject(), "the interval ends before it begins", "", instant(now.to.UnixMicro()))
	}
	switch resolved := now.reason != nil && *now.reason != ""; {
	case now.to != nil && !resolved:
		r.found(subject(), "it is resolved without a reason", "", "")
	case now.to == nil && now.reason != nil:
		r.found(subject(), "it is open and has a reason to be resolved", "", *now.reason)
	}
}

func instant(micro int64) string { return time.UnixMicro(micro).UTC().Format(time.RFC3339Nano) }
