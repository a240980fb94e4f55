# What a person does with this repository. Each target says what it is for:
# run make alone to see them.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS   += --no-print-directory
.DEFAULT_GOAL := help

# The example that make render shows: a folder's name under example/, or --all.
EXAMPLE ?= percona
# Flags for the tests: make test TESTFLAGS='-v -run TestCLI'
TESTFLAGS ?=
# How long each benchmark runs, and how often.
BENCHTIME  ?= 1s
BENCHCOUNT ?= 1
# How long each fuzz target runs.
FUZZTIME ?= 1m
# The image that make image builds.
IMAGE ?= function-dittoserver:dev
# The version of what is built: the tag, or what follows it. Crossplane compares
# the versions of packages, so what has no tag yet gets one that is older than
# every release.
VERSION ?= $(or $(shell git describe --tags --match 'v[0-9]*' --dirty 2>/dev/null),$(shell git describe --always --exclude '*' --dirty 2>/dev/null | sed 's/^/v0.0.0-g/'),v0.0.0-dev)
# Where make build leaves the packages, and what make push pushes them to, like
# ghcr.io/dittofs.
PACKAGES ?= _output/packages
REGISTRY ?=

# A binary depends on the source, the version that it tells and Go, and on
# nothing else of the machine: no paths, no state of the checkout, no C, no
# instructions that only newer processors have.
GO_BUILD := CGO_ENABLED=0 GOFLAGS= GOAMD64=v1 GOARM64=v8.0 go build -trimpath -buildvcs=false -ldflags='-s -w -X main.buildVersion=$(VERSION)'

