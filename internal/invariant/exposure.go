package invariant

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// The dispositions.
const (
	acknowledged  = 2
	falsePositive = 4
)

type conditionKey struct {
	subject int32
	rule    int16
}

// exposure is an open one.
type exposure struct {
	typ, severity, disposition int16
	since                      int32 // day from which on it is effective
}

func definition(of int16) (rule.Definition, bool) {
	for _, d := range rule.Definitions {
		if int16(d.Rule) == of {
			return d, true
		}
	}
	return rule.Definition{}, false
}

func (w *world) readConditions(ctx context.Context) error {
	result := w.report.of(Conditions)
	type key struct {
		SubjectID id.ID
		Rule      int16
		Ordinal   int32
	}
	name := func(k key) string {
		return fmt.Sprintf("condition %d of rule %d on %s", k.Ordinal, k.Rule, k.SubjectID)
	}
	type version struct {
		key
		Version int32
		FromAt  time.Time
		ToAt    time.Time
	}
	spans := map[key]span{}
	if err := walk(ctx, w.reader, "condition_versions", nil,
		func(v *version) pgx.StrictNamedArgs {
			return pgx.StrictNamedArgs{"subject_id": v.SubjectID, "rule": v.Rule, "ordinal": v.Ordinal, "version": v.Version}
		},
		func(v *version) {
			fold(result, spans, v.key, func() string { return name(v.key) }, v.Version, v.FromAt, v.ToAt)
		}); err != nil {
		return err
	}

	type row struct {
		key
		Class            int32
		Version          int32
		VersionFrom      time.Time
		FromAt           time.Time
		ToAt             *time.Time
		ResolutionReason *string
	}
	var last *row
	var before *interval
	owned := 0 // open ownership conditions of the subject
	err := walk(ctx, w.reader, "conditions", nil,
		func(r *row) pgx.StrictNamedArgs {
			return pgx.StrictNamedArgs{"subject_id": r.SubjectID, "rule": r.Rule, "ordinal": r.Ordinal}
		},
		func(r *row) {
			result.Compared++
			subject := func() string { return name(r.key) }
			if last == nil || last.SubjectID != r.SubjectID {
				before, owned = nil, 0
			} else if last.Rule != r.Rule {
				before = nil
			}
			now := interval{r.Ordinal, r.FromAt, r.ToAt, r.ResolutionReason}
			follow(result, subject, before, now)
			last, before = r, &now
			closeSpan(result, spans, r.key, subject, r.Version, r.FromAt, r.VersionFrom)

			of := w.indexOf(r.SubjectID)
			d, ok := definition(r.Rule)
			switch {
			case !ok && r.ToAt == nil:
				result.found(subject(), "it is open under a rule that does not exist", "", "")
			case !ok:
			case d.Grain == rule.OfPath:
				result.found(subject(), "a rule of paths has no conditions", "", "")
			case of == none || !w.known[of]:
				result.found(subject(), "its subject does not exist", "", "")
			case w.entities[of].kind != string(d.Grain):
				result.found(subject(), "its subject is something else", string(d.Grain), w.entities[of].kind)
			case r.ToAt == nil && w.entities[of].status == "removed":
				result.found(subject(), "it is open on what is removed", "", "")
			case r.ToAt == nil && d.Grain == rule.OfWorkload:
				differ(result, subject(), "its access class", w.entities[of].class, r.Class)
			}
			if r.ToAt != nil {
				return
			}
			w.lasts[conditionKey{of, r.Rule}] = true
			if rule.Rule(r.Rule) <= rule.OwnershipUnknown {
				if owned++; owned == 2 {
					result.found(subject(), "its workload has another ownership condition", "1", "2")
				}
			}
		})
	orphans(result, spans, name)
	return err
}

