package demo

import (
	"time"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// log collects the evidence of the days from one up to, and without, another.
type log struct {
	said
	base     time.Time
	from, to int
}

// runs says how often something ran on each day of an interval that the log
// looks at. The counts go up and down a little, always in the same way.
func (l *log) runs(first, end int, workload, identity, resource record.Ref, action string, least, spread, hour int) {
	for n := max(first, l.from); n < min(end, l.to); n++ {
		l.facts = append(l.facts, record.Evidence{
			Workload: l.optional(workload), Identity: l.optional(identity), Resource: l.optional(resource), Action: action,
			Day: l.base.AddDate(0, 0, n), LastAt: on(l.base, n, hour).Add(time.Duration((n%7+7)*4) * time.Minute), Count: least + (n%spread+spread)%spread,
		})
	}
}

// watches says that the log saw all that was executed.
func (l *log) watches(identities ...record.Ref) {
	claim := record.Coverage{Kind: record.Execution, From: l.base.AddDate(0, 0, retention), MaxAge: 45 * day}
	if len(identities) == 0 {
		l.facts = append(l.facts, claim)
	}
	for _, identity := range identities {
		claim.Entity = l.optional(identity)
		l.facts = append(l.facts, claim)
	}
}

// always is a beginning or an end that no log reaches.
const always = 1 << 20

// nobody and nothing stand where evidence names no identity and no resource.
var nobody, nothing record.Ref

// serviceNowLog is what the ServiceNow instance saw its rules and flows do. Of
// AzureGraphRouterNoOwner it never saw anything.
func serviceNowLog(base time.Time, from, to int) Delivery {
	l := log{said: said{system: serviceNowSystem}, base: base, from: from, to: to}
	l.runs(-always, always, invoiceRule, financeAPI, ledger, "create", 3, 4, 15)
	l.runs(-always, always, invoiceRule, financeAPI, vendors, "read", 3, 4, 15)
	l.runs(-always, always, invoiceRule, financeAPI, invoices, "read", 5, 3, 15)
	l.runs(-always, always, invoiceRule, financeAPI, invoices, "write", 2, 3, 15)
	for _, router := range []struct {
		identity   record.Ref
		first, end int
	}{{routerPrincipal, -always, rotated}, {routerSuccessor, rotated, always}} {
		l.runs(router.first, router.end, graphRouter, router.identity, graph, "group.read", 12, 5, 20)
		l.runs(router.first, router.end, graphRouter, router.identity, graph, "group.update", 4, 3, 20)
		l.runs(router.first, min(router.end, revoked), graphRouter, router.identity, directory, "directory.read", 2, 2, 20)
		l.runs(router.first, router.end, ticketRouter, router.identity, graph, "user.read", 8, 4, 21)
		l.runs(router.first, router.end, ticketRouter, router.identity, incidents, "read", 8, 4, 21)
		l.runs(router.first, router.end, ticketRouter, router.identity, incidents, "write", 6, 4, 21)
	}
	for n := firstLogged; n <= hrActed; n += 19 { // by hand, and then never again
		l.runs(n, n+1, hrExport, hrPrincipal, employeeStore, "export", 1, 1, 14)
	}
	l.runs(-always, always, vendorSync, nobody, nothing, "", 1, 2, 18)
	l.runs(-always, always, secLogger, nobody, nothing, "", 20, 11, 22)
	l.watches()
	l.watches(hrPrincipal)
	return Delivery{Source: "servicenow-log", System: serviceNowSystem, Facts: l.facts}
}

// azureLog is what Azure Monitor saw the functions do.
func azureLog(base time.Time, from, to int) Delivery {
	l := log{said: said{system: azureSystem}, base: base, from: from, to: to}
	l.runs(-always, always, pipeline, etl, rawLake, "read", 24, 5, 2)
	l.runs(-always, always, pipeline, etl, rawLake, "write", 6, 3, 2)
	l.runs(-always, always, pipeline, etl, curatedLake, "write", 6, 3, 3)
	l.runs(-always, always, pipeline, etl, warehouse, "read", 2, 2, 3)
	l.runs(-always, always, pipeline, etl, warehouse, "write", 1, 2, 3)
	l.runs(-always, stagingActed+1, pipeline, etlStaging, stagingLake, "write", 1, 2, 4)
	l.runs(reconciled, always, reconciler, financeAPI, ledger, "read", 10, 4, 6)
	l.runs(reconciled, always, reconciler, financeAPI, payments, "read", 10, 4, 6)
	l.runs(reconciled, always, reconciler, financeAPI, payments, "submit", 2, 3, 6)
	l.watches()
	return Delivery{Source: "azure-monitor", System: azureSystem, Facts: l.facts}
}

// signIns are those of managed identities, of which Entra ID does not say what
// they were for.
func signIns(base time.Time, from, to int) Delivery {
	l := log{said: said{system: entraSystem}, base: base, from: from, to: to}
	l.runs(-always, always, nobody, etl, nothing, "", 2, 2, 3)
	l.runs(-always, stagingActed+1, nobody, etlStaging, nothing, "", 1, 1, 4)
	l.watches(etl, etlStaging)
	return Delivery{Source: "entra-sign-ins", System: entraSystem, Facts: l.facts}
}
