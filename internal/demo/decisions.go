package demo

import (
	"time"

	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// Person is somebody who judges what the server found.
type Person struct {
	Subject  string
	Operates bool // and so may resolve by hand
}

// The people of the security team.
var (
	nadia  = Person{Subject: "nadia.haddad@example.com"}
	samuel = Person{Subject: "samuel.osei@example.com", Operates: true}
)

// Decision is what somebody decides.
type Decision struct {
	By      Person
	Because string // in their words
	What    Judgement
}

// Judgement is one of the types below.
type Judgement interface{ judgement() }

// Judged is a word on one exposure.
type Judged struct {
	Key      string // of the request, as it is repeated
	Action   string // the words are those of internal/triage
	Reason   string // of a false positive
	Exposure Exposure
	Version  int // that was looked at
}

// JudgedMany is the same word on many exposures.
type JudgedMany struct {
	Key       string
	Action    string
	Exposures []Exposure
}

// Undone takes back what somebody said of many exposures.
type Undone struct {
	Key string
	Of  Decision // JudgedMany
}

// Attested vouches for what an identity holds.
type Attested struct{ Identity record.Ref }

// Justified says why a path keeps actions that nobody uses.
type Justified struct {
	Path    Path
	Actions []string
}

func (Judged) judgement()     {}
func (JudgedMany) judgement() {}
func (Undone) judgement()     {}
func (Attested) judgement()   {}
func (Justified) judgement()  {}

// Path is an authority path; without an identity, one of which none is known.
type Path struct{ Workload, Identity, Resource record.Ref }

// Exposure is what is wrong with a path, in the interval of this ordinal.
type Exposure struct {
	Path    Path
	Type    rule.Type
	Ordinal int
}

// ID is the id of the path in an organization.
func (p Path) ID(organization id.ID) id.ID {
	var identity *id.ID
	if p.Identity != (record.Ref{}) {
		known := EntityID(organization, p.Identity)
		identity = &known
	}
	return id.AuthorityPath(organization, EntityID(organization, p.Workload), identity, EntityID(organization, p.Resource))
}

// EntityID is the id of an entity in an organization.
func EntityID(organization id.ID, ref record.Ref) id.ID {
	return id.Entity(organization, string(ref.Kind), ref.System, ref.SourceID)
}

// What people decided, in days before (so negative) the base date.
const (
	erasureJustified  = -83 // the pipeline may delete what it never deleted
	portalMarked      = -82 // the way to the vendor portal is no exposure,
	portalMoves       = -76 // nothing goes there for some days,
	portalBack        = -71 // and it still is none when it is taken again
	warehouseMarked   = -60 // the warehouse is said to hold nothing,
	warehouseUnmarked = -57 // and found to
	orphanTakenOn     = -48 // somebody looks for who follows Marek Novak
	etlReviewed       = -30 // what the pipeline holds is as it should be
	routerSwitchedOff = -20 // or so it is said, until the next judgement
	dormantTakenOn    = -13 // what sleeps is to go,
	dormantUndone     = -12 // but not all of it
	ledgerTakenOn     = -2  // somebody looks for who follows Bob Chen
)

// The ways that people judge.
var (
	pipelineToRaw       = Path{pipeline, etl, rawLake}
	pipelineToWarehouse = Path{pipeline, etl, warehouse}
	vendorsUnbound      = Path{Workload: vendorSync, Resource: vendors}
	hrToEmployees       = Path{hrExport, hrPrincipal, employeeStore}
	hrToCases           = Path{hrExport, hrPrincipal, hrCases}
	strayToGraph        = Path{strayRouter, routerSuccessor, graph}
	invoicesToLedger    = Path{invoiceRule, financeAPI, ledger}
)

// sleeping are the exposures of the staging identity, which stopped acting.
var sleeping = []Exposure{
	{Path{pipeline, etlStaging, rawLake}, rule.DormantPath, 1},
	{Path{pipeline, etlStaging, warehouse}, rule.DormantPath, 1},
	{Path{pipeline, etlStaging, stagingLake}, rule.DormantPath, 1},
}

// allSleeping are those of the HR export, too. What was decided about them is
// taken back the day after.
var allSleeping = Decision{nadia, "Neither identity has acted for three months. Both are to be taken away in March.", JudgedMany{
	Key: "demo-dormant", Action: "acknowledge",
	Exposures: append([]Exposure{{hrToEmployees, rule.DormantPath, 1}, {hrToCases, rule.DormantPath, 1}}, sleeping...),
}}

// decided is a decision on a day.
type decided struct {
	day, hour, minute int
	Decision
}

func (d decided) at(base time.Time) time.Time {
	return on(base, d.day, d.hour).Add(time.Duration(d.minute) * time.Minute)
}

// decisions are what people decided, in order.
var decisions = []decided{
	{erasureJustified, 10, 0, Decision{nadia, "Customers' records are deleted here when they ask for it, which happens a few times a year.",
		Justified{pipelineToRaw, []string{"delete"}}}},
	{portalMarked, 14, 30, Decision{nadia, "The portal is reached through a private link, and the gateway in front of it lets out nothing but order numbers.", Judged{
		Key: "demo-portal", Action: "mark_false_positive", Reason: "compensating_control", Exposure: Exposure{vendorsUnbound, rule.ExternalEgressing, 1}, Version: 1}}},
	{warehouseMarked, 11, 0, Decision{samuel, "The warehouse holds masked records only.", Judged{
		Key: "demo-warehouse", Action: "mark_false_positive", Reason: "wrong_data", Exposure: Exposure{pipelineToWarehouse, rule.SensitiveReach, 1}, Version: 1}}},
	{warehouseUnmarked, 16, 15, Decision{nadia, "Two of its tables hold names and addresses as they are: it is confidential.", Judged{
		Key: "demo-warehouse-again", Action: "unmark_false_positive", Exposure: Exposure{pipelineToWarehouse, rule.SensitiveReach, 1}, Version: 2}}},
	{orphanTakenOn, 11, 0, Decision{nadia, "Marek Novak left. HR names who answers for the export until the end of the quarter (HR-2231).", Judged{
		Key: "demo-hr-export", Action: "acknowledge", Exposure: Exposure{hrToEmployees, rule.OrphanedPath, 1}, Version: 1}}},
	{etlReviewed, 14, 0, Decision{samuel, "Access review of the first quarter: what it holds is what the pipeline needs.", Attested{etl}}},
	{routerSwitchedOff, 15, 0, Decision{samuel, "The platform team says that the rule is switched off.", Judged{
		Key: "demo-router", Action: "resolve", Exposure: Exposure{strayToGraph, rule.UnprovenPath, 1}, Version: 1}}},
	{dormantTakenOn, 9, 30, allSleeping},
	{dormantUndone, 16, 0, Decision{samuel, "The HR export is needed once a year; only the staging identity goes.", Undone{"demo-dormant-undone", allSleeping}}},
	{dormantUndone, 16, 10, Decision{nadia, "The staging identity is taken away in March (CHG-4105).", JudgedMany{
		Key: "demo-staging", Action: "acknowledge", Exposures: sleeping}}},
	{ledgerTakenOn, 9, 15, Decision{nadia, "Bob Chen left. Finance names who answers for the rule this week (FIN-880).", Judged{
		Key: "demo-ledger", Action: "acknowledge", Exposure: Exposure{invoicesToLedger, rule.OrphanedPath, 1}, Version: 1}}},
}