func (w *world) readExposures(ctx context.Context) error {
	result := w.report.of(Exposures)
	type key struct {
		PathID  id.ID
		Type    int16
		Ordinal int32
	}
	name := func(k key) string {
		return fmt.Sprintf("exposure %d of type %d on path %s", k.Ordinal, k.Type, k.PathID)
	}
	type version struct {
		key
		Version int32
		FromAt  time.Time
		ToAt    time.Time
	}
	spans := map[key]span{}
	if err := walk(ctx, w.reader, "exposure_versions", nil,
		func(v *version) pgx.StrictNamedArgs {
			return pgx.StrictNamedArgs{"path_id": v.PathID, "type": v.Type, "ordinal": v.Ordinal, "version": v.Version}
		},
		func(v *version) {
			fold(result, spans, v.key, func() string { return name(v.key) }, v.Version, v.FromAt, v.ToAt)
		}); err != nil {
		return err
	}

	type row struct {
		key
		WorkloadID       id.ID
		Class            int32
		Severity         int16
		Disposition      int16
		EffectiveFrom    time.Time
		Version          int32
		VersionFrom      time.Time
		FromAt           time.Time
		ToAt             *time.Time
		ResolutionReason *string
		DecidedBefore    *int64
	}
	var last *row
	var before *interval
	at := 0 // in paths, which come in the same order
	err := walk(ctx, w.reader, "exposures", nil,
		func(r *row) pgx.StrictNamedArgs {
			return pgx.StrictNamedArgs{"path_id": r.PathID, "type": r.Type, "ordinal": r.Ordinal}
		},
		func(r *row) {
			result.Compared++
			subject := func() string { return name(r.key) }
			if last == nil || last.PathID != r.PathID || last.Type != r.Type {
				before = nil
			}
			now := interval{r.Ordinal, r.FromAt, r.ToAt, r.ResolutionReason}
			follow(result, subject, before, now)
			last, before = r, &now
			closeSpan(result, spans, r.key, subject, r.Version, r.FromAt, r.VersionFrom)
			if manual := string(rule.Manual); r.DecidedBefore != nil && (r.ResolutionReason == nil || *r.ResolutionReason != manual) {
				w.report.of(Past).found(subject(), "it was not resolved by hand and says what was decided before", "", strconv.FormatInt(*r.DecidedBefore, 10))
			}

			for at < len(w.paths) && bytes.Compare(w.paths[at].id[:], r.PathID[:]) < 0 {
				at++
			}
			if at == len(w.paths) || w.paths[at].id != r.PathID {
				result.found(subject(), "its path does not exist", "", "")
				return
			}
			p := &w.paths[at]
			differ(result, subject(), "its workload", w.idOf(p.workload), r.WorkloadID)
			if r.ToAt != nil {
				return
			}
			differ(result, subject(), "its access class", p.class, r.Class)
			switch {
			case !p.active:
				result.found(subject(), "it is open on a path that is removed", "", "")
				return
			case !p.effective:
				result.found(subject(), "it is open on a path that is not effective", "", "")
				return
			}
			w.checkGround(result, p, r.Type, subject)
			if p.end > p.begin && w.open[p.end-1].typ == r.Type {
				return // two are open, which follow has told
			}
			if p.end == 0 {
				p.begin = int32(len(w.open)) //nolint:gosec // no memory holds more of them
			}
			w.open = append(w.open, exposure{r.Type, r.Severity, r.Disposition, dayOf(r.EffectiveFrom)})
			p.end = int32(len(w.open)) //nolint:gosec // as above
		})
	orphans(result, spans, name)
	return err
}

// checkGround holds an open exposure against the condition that it fans out from.
func (w *world) checkGround(r *Result, p *path, typ int16, subject func() string) {
	d, ok := definition(typ)
	of := p.workload
	switch {
	case !ok:
		r.found(subject(), "it is open under a rule that does not exist", "", "")
		return
	case d.Grain == rule.OfPath:
		return
	case d.Grain == rule.OfIdentity:
		of = p.identity
	}
	if of == none {
		r.found(subject(), "it is about an identity, and its path has none", "", "")
	} else if !w.lasts[conditionKey{of, typ}] {
		r.found(subject(), "the condition that it comes from is not open", "", string(d.Grain)+" "+w.idOf(of).String())
	}
}

// checkMasks counts the open exposures of each path.
func (w *world) checkMasks() {
	result := w.report.of(Masks)
	for i := range w.paths {
		p := &w.paths[i]
		var counted standing
		for _, e := range w.open[p.begin:p.end] {
			bit := int32(1) << (e.typ - 1)
			for level := max(e.disposition, 1); level < falsePositive; level++ {
				counted.masks[level-1] |= bit
			}
			if e.disposition <= acknowledged {
				counted.count++
				counted.severity = max(counted.severity, e.severity)
			}
		}
		result.Compared++
		p.counted = counted
		differ(result, pathName(p.id), "what it says of its exposures", counted.String(), p.stored.String())
	}
}
