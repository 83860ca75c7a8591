# `make` lists the targets. Everything works from a clean clone on Debian 12
# and 13 with Go. Only generate, format, lint and verify need clang
# (make deps-verify).

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
export GO

# The build tags of the test tiers.
TAGS := bpf,netns,interop,vm

# The pinned clang: generated objects are compared byte for byte.
CLANG        := clang-19
CLANG_FORMAT := clang-format-19

# How long `make fuzz` gives each target.
FUZZTIME ?= 60s

# Debian packages: what the tests call (the second line for the checkers: the
# servers, and the compiler of a stand-in for IPVS), and what the checks of the C
# code need.
TEST_PACKAGES   := bpftool ethtool frr iproute2 keepalived tshark \
	dnsmasq-base gcc haproxy libc6-dev nginx openssl python3 python3-aiosmtpd
# What tests in machines call, the emulator, and what unpacks kernels.
VM_PACKAGES     := ipvsadm lz4 qemu-system-x86 xz-utils zstd
# What make bench calls beside them.
BENCH_PACKAGES  := nftables nginx wrk
VERIFY_PACKAGES := $(CLANG) llvm-19 $(CLANG_FORMAT)

SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
# Generated headers keep the shape that their generator gives them.
C_FILES = $(shell grep -rL 'DO NOT EDIT' --include='*.[ch]' bpf)

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

## Building

.PHONY: build
build: ## Build bin/evenkeel, one static binary
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/evenkeel ./cmd/evenkeel

.PHONY: demo
demo: build ## Build, then show virtual services and their failover at work (needs root)
	$(SUDO) ./bin/evenkeel demo

.PHONY: generate
generate: ## Rebuild the BPF objects, their Go bindings and the reason tables
	$(GO) generate ./bpf/reasons
	$(GO) generate ./...

.PHONY: docs
docs: ## Write docs/keywords.md from the tables of the language
	$(GO) generate ./config

.PHONY: format
format: ## Format Go and C sources
	$(GO) fmt ./...
	$(CLANG_FORMAT) -i $(C_FILES)

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin

## Testing

.PHONY: test
test: deps bin/tally bin/guest ## Run all tests (as root) and count them; installs what they need
	@$(MAKE) --no-print-directory deps-vm || echo "going on: machines that miss something are skipped"
	@bin/tally unit bpf netns interop vm-short

.PHONY: unit
unit: bin/tally ## Run the tests that need no privilege
	@bin/tally unit

.PHONY: bpf
bpf: bin/tally ## Run the tests of the XDP program by BPF_PROG_TEST_RUN (as root)
	@bin/tally bpf

# EVENKEEL_PARITY_SEED plays a run again; without it a long run is a new one each
# time, and `make bpf` always the same.
.PHONY: bpf-long
bpf-long: ## Play a million random steps through the XDP program and the model of IPVS (as root)
	@EVENKEEL_PARITY_STEPS=$${EVENKEEL_PARITY_STEPS:-1000000} EVENKEEL_PARITY_SEED=$${EVENKEEL_PARITY_SEED:-random} \
	$(GO) test -tags=bpf -count=1 -timeout=2h -v -run='^TestParity$$' ./bpf \
	| grep -vE '^ +--- PASS|^=== '

# Packets on all CPUs against a daemon that changes everything all the time.
MINUTES ?= 10

.PHONY: fire
fire: ## Run the program on all CPUs, with constant changes, for twice MINUTES (10) (as root)
	@EVENKEEL_FIRE_MINUTES=$(MINUTES) EVENKEEL_PARITY_SEED=$${EVENKEEL_PARITY_SEED:-random} \
	$(GO) test -tags=bpf -count=1 -timeout=3h -v -run='^TestCountersUnderFire$$' ./loader

.PHONY: netns
netns: bin/tally ## Run the tests with real links in network namespaces (as root)
	@bin/tally netns

.PHONY: interop
interop: bin/tally ## Run the tests against real peers, such as keepalived (as root)
	@bin/tally interop

.PHONY: vm
vm: deps-vm bin/tally bin/guest ## Run the tests in machines with other kernels (fetches kernels; no root, no KVM)
	@bin/tally vm

