# The commands of a working day. `make help` lists them.

GO        ?= go
PKG       ?= ./...
# For a test that hangs; a busy machine takes some packages ten minutes.
TIMEOUT   ?= 30m
CHAOSTIME ?= 60s
HAMMERTIME ?= 1h
FUZZTIME  ?= 30s
BENCHCOUNT ?= 6

# Modules of their own: what they need is not asked of a program that embeds Afterwrite.
MODULES := deploy/kubernetes examples/shop examples/compare

# What `afterwrite version` and afterwrite_build_info say. Without git it is devel.
VERSION ?= $(or $(shell git describe --tags --always --dirty 2>/dev/null),devel)
COMMIT  ?= $(or $(shell git rev-parse HEAD 2>/dev/null),unknown)
STAMP   := -X main.version=$(VERSION) -X main.commit=$(COMMIT)

.DEFAULT_GOAL := help
.PHONY: help run build test lint deps build-deps conformance chaos hammer bench micro image fuzz clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: build ## build, then run everything in one process (afterwrite dev)
	bin/afterwrite dev

# SQLite is compiled from C, so a build needs a C compiler; the first takes a minute.
build: build-deps ## build bin/afterwrite
	CGO_ENABLED=1 $(GO) build -ldflags "$(STAMP)" -o bin/afterwrite ./cmd/afterwrite

test: deps ## install what the tests need, then run them all with the race detector
	@for module in $(MODULES); do (cd $$module && CGO_ENABLED=1 $(GO) test ./...) || exit 1; done
	CGO_ENABLED=1 $(GO) test -race -timeout $(TIMEOUT) $(PKG)

lint: build-deps ## gofmt, go vet, staticcheck and the import rules
	@unformatted="$$(gofmt -l .)" && [ -z "$$unformatted" ] || { echo "gofmt would change:"; echo "$$unformatted"; exit 1; }
	$(GO) vet ./...
	@for module in $(MODULES); do (cd $$module && $(GO) vet ./...) || exit 1; done
	$(GO) tool staticcheck ./...
	$(GO) test -count 1 -run TestImports ./internal

deps: ## install the C compiler, and the servers and the browser that the tests start
	@scripts/deps.sh tests

build-deps:
	@scripts/deps.sh compiler

conformance: deps ## check every promise of a dialect, on DATABASE=url or on the servers of the tests
	go test -count=1 -v -run TestConformance ./store/storetest $(if $(DATABASE),-args -database "$(DATABASE)")

chaos: deps ## run the fault tests for CHAOSTIME each (60s)
	CGO_ENABLED=1 TESTKIT_CHAOS=$(CHAOSTIME) $(GO) test -race -timeout 2h -count 1 -run Chaos -v $(PKG)

hammer: deps ## break everything for HAMMERTIME (1h) in each mode or in MODE; OTHER=commit mixes in processes of that build
	TESTKIT_HAMMER=$(HAMMERTIME) TESTKIT_HAMMER_OTHER=$(OTHER) $(GO) test -timeout 24h -count 1 -run 'Hammer/$(MODE)' -v ./internal/hammer

# The first prints ratios of alternating runs; the second what benchstat reads:
#   make micro > old; … ; make micro > new; go tool benchstat old new
bench: build deps ## measure this machine beside other ways, then run the Go benchmarks
	bin/afterwrite bench
	@$(MAKE) --no-print-directory micro

micro: deps ## run the Go benchmarks of the hot paths BENCHCOUNT (6) times each
	@CGO_ENABLED=1 $(GO) test -run '^$$' -bench . -benchmem -count $(BENCHCOUNT) -timeout 1h ./cache ./cache/values ./producer ./producer/api ./store ./worker

image: deps ## build the images without Docker, and ask the binary in them
	@scripts/deps.sh buildah
	CGO_ENABLED=1 TESTKIT_IMAGE=1 $(GO) test -count 1 -timeout 1h -run TestImageBuilds -v ./deploy

fuzz: build-deps ## run each fuzz target for FUZZTIME (30s)
	@scripts/fuzz.sh $(FUZZTIME) $(PKG)

clean: ## remove what was built; data directories stay
	rm -rf bin dist coverage.out
