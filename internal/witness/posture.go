package witness

import (
	"fmt"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/page"
	"github.com/exposuregraph/exposuregraph/internal/posture"
)

var workloadFilters = []posture.WorkloadFilter{
	{},
	{Severities: []rule.Severity{rule.Critical, rule.High}, Ownership: []authority.OwnershipStatus{authority.OwnershipOrphaned, authority.OwnershipValid}},
	{Or: []posture.WorkloadFilter{{Clusters: []int16{1, 4}}, {Modes: []record.ExecutionMode{record.Autonomous}}}},
}

func (w *asking) workloads() error {
	var reader posture.Reader
	for i, filter := range workloadFilters {
		for _, field := range []posture.WorkloadOrderField{posture.BySeverity, posture.ByExecutions, posture.ByLastExecution}[:3-i] {
			order := posture.WorkloadOrder{Field: field, Descending: true}
			found, err := reader.WorkloadExposures(w.ctx, w.snapshot, w.organization, filter, order, page.Request{First: &everything})
			if err != nil {
				return fmt.Errorf("workload exposures: %w", err)
			}
			answer := without(found.Slice)
			if answer.Count, err = reader.CountWorkloadExposures(w.ctx, w.snapshot, w.organization, filter); err != nil {
				return err
			}
			for _, x := range found.Rows {
				w.keys.Add(Keys{Workloads: []id.ID{x.WorkloadID}, Identities: x.IdentityIDs, Codes: []string{x.Code}})
			}
			if err := w.say(answer, "workload exposures", i, order); err != nil {
				return err
			}
		}
	}
	pages, err := walk(2, func(request page.Request) (page.Slice[*posture.WorkloadExposure], func(*posture.WorkloadExposure) string, error) {
		found, err := reader.WorkloadExposures(w.ctx, w.snapshot, w.organization, posture.WorkloadFilter{}, posture.WorkloadOrder{Field: posture.ByPaths}, request)
		return found.Slice, found.Cursor, err
	})
	if err != nil {
		return err
	}
	if err := w.say(pages, "workload exposures page by page"); err != nil {
		return err
	}
	return w.rows()
}

// rows are what is known of workloads by their ids.
func (w *asking) rows() error {
	var reader posture.Reader
	rows, err := reader.WorkloadExposuresByWorkloads(w.ctx, w.snapshot, w.organization, w.keys.Workloads)
	if err != nil {
		return err
	}
	found := map[string]any{}
	for _, x := range rows {
		found[x.WorkloadID.String()] = x
	}
	dossiers, err := reader.Dossiers(w.ctx, w.snapshot, w.organization, w.keys.Workloads)
	if err != nil {
		return err
	}
	for _, d := range dossiers {
		found["dossier of "+d.WorkloadID.String()] = d
	}
	for _, code := range w.keys.Codes {
		detail, err := reader.WorkloadExposure(w.ctx, w.snapshot, w.organization, code, id.Nil)
		if err != nil {
			return err
		}
		if detail != nil {
			found[code] = detail
		}
	}
	two := 2
	list := &posture.ExposureList{Request: page.Request{First: &two}}
	pages, err := reader.ExposuresOf(w.ctx, w.snapshot, w.organization, list, w.keys.Workloads)
	if err != nil {
		return err
	}
	counts, err := reader.CountExposuresOf(w.ctx, w.snapshot, w.organization, w.keys.Workloads)
	if err != nil {
		return err
	}
	for workload, shown := range pages {
		if len(shown.Rows) > 0 {
			found["exposures of "+workload.String()] = []any{without(shown.Slice), counts[workload]}
		}
	}
	return w.say(found, "workloads")
}

func (w *asking) postures() error {
	var reader posture.Reader
	for _, days := range []int{0, 1, 40} {
		var since *time.Time
		if days > 0 {
			now, err := reader.Posture(w.ctx, w.snapshot, w.organization, nil)
			if err != nil || now == nil {
				return err
			}
			at := now.At.AddDate(0, 0, -days)
			since = &at
		}
		found, err := reader.Posture(w.ctx, w.snapshot, w.organization, since)
		if err != nil {
			return fmt.Errorf("posture: %w", err)
		}
		if err := w.say(found, "posture since", days); err != nil {
			return err
		}
	}
	for _, descending := range []bool{true, false} {
		three := 3
		found, err := reader.Snapshots(w.ctx, w.snapshot, w.organization, posture.SnapshotFilter{}, descending, page.Request{First: &three})
		if err != nil {
			return err
		}
		answer := without(found.Slice)
		if answer.Count, err = reader.CountSnapshots(w.ctx, w.snapshot, w.organization, posture.SnapshotFilter{}); err != nil {
			return err
		}
		if err := w.say(answer, "snapshots", descending); err != nil {
			return err
		}
	}
	return nil
}

func (w *asking) clusters() error {
	var reader posture.Reader
	for _, level := range []posture.Level{posture.Open, posture.Acknowledged, posture.Accepted} {
		overview, err := reader.Overview(w.ctx, w.snapshot, w.organization, level)
		if err != nil {
			return fmt.Errorf("overview: %w", err)
		}
		if err := w.say(overview, "overview up to", level); err != nil {
			return err
		}
		var numbers []int16
		for _, c := range overview {
			numbers = append(numbers, c.Cluster)
		}
		for _, part := range []posture.Part{posture.Workloads, posture.Identities} {
			pages, err := reader.PartsOf(w.ctx, w.snapshot, w.organization, &posture.PartList{Part: part, Level: level, Request: page.Request{First: &everything}}, numbers)
			if err != nil {
				return err
			}
			answer := map[int16]listed[id.ID]{}
			for number, found := range pages {
				answer[number] = without(found.Slice)
			}
			if err := w.say(answer, part, "up to", level); err != nil {
				return err
			}
		}
	}
	memberships, err := reader.Memberships(w.ctx, w.snapshot, w.organization, w.keys.paths())
	if err != nil {
		return err
	}
	return w.say(named(memberships), "memberships")
}