.PHONY: vm-short
vm-short: deps-vm bin/tally bin/guest ## Run the part of make vm that make test runs: minutes
	@bin/tally vm-short

# How many steps make vm-long plays on each kernel.
STEPS ?= 50000

.PHONY: vm-long
vm-long: deps-vm bin/guest ## Compare IPVS, XDP and the model for STEPS (50000) steps on each kernel; hours
	@for kernel in uml 6.12 6.1 newest; do \
		lane=counted; test=TestCountedXDPIsTheKernelAndTheModel; \
		[ $$kernel != uml ] || { lane=fast; test=TestKernelIsTheModel; }; \
		echo "== parity, $$kernel"; \
		EVENKEEL_PARITY_STEPS=$(STEPS) EVENKEEL_PARITY_SEED=$${EVENKEEL_PARITY_SEED:-random} \
		$(GO) test -count=1 -v -timeout=4h -tags=vm -run="^$$test\$$" \
			-exec="$(CURDIR)/bin/guest -lane $$lane -kernel $$kernel -timeout 4h -env EVENKEEL_PARITY_STEPS,EVENKEEL_PARITY_SEED" ./test/parity; \
	done

# Few tries at making an interesting input smaller: on a configuration of many
# lines that would take most of the time.
.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME (60s)
	@grep -roE '^func Fuzz[A-Za-z0-9_]+' --include='*_test.go' . | grep -v testdata | sort \
	| while IFS=: read -r file target; do \
		echo "== $${target#func } in $${file%/*}"; \
		$(GO) test -tags=$(TAGS) -run='^$$' -fuzz="^$${target#func }\$$" \
			-fuzztime=$(FUZZTIME) -fuzzminimizetime=10x "$${file%/*}" </dev/null; \
	done

# Always rebuilt: Go knows better than make whether anything changed.
.PHONY: bin/tally
bin/tally:
	@CGO_ENABLED=0 $(GO) build -o $@ ./internal/tally

.PHONY: bin/guest
bin/guest:
	@CGO_ENABLED=0 $(GO) build -o $@ ./internal/guest/command

## Measuring

# The kernels on which XDP is measured against IPVS, in machines that count
# instructions, and how often.
VERSUS_KERNELS := 6.1 6.12 newest
VERSUS_ROUNDS  := 4

versus = bin/guest -lane counted -kernel $(1) -timeout 30m bin/evenkeel bench --level versus --rounds $(VERSUS_ROUNDS) --json

