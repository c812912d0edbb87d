package posture

import (
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/exposure"
	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/page"
)

// WorkloadPage is a page of workload exposures with the cursors of its rows.
type WorkloadPage struct {
	page.Slice[*WorkloadExposure]
	Cursor func(*WorkloadExposure) string
}

// WorkloadExposures lists the workloads that live and have paths or findings.
func (*Reader) WorkloadExposures(ctx context.Context, snapshot *db.Snapshot, organization id.ID, filter WorkloadFilter, order WorkloadOrder, request page.Request) (WorkloadPage, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return WorkloadPage{}, err
	}
	if err := filter.check(); err != nil {
		return WorkloadPage{}, err
	}
	binding := bindWorkloads(snapshot.Instant(), organization, filter, order)
	p, err := request.Resolve(binding, len(order.keys()))
	if err != nil {
		return WorkloadPage{}, err
	}
	list := page.Listing{Page: p, Keys: order.keys(), Descending: order.Descending}
	query, args, err := list.Query(readQueries.Get("workload_exposures_page"), filter.where())
	if err != nil {
		return WorkloadPage{}, err
	}
	rows, err := db.Select[WorkloadExposure](ctx, q, query, args)
	return WorkloadPage{Slice: page.Cut(p, rows), Cursor: func(w *WorkloadExposure) string { return page.Cursor(binding, order.values(w)...) }}, err
}

// CountWorkloadExposures counts what WorkloadExposures lists. What a filter that
// is Empty lists is counted already: Posture.Listed.
func (*Reader) CountWorkloadExposures(ctx context.Context, snapshot *db.Snapshot, organization id.ID, filter WorkloadFilter) (int, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return 0, err
	}
	where := filter.where()
	counts, err := db.Column[int64](ctx, q, readQueries.Get("count_workload_exposures").Where(where), where.Args())
	if err != nil {
		return 0, err
	}
	return int(counts[0]), nil
}

// WorkloadExposuresByWorkloads gives the rows of those of the workloads that
// have one.
func (*Reader) WorkloadExposuresByWorkloads(ctx context.Context, snapshot *db.Snapshot, organization id.ID, workloads []id.ID) ([]*WorkloadExposure, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return nil, err
	}
	return db.Select[WorkloadExposure](ctx, q, readQueries.Get("workload_exposures_by_workloads"), pgx.StrictNamedArgs{"ids": workloads})
}

// WorkloadDetail is a row, and what says when it was last judged.
type WorkloadDetail struct {
	WorkloadExposure
	LastSeenAt  *time.Time // the last complete sync of the sources that assert the workload
	ClockAt     *time.Time
	EvaluatedAt *time.Time
}

// WorkloadExposure gives the row of a code or of a workload; nil if there is
// none. What is not asked for is empty.
func (*Reader) WorkloadExposure(ctx context.Context, snapshot *db.Snapshot, organization id.ID, code string, workload id.ID) (*WorkloadDetail, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return nil, err
	}
	rows, err := db.Select[WorkloadDetail](ctx, q, readQueries.Get("workload_exposure_detail"), pgx.StrictNamedArgs{"code": code, "id": workload})
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return rows[0], nil
}

// Dossier is what is recorded about a workload.
type Dossier struct {
	WorkloadID     id.ID
	DirectRecords  int64 // of executions that name it
	RelatedRecords int64 // of others that tell of it
	Coverage       map[record.EvidenceKind]rule.Coverage
}

// Dossiers gives what is recorded about those of the workloads that have a row.
func (*Reader) Dossiers(ctx context.Context, snapshot *db.Snapshot, organization id.ID, workloads []id.ID) ([]*Dossier, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return nil, err
	}
	return db.Select[Dossier](ctx, q, readQueries.Get("dossiers"), pgx.StrictNamedArgs{"ids": workloads, "nil": id.Nil})
}

// ExposureList is a nested list of the exposures of a workload's paths that hold
// and that nobody called false, the gravest first. The workloads of one request
// share it.
type ExposureList struct{ Request page.Request }

func (l *ExposureList) binding(at *time.Time, organization, workload id.ID) page.Binding {
	return page.BindingAt(at, "exposures of workload", organization, nil).ID(workload).Short()
}

var exposureKeys = []page.Key{
	{Column: "x.severity", Parse: page.SmallKey}, {Column: "x.from_at", Parse: page.TimeKey},
	{Column: "x.path_id", Parse: page.IDKey}, {Column: "x.type", Parse: page.SmallKey}, {Column: "x.ordinal", Parse: page.WholeKey},
}

func exposureValues(x *exposure.Exposure) []string {
	return []string{strconv.Itoa(int(x.Severity)), page.Stamp(x.FromAt), x.PathID.String(), strconv.Itoa(int(x.Type)), strconv.Itoa(x.Ordinal)}
}

// ExposuresOf gives each workload its page.
func (*Reader) ExposuresOf(ctx context.Context, snapshot *db.Snapshot, organization id.ID, list *ExposureList, workloads []id.ID) (map[id.ID]exposure.Page, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return nil, err
	}
	pages := make(map[id.ID]exposure.Page, len(workloads))
	err = page.Under(list.Request, workloads, func(batch []id.ID) error {
		return exposuresOf(ctx, q, snapshot.Instant(), organization, list, batch, pages)
	})
	return pages, err
}

func exposuresOf(ctx context.Context, q db.Querier, at *time.Time, organization id.ID, list *ExposureList, workloads []id.ID, pages map[id.ID]exposure.Page) error {
	p, err := list.Request.Resolve(list.binding(at, organization, workloads[0]), len(exposureKeys))
	if err != nil {
		return err
	}
	rows := page.Listing{Page: p, Keys: exposureKeys, Descending: true}
	query, args, err := rows.Query(readQueries.Get("exposures_of_workloads"), db.Where{})
	if err != nil {
		return err
	}
	args["workloads"] = workloads
	exposures, err := db.Select[exposure.Exposure](ctx, q, query, args)
	if err != nil {
		return err
	}
	byWorkload := map[id.ID][]*exposure.Exposure{}
	for _, x := range exposures {
		byWorkload[x.WorkloadID] = append(byWorkload[x.WorkloadID], x)
	}
	for _, workload := range workloads {
		binding := list.binding(at, organization, workload)
		pages[workload] = exposure.Page{
			Slice:  page.Cut(p, byWorkload[workload]),
			Cursor: func(x *exposure.Exposure) string { return page.Cursor(binding, exposureValues(x)...) },
		}
	}
	return nil
}

// CountExposuresOf counts each workload's list.
func (*Reader) CountExposuresOf(ctx context.Context, snapshot *db.Snapshot, organization id.ID, workloads []id.ID) (map[id.ID]int, error) {
	q, err := access.Reader(ctx, snapshot, organization, access.View)
	if err != nil {
		return nil, err
	}
	type row struct {
		WorkloadID id.ID
		Count      int64
	}
	rows, err := db.Select[row](ctx, q, readQueries.Get("count_exposures_of_workloads"), pgx.StrictNamedArgs{"workloads": workloads})
	counts := make(map[id.ID]int, len(rows))
	for _, r := range rows {
		counts[r.WorkloadID] = int(r.Count)
	}
	return counts, err
}
