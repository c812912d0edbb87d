package owners

import (
	"fmt"
	"strings"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// Emit applies the file to the workloads of an import, which are given by their
// source ids: the owners, what they own, and what is known by that.
func (f *File) Emit(workloads []string, out record.Emitter) error {
	if err := f.emitOwners(out); err != nil {
		return err
	}
	matched := make([]bool, len(f.assignments))
	find := f.finder()
	for _, workload := range workloads {
		held := find(workload, matched)
		if held == nil {
			continue
		}
		if err := f.emitAssignment(held, workload, out); err != nil {
			return err
		}
	}
	for i, a := range f.assignments {
		if matched[i] {
			continue
		}
		err := out.Warn(record.Warning{Position: f.at(a.line), Code: "WORKLOAD_UNMATCHED",
			Message: fmt.Sprintf("No workload of the import is called %q, nor matches it.", a.workload)})
		if err != nil {
			return err
		}
	}
	return f.emitComplete(out)
}

// EmitAlone says the file without the workloads that it speaks about: others
// assert them. What it says about a workload that nobody asserts is rejected by
// the sync.
//
// A pattern has nothing to be held against here, and is a fault of the file. The
// environment, team and tier of a workload are left out with a warning: to say
// them is to assert the workload, which would then live on after whoever runs it
// has dropped it.
func (f *File) EmitAlone(out record.Emitter) error {
	for _, a := range f.assignments {
		if strings.Contains(a.workload, "*") {
			return fault("OWNER_PATTERN", "The pattern %q has no workloads to match in a file that comes alone. Name them one by one, or send the file with the manifests (--owners).",
				a.workload).At(f.name, a.line)
		}
	}
	if err := f.emitOwners(out); err != nil {
		return err
	}
	left, line := 0, 0
	for i := range f.assignments {
		a := f.assignments[i]
		if a.attributed() {
			if left++; left == 1 {
				line = a.line
			}
			a.environment, a.ownerTeam, a.businessTier = "", "", ""
		}
		if err := f.emitAssignment(&a, a.workload, out); err != nil {
			return err
		}
	}
	if left > 0 {
		err := out.Warn(record.Warning{Position: f.at(line), Code: "ATTRIBUTES_NOT_APPLIED",
			Message: fmt.Sprintf("Environment, team and tier of %d entries are not applied from a file that comes alone; send it with the manifests (--owners).", left)})
		if err != nil {
			return err
		}
	}
	return f.emitComplete(out)
}

func (f *File) emitOwners(out record.Emitter) error {
	for _, o := range f.owners {
		err := f.say(out, o.line, record.Entity{Ref: o.ref(), Basis: record.Mapping, Name: o.name, Status: o.status,
			SourceType: string(o.kind), OwnerType: o.kind, Title: o.title, LastActiveAt: o.lastActiveAt})
		if err != nil {
			return err
		}
	}
	return nil
}

// emitComplete claims that every workload of the system was looked at, where the
// file says so.
func (f *File) emitComplete(out record.Emitter) error {
	if !f.complete {
		return nil
	}
	return f.say(out, f.line, record.Coverage{Kind: record.Ownership, MaxAge: f.maxAge})
}

// attributed says whether the entry says more of a workload than who owns it.
func (a *assignment) attributed() bool {
	return a.environment != "" || a.ownerTeam != "" || a.businessTier != ""
}

func (f *File) emitAssignment(a *assignment, workload string, out record.Emitter) error {
	ref := record.Ref{Kind: record.Workload, SourceID: workload}
	if a.attributed() {
		err := f.say(out, a.line, record.Entity{Ref: ref, Basis: record.Mapping,
			Environment: a.environment, OwnerTeam: a.ownerTeam, BusinessTier: a.businessTier})
		if err != nil {
			return err
		}
	}
	for _, id := range a.owners {
		edge := record.Edge{Kind: record.OwnedBy, From: ref, To: record.Ref{Kind: record.Owner, SourceID: id}}
		if err := f.say(out, a.line, edge); err != nil {
			return err
		}
	}
	for _, where := range a.assets {
		endpoint := record.Endpoint{Workload: ref, Kind: record.MappedEndpoint, Value: where.place, Port: where.port}
		if err := f.say(out, a.line, endpoint); err != nil {
			return err
		}
	}
	if f.complete || !a.owned {
		return nil
	}
	return f.say(out, a.line, record.Coverage{Kind: record.Ownership, Entity: &ref, MaxAge: f.maxAge})
}

// finder looks up the entry that holds for a workload and marks every entry
// that matches it, also those that yield to another.
func (f *File) finder() func(workload string, matched []bool) *assignment {
	exact := map[string]int{}
	var patterns []int
	for i, a := range f.assignments {
		if strings.Contains(a.workload, "*") {
			patterns = append(patterns, i)
		} else {
			exact[a.workload] = i
		}
	}
	return func(workload string, matched []bool) *assignment {
		var held *assignment
		if i, named := exact[workload]; named {
			matched[i] = true
			held = &f.assignments[i]
		}
		for _, i := range patterns {
			if matches(f.assignments[i].workload, workload) {
				matched[i] = true
				if held == nil {
					held = &f.assignments[i]
				}
			}
		}
		return held
	}
}

// matches holds a text against a pattern in which a star is any text, also
// across slashes.
func matches(pattern, text string) bool {
	head, rest, starred := strings.Cut(pattern, "*")
	if !starred {
		return pattern == text
	}
	text, found := strings.CutPrefix(text, head)
	if !found {
		return false
	}
	for {
		part, next, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(text, part)
		}
		// The first place where a part fits leaves the most for the others.
		at := strings.Index(text, part)
		if at < 0 {
			return false
		}
		text, rest = text[at+len(part):], next
	}
}

func (o owner) ref() record.Ref { return record.Ref{Kind: record.Owner, SourceID: o.id} }

func (f *File) at(line int) record.Position { return record.Position{File: f.name, Line: line} }

func (f *File) say(out record.Emitter, line int, fact record.Fact) error {
	return out.Record(record.Record{Position: f.at(line), Fact: fact})
}