# Machines whose clock counts instructions do not mind one another, so all kernels are
# played at once. All else wants the machine for itself.
.PHONY: bench
bench: build bin/guest deps-bench ## Measure everything (as root), and write bench/results/report.md; some 17 minutes
	@$(MAKE) --no-print-directory deps-vm || echo "going on: kernels that cannot run here are left out"
	@SECONDS=0; echo "== XDP against IPVS, kernels $(VERSUS_KERNELS)"; \
	rm -f $(VERSUS_KERNELS:%=bin/versus-%.json); \
	for kernel in $(VERSUS_KERNELS); do \
		{ $(call versus,$$kernel) > bin/versus-$$kernel.part && mv bin/versus-$$kernel.part bin/versus-$$kernel.json; } & \
	done; wait; echo "== that took $$SECONDS seconds"; \
	with=; for kernel in $(VERSUS_KERNELS); do \
		if test -f bin/versus-$$kernel.json; then with="$$with,bin/versus-$$kernel.json"; \
		else echo "left out: kernel $$kernel"; fi; \
	done; \
	history=$$(ls bench/results/history/*.json 2>/dev/null | paste -sd, -); \
	$(SUDO) ./bin/evenkeel bench --level program,path,users,scale --with "$${with#,}" --history "$$history" --page bench/results $(ARGS); \
	echo "== all took $$SECONDS seconds"

# Instructions do not depend on what else the machine does, so few rounds are enough.
.PHONY: bench-gate
bench-gate: build bin/guest deps-vm ## Fail if a path costs 3 % more instructions than bench/testdata/gate.json says
	@$(call versus,6.12) > bin/gate.json
	@./bin/evenkeel bench compare --within 3 --only '^XDP ' bench/testdata/gate.json bin/gate.json

.PHONY: bench-gate-set
bench-gate-set: build bin/guest deps-vm ## Make what paths cost now the figures of bench-gate
	@mkdir -p bench/testdata
	@$(call versus,6.12) > bin/gate.json && cp bin/gate.json bench/testdata/gate.json

# Flags and measures go into ARGS; ARGS=-help lists them.
.PHONY: bench-failover
bench-failover: build ## Measure failover beside keepalived (as root); over an hour, or parts by ARGS
	@CGO_ENABLED=0 $(GO) build -o bin/bench-failover ./bench/failover
	@$(SUDO) ./bin/bench-failover $(ARGS)

.PHONY: bench-scale
bench-scale: build ## Measure 2277 services with 37205 servers beside keepalived (as root); minutes
	@CGO_ENABLED=0 $(GO) build -o bin/bench-scale ./bench/scale
	@$(SUDO) ./bin/bench-scale $(ARGS)

## Checking

.PHONY: verify
verify: lint vet generated verifier tidy linked clangless ## Run every check that is no test
	@echo "verify: clean"

.PHONY: lint
lint: bin/golangci-lint ## Run the linters over Go, and clang-format over C
	@echo "lint: golangci-lint"
	@bin/golangci-lint run ./...
	@echo "lint: $(CLANG_FORMAT)"
	@$(CLANG_FORMAT) --dry-run --Werror $(C_FILES)

bin/golangci-lint: tools/go.mod tools/go.sum
	@echo "building golangci-lint, which takes some minutes the first time"
	@cd tools && $(GO) build -o ../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

.PHONY: vet
vet:
	@echo "verify: go vet"
	@$(GO) vet ./...
	@$(GO) vet -tags=$(TAGS) ./...

.PHONY: generated
generated:
	@echo "verify: generated files, by $$($(CLANG) --version | head -n 1)"
	@tools/check-generated

# Needs root, and says so without. bpf/testdata/verifier.txt has the bounds.
.PHONY: verifier
verifier:
	@echo "verify: what the verifier of kernel $$(uname -r) follows"
	@$(GO) test -tags=bpf -count=1 -v -run='^TestVerifierBounds$$' ./bpf | sed -nE 's/^ +[a-z_]+\.go:[0-9]+: //p; /^---/p'

.PHONY: tidy
tidy:
	@echo "verify: go.mod"
	@$(GO) mod tidy -diff

# A new module in the binary shows in review.
.PHONY: linked
linked:
	@echo "verify: deps.txt"
	@diff -u deps.txt <($(list_linked)) \
	|| { echo "the modules linked into evenkeel changed: say why in the commit, then make deps.txt"; exit 1; }

.PHONY: deps.txt
deps.txt:
	@$(list_linked) > $@

list_linked = CGO_ENABLED=0 GOOS=linux $(GO) list -deps \
	-f '{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}' ./cmd/evenkeel | LC_ALL=C sort -u

.PHONY: clangless
clangless:
	@echo "verify: build with nothing but Go in PATH"
	@PATH="$$($(GO) env GOROOT)/bin" CGO_ENABLED=0 go build ./...

## Installing what is needed (Debian 12 and 13)

.PHONY: deps
deps: ## Install the Debian packages that the tests call, if missing
	@SUDO=$(SUDO) tools/install-packages $(TEST_PACKAGES)

.PHONY: deps-vm
deps-vm: ## Install the Debian packages that make vm calls, if missing
	@SUDO=$(SUDO) tools/install-packages $(VM_PACKAGES)

.PHONY: deps-bench
deps-bench: ## Install the Debian packages that make bench calls, if missing
	@SUDO=$(SUDO) tools/install-packages $(BENCH_PACKAGES)

.PHONY: deps-verify
deps-verify: ## Install the pinned clang for generate, format, lint and verify, if missing
	@SUDO=$(SUDO) tools/install-packages $(VERIFY_PACKAGES)
