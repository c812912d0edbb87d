package demo

import (
	"time"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// entra is what Entra ID knows: people and groups, the identities that workloads
// run as, and what they may do in the tenant.
func entra(base time.Time, day int) Delivery {
	s := said{system: entraSystem}
	person := func(ref record.Ref, name, title string, left, last int) {
		e := record.Entity{Name: name, SourceType: "User", OwnerType: record.Individual, Title: title, Status: record.Active}
		if day >= left {
			e.Status, e.LastActiveAt = record.Disabled, on(base, last, 16)
		}
		s.entity(ref, e)
	}
	const stays = 1
	person(bob, "Bob Chen", "Finance systems lead", bobLeft, bobLeft-1)
	person(alice, "Alice Nguyen", "Data engineering lead", stays, 0)
	person(tom, "Tom Becker", "Data engineer", tomLeft, tomLeft-3)
	person(priya, "Priya Raman", "Identity platform engineer", stays, 0)
	person(marek, "Marek Novak", "HR systems analyst", marekLeft, marekLeft-1)
	person(jonas, "Jonas Weber", "Vendor manager", stays, 0)
	person(grace, "Grace Okafor", "Treasury engineer", stays, 0)
	person(maint, "System Maintenance (maint)", "Maintenance account", maintDisabled, maintDisabled-6)
	s.entity(identityTeam, record.Entity{Name: "Identity Platform", SourceType: "Group", OwnerType: record.Group})
	s.entity(secOps, record.Entity{Name: "Security Operations", SourceType: "Group", OwnerType: record.Group})

	identity := func(ref record.Ref, name, sourceType string, created int) {
		s.entity(ref, record.Entity{Name: name, SourceType: sourceType, Status: record.Active, CreatedAt: on(base, created, 9)})
	}
	identity(financeAPI, "svc-finance-api", "ServicePrincipal", -410)
	identity(etl, "svc-etl", "ManagedIdentity", -530)
	identity(etlStaging, "svc-etl-staging", "ManagedIdentity", -530)
	identity(hrPrincipal, "sp-hr-export", "ServicePrincipal", -640)
	s.made(bob, financeAPI)
	s.made(marek, hrPrincipal)

	s.resource(graph, "Microsoft Graph", "API", "identity_platform", "high")
	s.resource(directory, "Entra ID directory", "Directory", "directory", "restricted")
	s.resource(signInLogs, "Entra sign-in logs", "LogStream", "logs", "internal")
	s.role(groupWriter, "Group.ReadWrite.All", "AppRole")
	s.role(userReader, "User.Read.All", "AppRole")
	s.role(dirWriter, "Directory.ReadWrite.All", "AppRole")
	s.role(auditReader, "AuditLog.Read.All", "AppRole")
	s.grants(groupWriter, tenant, graph, "group.read", "group.update", "group.delete")
	s.grants(userReader, tenant, graph, "user.read")
	s.grants(dirWriter, tenant, directory, "directory.read", "directory.update")
	s.grants(auditReader, tenant, signInLogs, "auditlog.read")

	principal := func(ref record.Ref, name string, created int) {
		identity(ref, name, "ServicePrincipal", created)
		s.made(priya, ref)
		s.holds(ref, tenant, groupWriter, userReader, auditReader)
		if day < revoked {
			s.holds(ref, tenant, dirWriter)
		}
	}
	if day < predecessorGone {
		principal(routerPrincipal, "sp-graph-router (61c1fe)", -700)
	}
	if day >= successorMade {
		principal(routerSuccessor, "sp-graph-router (9d04ab)", successorMade)
	}
	s.covers(record.Roles)
	return Delivery{Source: "entra", System: entraSystem, Facts: s.facts}
}

// azure is what the subscriptions hold: functions, stores, and who may do what
// with them. Tags say who answers for a function.
func azure(base time.Time, day int) Delivery {
	s := said{system: azureSystem}
	s.entity(pipeline, record.Entity{
		Name: "Nightly data pipeline", SourceType: "FunctionApp", Status: record.Active, ExecutionMode: record.Autonomous,
		Environment: "production", OwnerTeam: "data-engineering", BusinessTier: "tier-1",
		ArtifactIdentifier: "Function app: nightly-data-pipeline", CreatedAt: on(base, -530, 10), Labels: map[string]string{"cost-center": "4200", "region": "westeurope"},
	})
	s.runsAs(pipeline, etl, etlStaging)
	s.owned(pipeline, alice, tom)
	s.made(tom, pipeline)
	if day >= reconciled {
		s.entity(reconciler, record.Entity{
			Name: "Payment reconciler", SourceType: "FunctionApp", Status: record.Active, ExecutionMode: record.Autonomous,
			Environment: "production", OwnerTeam: "treasury", BusinessTier: "tier-1",
			ArtifactIdentifier: "Function app: payment-reconciler", CreatedAt: on(base, reconciled, 15), Labels: map[string]string{"cost-center": "3100", "region": "westeurope"},
		})
		s.runsAs(reconciler, financeAPI)
		s.owned(reconciler, grace)
		s.made(grace, reconciler)
		s.sends(reconciler, record.EgressExternal, "api.bank-connect.example")
		s.answers(reconciler, record.HostnameEndpoint, webhooks.name, 0)
	}

	curated := "restricted" // it was a copy of the raw zone, until names were masked in it
	if day >= reclassified {
		curated = "internal"
	}
	s.resource(ledger, "ERP general ledger", "SqlDatabase", "finance", "restricted")
	s.resource(payments, "Payment gateway", "API", "payments", "restricted")
	s.resource(vendors, "Vendor master data", "SqlDatabase", "finance", "confidential")
	s.resource(vault, "Key vault kv-contoso-prod", "KeyVault", "secrets", "restricted")
	s.resource(rawLake, "Data lake, raw zone", "StorageContainer", "pii", "restricted")
	s.resource(curatedLake, "Data lake, curated zone", "StorageContainer", "analytics", curated)
	s.resource(stagingLake, "Data lake, staging", "StorageContainer", "analytics", "internal")
	s.resource(warehouse, "Customer warehouse", "SqlPool", "crm", "confidential")
	s.resource(employeeStore, "Employee records", "SqlDatabase", "human resources", "restricted")
	s.resource(logArchive, "Log archive", "StorageContainer", "logging", "internal")

	s.role(ledgerPoster, "ERP Ledger Contributor", "RoleDefinition")
	s.role(paymentMaker, "Payment Initiator", "RoleDefinition")
	s.role(vendorReader, "Vendor Master Reader", "RoleDefinition")
	s.role(secretsOfficer, "Key Vault Secrets Officer", "RoleDefinition")
	s.role(lakeWriter, "Data Lake Contributor", "RoleDefinition")
	s.role(lakeReader, "Data Lake Reader", "RoleDefinition")
	s.role(stagingWriter, "Staging Storage Contributor", "RoleDefinition")
	s.role(warehouser, "Warehouse Writer", "RoleDefinition")
	s.role(archiver, "Log Archive Writer", "RoleDefinition")
	s.role(employeeReader, "Employee Records Exporter", "RoleDefinition")
	s.grants(ledgerPoster, production, ledger, "read", "create", "update")
	s.grants(paymentMaker, production, payments, "read", "submit")
	s.grants(vendorReader, production, vendors, "read")
	s.grants(secretsOfficer, production, vault, "get", "list", "set")
	s.grants(lakeWriter, production, rawLake, "read", "write", "delete")
	s.grants(lakeWriter, production, curatedLake, "read", "write", "delete")
	s.grants(lakeReader, production, rawLake, "read")
	s.grants(stagingWriter, staging, stagingLake, "read", "write")
	s.grants(warehouser, production, warehouse, "read", "write")
	s.grants(archiver, production, logArchive, "write")
	s.grants(employeeReader, production, employeeStore, "read", "export")

	s.holds(financeAPI, production, ledgerPoster, paymentMaker, vendorReader)
	s.holds(etl, production, lakeWriter, warehouser, archiver)
	if day >= vaultGranted {
		s.holds(etl, production, secretsOfficer)
	}
	s.holds(etlStaging, production, lakeReader, warehouser)
	s.holds(etlStaging, staging, stagingWriter)
	s.holds(hrPrincipal, production, employeeReader)
	s.covers(record.Roles, record.Binding, record.Ownership, record.EgressObs)
	return Delivery{Source: "azure", System: azureSystem, Facts: s.facts}
}

// serviceNow is what the ServiceNow instance runs, and what its tables are.
func serviceNow(base time.Time, day int) Delivery {
	s := said{system: serviceNowSystem}
	workload := func(ref record.Ref, name, sourceType string, mode record.ExecutionMode, team, tier string, created int) {
		s.entity(ref, record.Entity{
			Name: name, SourceType: sourceType, Status: record.Active, ExecutionMode: mode, Environment: "production", OwnerTeam: team, BusinessTier: tier,
			ArtifactIdentifier: sourceType + ": " + name, CreatedAt: on(base, created, 11),
		})
	}
	workload(invoiceRule, "Invoice Processing Rule", "Business rule", record.Triggered, "finance-systems", "tier-2", -408)
	workload(graphRouter, "AzureGraphRouter", "Business rule", record.Autonomous, "identity-platform", "tier-1", -699)
	workload(strayRouter, "AzureGraphRouterNoOwner", "Business rule", record.Triggered, "", "", -180)
	workload(ticketRouter, "Auto-route identity tickets via Entra", "Flow", record.Autonomous, "identity-platform", "tier-2", -260)
	workload(hrExport, "HR export to payroll provider", "Scheduled report", record.HumanTriggered, "hr-systems", "tier-2", -638)
	workload(vendorSync, "Vendor portal sync", "Integration", "", "procurement", "tier-2", -330)
	workload(secLogger, "Security event logger", "Flow", record.OperatorAssisted, "security-operations", "tier-2", -290)
	s.made(bob, invoiceRule)
	s.made(priya, graphRouter, ticketRouter)
	s.made(maint, strayRouter)
	s.made(marek, hrExport)
	s.made(jonas, vendorSync)

	router := routerPrincipal
	if day >= rotated {
		router = routerSuccessor
	}
	for _, w := range []record.Ref{graphRouter, strayRouter, ticketRouter} {
		s.runsAs(w, router)
	}
	s.signsIn(invoiceRule, financeAPI, "client_credentials")
	s.signsIn(hrExport, hrPrincipal, "oauth2")
	s.edge(record.Declares, vendorSync, vendors, record.Edge{Actions: []string{"read", "update"}})

	s.resource(incidents, "Incident table", "Table", "itsm", "internal")
	s.resource(cmdb, "CMDB", "Table", "itsm", "internal")
	s.resource(hrCases, "HR cases", "Table", "hr", "confidential")
	s.resource(invoices, "Invoice table", "Table", "accounting", "confidential")
	s.role(itil, "itil", "Role")
	s.role(caseReader, "sn_hr_core.case_reader", "Role")
	s.role(invoiceClerk, "x_fin.invoice_clerk", "Role")
	s.grants(itil, serviceScope, incidents, "read", "create", "write")
	s.grants(itil, serviceScope, cmdb, "read")
	s.grants(caseReader, serviceScope, hrCases, "read")
	s.grants(invoiceClerk, serviceScope, invoices, "read", "write")
	s.holds(router, serviceScope, itil)
	s.holds(hrPrincipal, serviceScope, caseReader)
	s.holds(financeAPI, serviceScope, invoiceClerk)

	s.sends(invoiceRule, record.EgressInternal, "erp.contoso.internal")
	s.sends(graphRouter, record.EgressExternal, "graph.microsoft.com")
	s.sends(strayRouter, record.EgressExternal, "graph.microsoft.com")
	s.sends(ticketRouter, record.EgressExternal, "graph.microsoft.com")
	s.sends(ticketRouter, record.EgressLLM, "contoso-triage.openai.azure.com")
	s.sends(hrExport, record.EgressExternal, "sftp.payroll-partner.example")
	if day < portalMoves || day >= portalBack {
		s.sends(vendorSync, record.EgressExternal, "portal.vendors.example")
	}
	s.sends(secLogger, record.EgressInternal, "siem.contoso.internal")
	s.covers(record.Binding, record.EgressObs)
	return Delivery{Source: "servicenow", System: serviceNowSystem, Facts: s.facts}
}

// ownerMapping is what people wrote down: who answers for what runs in
// ServiceNow, that the invoices matter more than the inventory says, and where
// vendors leave their files.
func ownerMapping(_ time.Time, day int) Delivery {
	s := said{system: serviceNowSystem}
	s.entity(invoiceRule, record.Entity{Basis: record.Mapping, BusinessTier: "tier-1"})
	s.owned(invoiceRule, bob)
	s.owned(graphRouter, priya)
	if day >= maintAssigned {
		s.owned(strayRouter, maint)
	}
	s.owned(ticketRouter, identityTeam)
	s.owned(hrExport, marek)
	s.owned(vendorSync, jonas)
	s.owned(secLogger, secOps)
	s.answers(vendorSync, record.MappedEndpoint, exchange.name, 22)
	s.covers(record.Ownership)
	return Delivery{Source: "owner-mapping", System: serviceNowSystem, Facts: s.facts}
}
