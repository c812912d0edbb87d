package invariant

import (
	"context"
	"fmt"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/org"
	"github.com/exposuregraph/exposuregraph/internal/posture"
)

// shown is how many findings of a check are told one by one.
const shown = 20

// The checks.
const (
	Sources    = "sources"
	Paths      = "paths"
	Execution  = "execution"
	Conditions = "conditions"
	Exposures  = "exposures"
	Masks      = "masks"
	Members    = "members"
	References = "references"
	Counters   = "counters"
	Tallies    = "tallies"
	Workloads  = "workloads"
	Codes      = "codes"
	Identities = "identities"
	Posture    = "posture"
	Snapshots  = "snapshots"
	Past       = "past"
	Assets     = "assets"
	Feed       = "feed"
	Ledger     = "ledger"
)

// meanings are the checks in their order, each with what it proves.
var meanings = []struct{ check, meaning string }{
	{Sources, "Each assertion, edge, egress and evidence is that of a source that exists."},
	{Paths, "The versions of each path cover every instant since it was first seen once; its ends exist, and an active path has their attributes."},
	{Execution, "The executions of each active path are those of the most specific evidence in the window, counted from the evidence."},
	{Conditions, "The intervals of a condition follow each other, its versions cover each of them, its subject exists, and a workload has one ownership condition at most."},
	{Exposures, "The intervals of an exposure follow each other, its versions cover each of them; it is open only on a path that stands, under an open condition."},
	{Masks, "The masks, the number and the highest severity on each path are those of its open exposures."},
	{Members, "The members of each cluster are the paths whose open exposures satisfy its expression, at the right level, class and rank, in intervals that do not overlap."},
	{References, "The identities, workloads and evidence of each cluster are referenced as often as its members do."},
	{Counters, "Every counter, for each level and access class and for all of them, is what the members come to; former values cover the time before without gap."},
	{Tallies, "The tallies by domain, day of first sight and day of exposure are those of the members."},
	{Workloads, "Every workload that ever lived has one row, and its row says what its paths, conditions, identities, clusters and evidence come to."},
	{Codes, "The code of each workload is the beginning of its digest, no longer than it has to be, and no other workload has it."},
	{Identities, "Each identity has a row for every access class that a path through it has, and one for all, and they say what those paths come to."},
	{Posture, "The posture, for each access class and for all of them, is what workloads and identities come to; how many paths stood, came and went at any time is what their versions say; what counts on never falls."},
	{Snapshots, "Every sync and evaluation left one snapshot behind, which says what the posture then was; the last one also what the clusters are."},
	{Past, "What is shown of the past is kept: former rows of entities, assertions, edges, coverage, tallies and workloads are dated, follow each other and end in the rows that stand; workloads, members and tallies come at any time to what counters and snapshots then were."},
	{Assets, "The versions of each asset cover every instant since it was first seen once; it says what its sources last said of it, field by field, and runs what stands below it; only what is active is seen by a source now; sightings, ties and links do not overlap, and what they are about exists; a workload is linked to it by exactly what says so now, and it is of the class of those workloads, or of the one that stands for their classes, if they have one."},
	{Feed, "The numbers of the feed have no gap, its ids are those of what it tells, what each follows from is there, and the days count them; everything that happened is told once, as it happened, or waits to be; nothing else is told."},
	{Ledger, "The entries of the ledger follow one another by their hashes, its tree, checkpoints and head are theirs; dispositions, attested baselines, justifications, snapshots and signing keys are what the entries say."},
}

// Finding is a row that is not what it should be.
type Finding struct {
	Organization string `json:"organization"`
	Check        string `json:"check"`
	Subject      string `json:"subject"`
	Message      string `json:"message"`
	Want         string `json:"want,omitempty"`
	Have         string `json:"have,omitempty"`
}

// Result is what a check found.
type Result struct {
	Check    string    `json:"check"`
	Meaning  string    `json:"meaning"`
	Compared int64     `json:"compared"` // rows that were held against what they should be; 0 proves nothing
	Findings int64     `json:"findings"` // all of them
	First    []Finding `json:"first"`    // the first of them

	organization string
}

// Report is what all checks found in an organization.
type Report struct {
	Organization string    `json:"organization"`
	Checks       []*Result `json:"checks"`
}

// Holds says whether nothing was found.
func (r Report) Holds() bool {
	for _, result := range r.Checks {
		if result.Findings > 0 {
			return false
		}
	}
	return true
}

// of is the result of a check.
func (r Report) of(check string) *Result {
	for _, result := range r.Checks {
		if result.Check == check {
			return result
		}
	}
	panic("no check " + check)
}

func (r *Result) found(subject, message, want, have string) {
	r.Findings++
	if len(r.First) < shown {
		r.First = append(r.First, Finding{r.organization, r.Check, subject, message, want, have})
	}
}

// differ compares two values of a subject.
func differ[V comparable](r *Result, subject, what string, want, have V) {
	if want != have {
		r.found(subject, what+" is wrong", fmt.Sprint(want), fmt.Sprint(have))
	}
}

// Check reads an organization and counts again. The definitions are those of
// the program; what is stored decides where an older version still counts.
//
// It is the operator's tool on the database itself and asks nobody for scopes.
func Check(ctx context.Context, snapshot *db.Snapshot, organization *org.Organization, definitions []posture.Definition) (Report, error) {
	report := Report{Organization: organization.Slug}
	for _, m := range meanings {
		report.Checks = append(report.Checks, &Result{Check: m.check, Meaning: m.meaning, First: []Finding{}, organization: organization.Slug})
	}
	reader := &reader{querier: snapshot.Of(organization.ID), shared: snapshot.Shared(), rows: pageRows}
	if err := reader.begin(ctx); err != nil {
		return report, err
	}
	if err := checkLedger(ctx, snapshot, organization, report.of(Ledger)); err != nil {
		return report, err
	}
	w := newWorld(report, reader, organization.ID)
	for _, step := range []func(context.Context) error{w.checkSources, w.readHistory, w.readEntities, w.readTies, w.readPaths, w.readEvidence, w.readConditions, w.readExposures} {
		if err := step(ctx); err != nil {
			return report, err
		}
	}
	w.checkMasks()
	if err := w.checkClusters(ctx, definitions); err != nil {
		return report, err
	}
	if err := w.checkPosture(ctx); err != nil {
		return report, err
	}
	if err := w.checkPast(ctx); err != nil {
		return report, err
	}
	if err := w.checkAssets(ctx); err != nil {
		return report, err
	}
	return report, w.checkFeed(ctx)
}
