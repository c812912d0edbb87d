# Everything a contributor runs. `make help` lists the targets.

GO      ?= go
CACHE   := .cache
BIN     := bin/exposuregraph
LINT_VERSION := 2.15.0
LINT    := $(CACHE)/bin/golangci-lint-$(LINT_VERSION)
PKGS    := ./...
# Packages where goroutines share memory.
RACE    := ./db/... ./graph/... ./internal/access/... ./internal/app/... ./internal/audit/... ./internal/authority/... ./internal/change/... ./internal/devpg/... ./internal/exposure/... ./internal/file/... ./internal/ledger/... ./internal/object/... ./internal/posture/... ./internal/schedule/... ./internal/server/... ./internal/stream/... ./internal/triage/... ./internal/web/...
# Tests of such packages that send one statement after the other: the race detector
# sees nothing in them and makes them half of its step. `make test` runs them.
IN_LINE := ^Test(PredicatesAlone|ReadPredicatesAlone|RowLevelSecurityAlone|EveryStatementPrepares|PastIsWhatWasAnswered)$$
SOAK    ?= 5000
REQUESTS ?= 20000
FUZZTIME ?= 10m

.DEFAULT_GOAL := help
.PHONY: help run build generate check lint drift test test-race bench redteam db-schema soak fuzz clients verify postgres

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build postgres ## start the server with demo data on 127.0.0.1:8080
	$(BIN) serve --demo

build: ## build bin/exposuregraph
	$(GO) build -o $(BIN) ./cmd/exposuregraph

postgres: ## see to it that a PostgreSQL is there
	@sh scripts/postgres.sh

generate: ## write graph/generated again
	$(GO) run github.com/99designs/gqlgen generate

check: lint drift ## vet, lint, and compare what is generated with its sources

lint: $(LINT) ## vet and lint
	$(GO) vet $(PKGS)
	$(LINT) run $(PKGS)

# The linter is no dependency of the module: it is built apart, once.
$(LINT):
	@mkdir -p $(CACHE)/bin
	GOBIN=$(abspath $(CACHE))/bin $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v$(LINT_VERSION)
	@mv $(CACHE)/bin/golangci-lint $@

drift: postgres ## fail when generated code, db/schema.sql or go.mod is not what the sources give
	sh scripts/drift.sh

test: postgres ## run every test; prints how many passed
	sh scripts/test.sh $(PKGS)

test-race: postgres ## run the tests of concurrent packages under the race detector, with fewer random histories
	sh scripts/test.sh -race -short -skip '$(IN_LINE)' $(RACE)

bench: postgres ## measure syncs and operations, and write docs/performance.md
	$(GO) run ./internal/benchmark/cmd/bench -write $(BENCH_FLAGS)

redteam: postgres ## attack a server of its own as hostile clients do, with a healthy one beside them; fails unless every row passes
	@mkdir -p $(CACHE)
	$(GO) build -o $(CACHE)/redteam ./internal/redteam/cmd/redteam
	$(CACHE)/redteam $(REDTEAM_FLAGS)

db-schema: postgres ## write db/schema.sql from the migrations
	$(GO) run ./db/dbtest/dump > db/schema.sql

soak: postgres ## run the property tests with thousands of histories, the feed under kills (SOAK=n), and the isolation fuzz (REQUESTS=n)
	EXPOSUREGRAPH_SOAK=$(SOAK) $(GO) test -count=1 -timeout 4h -run 'History' -v ./internal/authority ./internal/asset ./internal/triage ./graph
	EXPOSUREGRAPH_SOAK=$(SOAK) $(GO) test -count=1 -timeout 4h -run 'TestFeedLosesNothing|TestFeedOutlivesKills' -v ./internal/app
	EXPOSUREGRAPH_SOAK=$(REQUESTS) $(GO) test -count=1 -timeout 4h -run 'Apart$$' -v ./internal/isolation

fuzz: ## run every fuzz target of the parsers, one after the other (FUZZTIME=10m each)
	FUZZTIME=$(FUZZTIME) GO="$(GO)" sh scripts/fuzz.sh ./internal/importer/...

clients: build postgres ## have clients of other people generated and run against a server of its own; needs npm
	GO="$(GO)" sh scripts/clients.sh

verify: check test test-race ## everything that CI runs, but for what needs npm, and the fresh clone
