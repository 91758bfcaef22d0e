# Affidavit. "make help" lists what there is.
SHELL     := /bin/sh
CACHE     := $(CURDIR)/.cache
BIN       := $(CACHE)/bin
DEMO_DIR  ?= ./affidavit-demo
FUZZTIME  ?= 10s
TORTURE   ?= 3
export GOTOOLCHAIN ?= local

# Larger public data and files that others wrote, where they lie beside the repository.
ifeq ($(AFFIDAVIT_TESTDATA),)
ifneq ($(wildcard $(CURDIR)/../shared/data),)
export AFFIDAVIT_TESTDATA := $(abspath $(CURDIR)/../shared)
endif
endif

.PHONY: help build demo test race lint cloud verify audit tamper bench interop fuzz torture tools clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  \1|/' | awk -F'|' '{printf "%-12s %s\n", $$1, $$2}'

build: ## build the binary into .cache/bin/affidavit
	@mkdir -p $(BIN)
	CGO_ENABLED=0 go build -trimpath -o $(BIN)/affidavit .

demo: ## live a model's whole life and verify its evidence (DEMO_DIR=./affidavit-demo)
	go run . demo --dir $(DEMO_DIR)

test: ## all tests, on SQLite and on a PostgreSQL that it finds or installs; CI=true refuses a skipped test
	.ci/test.sh ./...

race: ## the concurrent packages under the race detector (needs a C compiler)
	.ci/race.sh

lint: ## gofmt, go vet (also with build tags), staticcheck, lengths, leftovers
	.ci/lint.sh

cloud: ## build with the cloud KMS providers
	CGO_ENABLED=0 go build -tags cloud -o $(CACHE)/affidavit-cloud .

verify: ## verify the demo's pack offline
	go run . verify $(DEMO_DIR)/pack.zip --trusted-root $(DEMO_DIR)/trusted_root.json

audit: ## replay the demo's log and compare every row
	go run . audit --data-dir $(DEMO_DIR)/data

tamper: ## tamper with evidence packs in every way we know; each must be refused for its reason
	go test ./attest/pack -run Tamper -count=1 -v

bench: ## run the benchmarks; figures in bench.json as [{name, value, unit}]
	.ci/bench.sh

interop: ## verify the demo's evidence with cosign, sigstore-go, tessera, openssl, pdfsig, qpdf, model_signing
	.ci/interop.sh

fuzz: ## run every fuzz target for FUZZTIME (10s)
	FUZZTIME=$(FUZZTIME) .ci/fuzz.sh

torture: ## the ledger's conformance, fault and kill tests TORTURE (3) times, in random order, under the race detector where there is a C compiler
	TORTURE=$(TORTURE) .ci/torture.sh

tools: ## fetch what lint and interop need into .cache
	.ci/tools.sh staticcheck cosign venv

clean: ## remove what make made, but not the demo's directory
	rm -rf $(CACHE) bench.json
