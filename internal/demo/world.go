package demo

import (
	"time"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// The systems.
const (
	serviceNowSystem = "servicenow"
	entraSystem      = "entra_id"
	azureSystem      = "azure"
)

// What runs.
var (
	invoiceRule  = record.Ref{Kind: record.Workload, System: serviceNowSystem, SourceID: "wl-invoice-rule"}
	graphRouter  = record.Ref{Kind: record.Workload, System: serviceNowSystem, SourceID: "wl-azure-graph-router"}
	strayRouter  = record.Ref{Kind: record.Workload, System: serviceNowSystem, SourceID: "wl-azure-graph-router-no-owner"}
	ticketRouter = record.Ref{Kind: record.Workload, System: serviceNowSystem, SourceID: "wl-auto-route-identity"}
	hrExport     = record.Ref{Kind: record.Workload, System: serviceNowSystem, SourceID: "wl-hr-export"}
	vendorSync   = record.Ref{Kind: record.Workload, System: serviceNowSystem, SourceID: "wl-vendor-sync"}
	secLogger    = record.Ref{Kind: record.Workload, System: serviceNowSystem, SourceID: "wl-sec-logger"}
	pipeline     = record.Ref{Kind: record.Workload, System: azureSystem, SourceID: "wl-data-pipeline"}
	reconciler   = record.Ref{Kind: record.Workload, System: azureSystem, SourceID: "wl-payment-reconciler"}
)

// What it runs as.
var (
	financeAPI      = record.Ref{Kind: record.Identity, System: entraSystem, SourceID: "id-svc-finance-api"}
	routerPrincipal = record.Ref{Kind: record.Identity, System: entraSystem, SourceID: "id-sp-61c1fe"}
	routerSuccessor = record.Ref{Kind: record.Identity, System: entraSystem, SourceID: "id-sp-9d04ab"}
	etl             = record.Ref{Kind: record.Identity, System: entraSystem, SourceID: "id-svc-etl"}
	etlStaging      = record.Ref{Kind: record.Identity, System: entraSystem, SourceID: "id-svc-etl-staging"}
	hrPrincipal     = record.Ref{Kind: record.Identity, System: entraSystem, SourceID: "id-sp-hr-export"}
)

// What can be reached.
var (
	incidents     = record.Ref{Kind: record.Resource, System: serviceNowSystem, SourceID: "res-incident-table"}
	cmdb          = record.Ref{Kind: record.Resource, System: serviceNowSystem, SourceID: "res-cmdb"}
	hrCases       = record.Ref{Kind: record.Resource, System: serviceNowSystem, SourceID: "res-hr-cases"}
	invoices      = record.Ref{Kind: record.Resource, System: serviceNowSystem, SourceID: "res-invoice-table"}
	graph         = record.Ref{Kind: record.Resource, System: entraSystem, SourceID: "res-microsoft-graph"}
	directory     = record.Ref{Kind: record.Resource, System: entraSystem, SourceID: "res-entra-directory"}
	signInLogs    = record.Ref{Kind: record.Resource, System: entraSystem, SourceID: "res-signin-logs"}
	ledger        = record.Ref{Kind: record.Resource, System: azureSystem, SourceID: "res-erp-ledger"}
	payments      = record.Ref{Kind: record.Resource, System: azureSystem, SourceID: "res-payment-gateway"}
	vendors       = record.Ref{Kind: record.Resource, System: azureSystem, SourceID: "res-vendor-master"}
	vault         = record.Ref{Kind: record.Resource, System: azureSystem, SourceID: "res-key-vault"}
	rawLake       = record.Ref{Kind: record.Resource, System: azureSystem, SourceID: "res-lake-raw"}
	curatedLake   = record.Ref{Kind: record.Resource, System: azureSystem, SourceID: "res-lake-curated"}
	stagingLake   = record.Ref{Kind: record.Resource, System: azureSystem, SourceID: "res-lake-staging"}
	warehouse     = record.Ref{Kind: record.Resource, System: azureSystem, SourceID: "res-customer-warehouse"}
	employeeStore = record.Ref{Kind: record.Resource, System: azureSystem, SourceID: "res-employee-records"}
	logArchive    = record.Ref{Kind: record.Resource, System: azureSystem, SourceID: "res-log-archive"}
)

// What grants.
var (
	groupWriter    = record.Ref{Kind: record.Role, System: entraSystem, SourceID: "role-group-readwrite-all"}
	userReader     = record.Ref{Kind: record.Role, System: entraSystem, SourceID: "role-user-read-all"}
	dirWriter      = record.Ref{Kind: record.Role, System: entraSystem, SourceID: "role-directory-readwrite-all"}
	auditReader    = record.Ref{Kind: record.Role, System: entraSystem, SourceID: "role-auditlog-read-all"}
	ledgerPoster   = record.Ref{Kind: record.Role, System: azureSystem, SourceID: "role-ledger-contributor"}
	paymentMaker   = record.Ref{Kind: record.Role, System: azureSystem, SourceID: "role-payment-initiator"}
	vendorReader   = record.Ref{Kind: record.Role, System: azureSystem, SourceID: "role-vendor-reader"}
	secretsOfficer = record.Ref{Kind: record.Role, System: azureSystem, SourceID: "role-secrets-officer"}
	lakeWriter     = record.Ref{Kind: record.Role, System: azureSystem, SourceID: "role-lake-contributor"}
	lakeReader     = record.Ref{Kind: record.Role, System: azureSystem, SourceID: "role-lake-reader"}
	stagingWriter  = record.Ref{Kind: record.Role, System: azureSystem, SourceID: "role-staging-contributor"}
	warehouser     = record.Ref{Kind: record.Role, System: azureSystem, SourceID: "role-warehouse-writer"}
	archiver       = record.Ref{Kind: record.Role, System: azureSystem, SourceID: "role-archive-writer"}
	employeeReader = record.Ref{Kind: record.Role, System: azureSystem, SourceID: "role-employee-exporter"}
	itil           = record.Ref{Kind: record.Role, System: serviceNowSystem, SourceID: "role-itil"}
	caseReader     = record.Ref{Kind: record.Role, System: serviceNowSystem, SourceID: "role-hr-case-reader"}
	invoiceClerk   = record.Ref{Kind: record.Role, System: serviceNowSystem, SourceID: "role-invoice-clerk"}
)

// Who answers for it.
var (
	bob          = record.Ref{Kind: record.Owner, System: entraSystem, SourceID: "bob.chen@example.com"}
	alice        = record.Ref{Kind: record.Owner, System: entraSystem, SourceID: "alice.nguyen@example.com"}
	tom          = record.Ref{Kind: record.Owner, System: entraSystem, SourceID: "tom.becker@example.com"}
	priya        = record.Ref{Kind: record.Owner, System: entraSystem, SourceID: "priya.raman@example.com"}
	marek        = record.Ref{Kind: record.Owner, System: entraSystem, SourceID: "marek.novak@example.com"}
	jonas        = record.Ref{Kind: record.Owner, System: entraSystem, SourceID: "jonas.weber@example.com"}
	grace        = record.Ref{Kind: record.Owner, System: entraSystem, SourceID: "grace.okafor@example.com"}
	maint        = record.Ref{Kind: record.Owner, System: entraSystem, SourceID: "maint@example.com"}
	identityTeam = record.Ref{Kind: record.Owner, System: entraSystem, SourceID: "grp-identity-platform"}
	secOps       = record.Ref{Kind: record.Owner, System: entraSystem, SourceID: "grp-security-operations"}
)

// The scopes in which roles are held and grant.
const (
	tenant       = "tenant"
	production   = "/subscriptions/contoso-prod"
	staging      = "/subscriptions/contoso-staging"
	serviceScope = "global"
)

const day = 24 * time.Hour

// on is an hour of a day, counted from the base date.
func on(base time.Time, days, hour int) time.Time {
	return base.AddDate(0, 0, days).Add(time.Duration(hour) * time.Hour)
}

// said collects the facts of a delivery. Within its system names stand alone.
type said struct {
	system string
	facts  []record.Fact
}

func (s *said) local(ref record.Ref) record.Ref {
	if ref.System == s.system {
		ref.System = ""
	}
	return ref
}

func (s *said) optional(ref record.Ref) *record.Ref {
	if ref == (record.Ref{}) {
		return nil
	}
	ref = s.local(ref)
	return &ref
}

func (s *said) entity(ref record.Ref, e record.Entity) {
	e.Ref = s.local(ref)
	s.facts = append(s.facts, e)
}

func (s *said) edge(kind record.EdgeKind, from, to record.Ref, e record.Edge) {
	e.Kind, e.From, e.To = kind, s.local(from), s.local(to)
	s.facts = append(s.facts, e)
}

func (s *said) resource(ref record.Ref, name, sourceType, domain, sensitivity string) {
	s.entity(ref, record.Entity{Name: name, SourceType: sourceType, DataDomain: domain, Sensitivity: sensitivity})
}

func (s *said) role(ref record.Ref, name, sourceType string) {
	s.entity(ref, record.Entity{Name: name, SourceType: sourceType})
}

func (s *said) grants(role record.Ref, scope string, resource record.Ref, actions ...string) {
	s.edge(record.Grants, role, resource, record.Edge{Scope: scope, Actions: actions})
}

func (s *said) holds(identity record.Ref, scope string, roles ...record.Ref) {
	for _, role := range roles {
		s.edge(record.HasRole, identity, role, record.Edge{Scope: scope})
	}
}

func (s *said) runsAs(workload record.Ref, identities ...record.Ref) {
	for _, identity := range identities {
		s.edge(record.RunsAs, workload, identity, record.Edge{})
	}
}

func (s *said) signsIn(workload, identity record.Ref, protocol string) {
	s.edge(record.Authenticates, workload, identity, record.Edge{Protocol: protocol, TargetSystem: identity.System})
}

func (s *said) owned(subject record.Ref, owners ...record.Ref) {
	for _, owner := range owners {
		s.edge(record.OwnedBy, subject, owner, record.Edge{})
	}
}

func (s *said) made(by record.Ref, subjects ...record.Ref) {
	for _, subject := range subjects {
		s.edge(record.CreatedBy, subject, by, record.Edge{})
	}
}

func (s *said) sends(workload record.Ref, category record.EgressCategory, hosts ...string) {
	for _, host := range hosts {
		s.facts = append(s.facts, record.Egress{Workload: s.local(workload), Host: host, Category: category})
	}
}

func (s *said) answers(workload record.Ref, known record.EndpointKind, name string, port int) {
	s.facts = append(s.facts, record.Endpoint{Workload: s.local(workload), Kind: known, Value: name, Port: port})
}

func (s *said) covers(kinds ...record.EvidenceKind) {
	for _, kind := range kinds {
		s.facts = append(s.facts, record.Coverage{Kind: kind, MaxAge: 180 * day})
	}
}
