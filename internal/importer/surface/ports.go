package surface

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// Ports reads a list of ports such as "1,3-4,T:80". The letters of protocols say
// nothing: a list is that of one protocol.
func Ports(spec string) ([]record.PortRange, error) {
	var ranges []record.PortRange
	for part := range strings.SplitSeq(spec, ",") {
		if _, after, ok := strings.Cut(part, ":"); ok {
			part = after
		}
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		low, high, between := strings.Cut(part, "-")
		if !between {
			high = low
		}
		first, err := Port(low)
		if err != nil {
			return nil, err
		}
		last, err := Port(high)
		if err != nil {
			return nil, err
		}
		if first > last {
			return nil, fault(ErrPort.Code, "%s ends before it begins.", Quote(part))
		}
		ranges = append(ranges, record.PortRange{First: uint16(first), Last: uint16(last)}) //nolint:gosec // Port bounds both
	}
	return MergePorts(ranges), nil
}

// MergePorts sorts ranges of ports and makes one of those that touch.
func MergePorts(ranges []record.PortRange) []record.PortRange {
	slices.SortFunc(ranges, func(a, b record.PortRange) int { return cmp.Compare(a.First, b.First) })
	merged := ranges[:0]
	for _, r := range ranges {
		if n := len(merged); n > 0 && int(r.First) <= int(merged[n-1].Last)+1 {
			merged[n-1].Last = max(merged[n-1].Last, r.Last)
			continue
		}
		merged = append(merged, r)
	}
	return merged
}

// Ranges collects addresses. Those that follow each other become one range, in
// whatever order they come; the zero value is empty.
type Ranges struct {
	all   []addresses
	tidy  int // how many of all were left by the last tidying
	clean bool
}

type addresses struct{ from, to netip.Addr }

// Add adds an address.
func (r *Ranges) Add(address netip.Addr) { r.AddAll(address, address) }

// AddAll adds the addresses from one to another of the same family.
func (r *Ranges) AddAll(from, to netip.Addr) {
	from, to = from.WithZone("").Unmap(), to.WithZone("").Unmap()
	if !from.IsValid() || from.BitLen() != to.BitLen() || to.Less(from) {
		return
	}
	if n := len(r.all); n > 0 && from.IsValid() && r.all[n-1].to.Next() == from {
		r.all[n-1].to = to // scanners list what they probed in order
		r.clean = false
		return
	}
	r.all = append(r.all, addresses{from, to})
	r.clean = false
	if len(r.all) > 2*r.tidy+1024 {
		r.merge()
	}
}

// Remove takes out the addresses from one to another.
func (r *Ranges) Remove(from, to netip.Addr) {
	from, to = from.WithZone("").Unmap(), to.WithZone("").Unmap()
	if !from.IsValid() || from.BitLen() != to.BitLen() || to.Less(from) {
		return
	}
	var left []addresses
	for _, a := range r.all {
		if a.from.BitLen() != from.BitLen() || a.to.Less(from) || to.Less(a.from) {
			left = append(left, a)
			continue
		}
		if a.from.Less(from) {
			left = append(left, addresses{a.from, from.Prev()})
		}
		if to.Less(a.to) {
			left = append(left, addresses{to.Next(), a.to})
		}
	}
	r.all, r.clean = left, false
}

// merge sorts the ranges and makes one of those that touch.
func (r *Ranges) merge() {
	if r.clean {
		return
	}
	slices.SortFunc(r.all, func(a, b addresses) int { return a.from.Compare(b.from) })
	merged := r.all[:0]
	for _, a := range r.all {
		if n := len(merged); n > 0 && merged[n-1].from.BitLen() == a.from.BitLen() && !merged[n-1].to.Less(a.from.Prev()) {
			if merged[n-1].to.Less(a.to) {
				merged[n-1].to = a.to
			}
			continue
		}
		merged = append(merged, a)
	}
	r.all, r.tidy, r.clean = merged, len(merged), true
}

// Each gives the ranges in order, as few as there can be.
func (r *Ranges) Each(do func(from, to netip.Addr) error) error {
	r.merge()
	for _, a := range r.all {
		if err := do(a.from, a.to); err != nil {
			return err
		}
	}
	return nil
}