# Programs that take minutes to build are kept outside the checkout, by the
# go.sum that pins them and by the version of Go.
CACHE := $(or $(FUNCTION_DITTOSERVER_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/function-dittoserver)

GO_VERSION := $(shell go env GOVERSION)
LINT_KEY   := $(shell { cat tools/lint/go.sum; echo '$(GO_VERSION)'; } | git hash-object --stdin | cut -c1-16)
LINT       := $(CACHE)/golangci-lint-$(LINT_KEY)

# Every Go module of the repository that has code, the function's own first. The
# others only pin programs.
MODULES := $(shell find . -name go.mod -not -path './_output/*' | sort | while read -r mod; do \
	dir=$$(dirname "$$mod"); [ -z "$$(find "$$dir" -name '*.go' -print -quit)" ] || echo "$$dir"; done)

.PHONY: help
help: ## Show this help.
	@echo 'usage: make TARGET'
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: render
render: ## Show what Crossplane would do with an example, stage by stage (EXAMPLE=percona).
	@cd test/render && go run ./cmd/render $(EXAMPLE)

.PHONY: test
test: ## Run the function's tests; they need no cluster.
	go test $(TESTFLAGS) ./...

.PHONY: race
race: ## Run the tests of what serves calls with the race detector (needs a C compiler).
	CGO_ENABLED=1 go test -race -timeout 30m -skip '^(TestExplore|TestSieve|TestProgram|TestAllocations|TestSoak)' $(TESTFLAGS) ./internal/serve/ ./internal/metrics/ .

.PHONY: race-serving
race-serving: ## The part of it that takes a minute: where calls run at once.
	CGO_ENABLED=1 go test -race -count=1 ./internal/serve/ ./internal/metrics/
	CGO_ENABLED=1 go test -race -count=1 -run '^(TestSoak|TestManyLargeRequests)$$' . -args -soak-requests=400

.PHONY: golden
golden: ## Render every example with Crossplane's own engines and compare with what is expected.
	cd test/render && go run ./cmd/render -build && go test -timeout 30m -count=1 $(TESTFLAGS) ./...

.PHONY: loader
loader: ## Load every rendered config.yaml with DittoFS' own loader.
	cd test/dittofs && go test -count=1 $(TESTFLAGS) ./...

.PHONY: monitoring
monitoring: ## Load the dashboard and the alerts with Prometheus' own parser.
	cd test/monitoring && go test -count=1 $(TESTFLAGS) ./...

# Containers are made by root.
ROOT := $(if $(filter 0,$(shell id -u)),,-exec 'sudo -E')

.PHONY: container
container: ## Run the function's program as its image does: alone, read-only, not root (needs root).
	$(GO_BUILD) -o _output/container/function .
	cd test/e2e && go test -count=1 $(ROOT) $(TESTFLAGS) ./container

.PHONY: modules
modules: ## Run the tests of what packages and stories are made with.
	cd tools/xpkg && go test -count=1 $(TESTFLAGS) ./...
	cd test/e2e && go test -count=1 $(TESTFLAGS) ./campaign/... ./cmd/... ./sandbox/...

.PHONY: soak
soak: ## Send the function 100,000 requests and look at its memory.
	go test -count=1 -timeout 60m -v -run '^TestSoak$$' . -args -soak-requests=100000

.PHONY: docs
docs: ## Check every command, manifest and field in the documents.
	cd test/docs && go test -count=1 $(TESTFLAGS) ./...

.PHONY: e2e
e2e: ## Run the stories on a real control plane, with real servers and databases (needs root).
	@cd test/e2e && go run ./cmd/e2e build && go run ./cmd/e2e test $(TESTFLAGS)

.PHONY: e2e-up
e2e-up: ## Start the control plane of the stories and leave it running, to be looked at.
	@cd test/e2e && go run ./cmd/e2e up

.PHONY: e2e-down
e2e-down: ## Stop what make e2e-up left running.
	@cd test/e2e && go run ./cmd/e2e down

.PHONY: vet
vet: ## Run go vet in every module.
	@for m in $(MODULES); do \
		echo "go vet: $$m"; (cd $$m && go vet ./...) || exit 1; \
	done

.PHONY: lint
lint: $(LINT) ## Run golangci-lint in every module.
	@for m in $(MODULES); do \
		echo "golangci-lint: $$m"; (cd $$m && $(LINT) run --config $(CURDIR)/.golangci.yml ./...) || exit 1; \
	done

.PHONY: fmt
fmt: $(LINT) ## Format the code and fix what golangci-lint can fix.
	@for m in $(MODULES); do \
		(cd $$m && $(LINT) run --config $(CURDIR)/.golangci.yml --fix ./...); \
	done

$(LINT):
	@echo 'Building golangci-lint from tools/lint: a few minutes, once.'
	@mkdir -p $(@D)
	@CGO_ENABLED=0 go -C tools/lint build -trimpath -ldflags='-s -w' -o $@.$$$$ github.com/golangci/golangci-lint/v2/cmd/golangci-lint && mv $@.$$$$ $@

.PHONY: generate
generate: ## Generate deepcopy functions, the XRDs and the Input's CRD from the Go types.
	go generate ./...

.PHONY: check-diff
check-diff: ## Check that go generate and go mod tidy have nothing to change.
	@.ci/check-diff

.PHONY: bench
bench: ## Run the benchmarks and print how the function compares with an empty one.
	go test -timeout 60m -run '^$$' -bench . -benchtime $(BENCHTIME) -count $(BENCHCOUNT) .
	go test -count=1 -v -run '^(TestAllocations|TestGrowth|TestProgram)$$' . -args -memory-requests=10000

.PHONY: explore
explore: ## Explore every state of the world around the function, and print how many there are.
	go test -count=1 -v -run '^TestExplore$$' .

.PHONY: fuzz
fuzz: ## Run each fuzz target for a minute (FUZZTIME=1m).
	@grep -rlE --include='*_test.go' '^func Fuzz' . | xargs -rn1 dirname | sort -u | while read -r dir; do \
		for target in $$(cat "$$dir"/*_test.go | sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p'); do \
			echo "$$target in $$dir"; (cd "$$dir" && go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x .) || exit 1; \
		done; \
	done

.PHONY: build
build: ## Build the packages, the function's for linux/amd64 and linux/arm64: _output/packages.
	@for arch in amd64 arm64; do \
		GOOS=linux GOARCH=$$arch $(GO_BUILD) -o $(PACKAGES)/bin/function-linux-$$arch . || exit 1; \
	done
	@cd tools/xpkg && go run ./cmd/xpkg build -root $(CURDIR) -binaries $(abspath $(PACKAGES))/bin -version $(VERSION) -o $(abspath $(PACKAGES))

.PHONY: push
push: ## Push the packages that make build left to a registry (REGISTRY=ghcr.io/dittofs).
	@cd tools/xpkg && go run ./cmd/xpkg push -from $(abspath $(PACKAGES)) -registry '$(REGISTRY)'

.PHONY: binary
binary: ## Build the function's static binary for this machine: bin/function.
	$(GO_BUILD) -o bin/function .

.PHONY: packages
packages: ## Build the packages twice and check them with Crossplane's own code.
	cd test/packages && go test -timeout 30m -count=1 $(TESTFLAGS) ./...

.PHONY: sbom
sbom: ## List what the built programs are made of, with licenses, as CycloneDX files beside the packages.
	@for arch in amd64 arm64; do \
		go -C tools/audit tool cyclonedx-gomod bin -json -std -licenses -noserial -notimestamp -version $(VERSION) \
			-output $(abspath $(PACKAGES))/function-dittoserver-$$arch.cdx.json $(abspath $(PACKAGES))/bin/function-linux-$$arch || exit 1; \
	done

.PHONY: vuln
vuln: ## Look for known vulnerabilities in what the function calls, Go's own library included (GOVULNDB).
	@.ci/vuln

.PHONY: image
image: ## Build the function's image with Docker (IMAGE=function-dittoserver:dev).
	docker build --build-arg VERSION=$(VERSION) --tag $(IMAGE) .

.PHONY: ci
ci: ## Run what CI runs, but for vuln, all of race, and the image (needs root).
	.ci/run

.PHONY: clean
clean: ## Remove what was built here.
	rm -rf bin _output
