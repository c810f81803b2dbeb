# `make help` lists the targets.

GO      ?= go
PREFIX  ?= /usr/local
DESTDIR ?=

FUZZTIME ?= 10s
BENCH    ?= .
ROWS     ?= .
TIMEOUT  ?= 15m

# The version comes from git by -ldflags; go's own look at git would fail in a checkout of another user.
VERSION := $(shell git -c safe.directory='*' describe --tags --always --dirty 2>/dev/null || echo devel)
export GOFLAGS := $(GOFLAGS) -buildvcs=false

# golangci-lint has a module file of its own, so that its two hundred dependencies are none of ours.
LINT  := bin/golangci-lint
# Packages with tests that ask internal/testenv for a capability of the kernel.
KERNEL_PACKAGES = $$($(GO) list -f '{{.ImportPath}} {{join .TestImports " "}} {{join .XTestImports " "}}' ./... \
	| sed -n 's|^\([^ ]*\) .*lqosd/internal/testenv.*|\1|p') ./internal/testenv
# Packages with tests that run in a virtual machine.
VM_PACKAGES = $$(grep -rlE --include='*_test.go' '\<InVM(With)?\(' . | xargs -n 1 dirname | sort -u)
# Tests that measure traffic. They come last and alone: beside others they would measure those.
MEASURING := Lab.*
# Large ones, or many in one goroutine: of each kind others have the race detector.
LARGE := PlayIsFold|PlayRemembers|MapIsAMap|ServerLarge.*|ServerAnswersBadDocuments|SessionBadDocuments|SessionMemory|AnswerTooLarge|ClientRefusesWhatCannotBeSent|SameTreeOfThousand|RecordingsOfThousand|MovesOnTheKernel|RefusedOnTheKernel|DriftOnTheKernelReported|MapDriftReported|DataplaneOff|CodecRoundTrip|ReplayIsLive|ScriptIsTheState|CloneStays|EveryClassHasANote|LogBehavesLikeASlice|RecordsFromAnywhere|LargestRecordRoundTrips|CrashDuringRoll|CrashWhileTheNextSegmentIsWritten|Golden(Trace|Bulk|Names|Refresh|Mappings|Batch|BatchMappings)|LeafHandlesStay|LeafHandlesRunOut|CommitHandlesStay|OversizeBatch|LongRefusal|SteeringAlways|PartIsWhole|TrailsBeyondTheirLimit|GoldenRefreshSteersNothing|Crash|LyingHeaders|Truncated|PrefixLengths|NestedPrefixes|PrefixesAsModel|OnlyLengthsToldOf
# Tests that the race detector only slows down: what they test runs in a virtual machine, where there is none, in a program that is
# killed, in one goroutine, thousands of times over (TestTrial…; LQOSD_NIGHTLY=1: ten times as many), or with it in another test (TestSameTree, TestMapDrift, TestRecordings). They run beside those that have it.
PLAIN := SameTreeWithCake|Refresh|RefreshLosesNoPacket|MappedRecordings|ReadBackEveryKind|ClsactInVM|ProgramsOnLinux61|CutSnapshot|OneByOne|Head.*|GenerationsTakeTurns|Python|Demo|Unit(DoesTheJob|UnderSystemd)|Simulation|MutantsAreCaught|SameSeedSameTrace|Trial.*|$(LARGE)
# The packages of tests with such names. go test begins them in this order: those that take minutes first, or one of them would be
# alone at the end.
LONG     := bakery|cmd/lqosd|eventlog|xdp
packages = $$(grep -rlE --include='*_test.go' '^func Test($(1))\(' . | xargs -n 1 dirname | sed -E 's@^\./($(LONG))$$@ &@' | LC_ALL=C sort -u)
# What tests need: program or file:package, by Debian's names. Without the race detector's compiler there are no tests.
NEEDS := gcc:gcc /usr/include/stdlib.h:libc6-dev ip:iproute2 tc:iproute2 linux.uml:user-mode-linux modprobe:kmod iperf3:iperf3 ethtool:ethtool python3:python3 \
	fusermount3:fuse3 mkfs.ext4:e2fsprogs strace:strace systemd-analyze:systemd mandoc:mandoc
MUST  := gcc
# The clients in Python, and what checks their types.
PYTHON := bus/python
MYPY   := mypy:mypy
# What is made of xdp/bpf, and what it takes.
GENERATED := xdp/bpf_bpfel.go xdp/bpf_bpfel.o
CLANG     := clang:clang llvm-strip:llvm /usr/include/bpf/bpf_helpers.h:libbpf-dev /usr/include/linux/bpf.h:linux-libc-dev

.PHONY: help build demo generate generated test nightly figures sim test-unit test-netns test-vm bench bench-smoke microbench fuzz lint tidy man install install-built install-units uninstall clean needs FORCE
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: bin/lqosd bin/bakery-replay ## build bin/lqosd and bin/bakery-replay, static

bin/%: FORCE
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-X main.version=$(VERSION)' -o $@ ./cmd/$*

demo: build ## play a real client's network (as root to a real kernel), kill the daemon, meddle, and show what comes of it
	@[ "$$(id -u)" != 0 ] || $(MAKE) --no-print-directory needs NEEDS="ip:iproute2 tc:iproute2" MUST=
	$(GO) run ./internal/demo

generate: ## compile xdp/bpf with clang into the committed files; installs clang as root on Debian
	@$(MAKE) --no-print-directory needs NEEDS="$(CLANG)" MUST="clang llvm-strip"
	$(GO) generate ./xdp

generated: ## generate, and fail if that changes a file; the files are those of Debian 12's clang 14
	@before=$$(cat $(GENERATED) | sha256sum); \
	$(MAKE) --no-print-directory generate || exit 1; \
	[ "$$before" = "$$(cat $(GENERATED) | sha256sum)" ] || { \
		echo "$(GENERATED): not what $$(clang --version | head -n 1) makes of xdp/bpf." >&2; \
		echo "With Debian 12's clang 14.0.6: commit what make generate made. Another clang makes other code." >&2; \
		exit 1; \
	}

# Every fuzz target in turn for the time $(1), as go test's events, on one core.
fuzzing = grep -rHo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sed 's/:func /:/' | sort | while IFS=: read -r file name; do \
		$(GO) test -vet=off -timeout 0 -json -run '^$$' -fuzz "^$$name\$$" -fuzztime $(1) -fuzzminimizetime 1s -parallel 1 "$$(dirname $$file)"; \
	done

# Each test runs in one of the three. What the first and the fuzz targets write waits for the second, which vets all (VET=off: after make
# lint, which does that too): testsum reads one after the other.
# The trials throw the same dice each time; in nightly, others.
test: export LQOSD_SEED ?= 1
test: needs ## run all tests, most with the race detector; installs what they need as root on Debian
	@plain=$$(mktemp) && fuzz=$$(mktemp) && trap 'rm -f "$$plain" "$$fuzz"' EXIT && { \
		{ $(call fuzzing,30s); } >"$$fuzz" & \
		CGO_ENABLED=0 $(GO) test -vet=off -timeout $(TIMEOUT) -json -p 2 -run '^Test($(PLAIN))$$' $(call packages,$(PLAIN)) >"$$plain" & \
		$(GO) test -race $(VET:%=-vet=%) -timeout $(TIMEOUT) -json -skip '^Test($(PLAIN)|$(MEASURING))$$' ./...; \
		wait; cat "$$plain" "$$fuzz"; \
		CGO_ENABLED=0 $(GO) test -vet=off -timeout $(TIMEOUT) -json -p 1 -run '^Test($(MEASURING))$$' $(call packages,$(MEASURING)); \
	} | $(GO) run ./internal/testsum

nightly: needs ## run the tests that try something thousands of times, ten times as often, and every fuzz target for 10 minutes
	@{ LQOSD_NIGHTLY=1 $(GO) test -timeout 6h -json -run '^Test(Trial.*)$$' $(call packages,Trial.*); $(call fuzzing,10m); } | $(GO) run ./internal/testsum

# A figure is a line of a trial's output: figure: TRIAL | TRIES | RESULT
figures: needs ## run the trials and write what they found into docs/reliability.md
	@mkdir -p bin
	{ echo; echo "Linux $$(uname -r), $$(nproc) cores, commit $(VERSION), LQOSD_SEED=$(or $(SEED),1)"; echo; echo '| Trial | Tries | Result |'; echo '|---|---|---|'; } > bin/figures
	LQOSD_SEED=$(or $(SEED),1) $(GO) test -count=1 -timeout 6h -v -run '^Test(Trial.*)$$' $(call packages,Trial.*) > bin/trials || { cat bin/trials; exit 1; }
	{ sed -n 's/^.*figure: \(.*\)$$/| \1 |/p' bin/trials | sort; echo; } >> bin/figures
	sed -i -e '/^<!-- make figures -->$$/,/^<!-- end -->$$/{//!d}' -e '/^<!-- make figures -->$$/r bin/figures' docs/reliability.md

test-unit: ## run the tests that need neither root nor a kernel's help
	$(GO) test -race -short -timeout $(TIMEOUT) -json ./... | $(GO) run ./internal/testsum

sim: ## live through an hour of crashes, faults and meddling in seconds; SEED=n one run again, MINUTES=60 how long
	SIM_SEED=$(SEED) SIM_MINUTES=$(or $(MINUTES),60) $(GO) test -count 1 -timeout $(TIMEOUT) -v -run '^TestSimulation$$' ./internal/sim

test-netns: ## run the packages that use network namespaces; it fails where they can't be made
	LQOSD_REQUIRE=netns,tc,bpf,iperf3 $(GO) test -race -skip '^TestTrial' -timeout $(TIMEOUT) -json $(KERNEL_PACKAGES) | $(GO) run ./internal/testsum

test-vm: ## run the packages that use virtual machines (user-mode Linux); it fails where they can't boot
	LQOSD_REQUIRE=vm,tc $(GO) test -race -skip '^TestTrial' -timeout $(TIMEOUT) -json $(VM_PACKAGES) | $(GO) run ./internal/testsum

# What make bench runs, and what that needs.
BENCHED    := bin/bench-peers bin/xdp.test
benchneeds  = @[ "$$(id -u)" != 0 ] || $(MAKE) --no-print-directory needs NEEDS="ip:iproute2 tc:iproute2 python3:python3" MUST=

bench: build $(BENCHED) ## measure lqosd against peers and limits, 25 minutes; ROWS=regexp chooses, bench.json gets the table
	$(benchneeds)
	$(GO) run ./internal/bench -rows '$(ROWS)' -growth -o bench.json

# The ratios of small sizes aren't those of full ones; but what makes one of them worse by half is a mistake.
bench-smoke: build $(BENCHED) ## the same with small sizes, a minute; fail where a ratio is worse than in internal/bench/smoke.json by more than half
	$(benchneeds)
	$(GO) run ./internal/bench -smoke -rows '$(ROWS)' -compare internal/bench/smoke.json -o bin/smoke.json

bin/bench-peers: FORCE
	CGO_ENABLED=0 $(GO) build -C internal/bench/peers -o ../../../$@ .

bin/xdp.test: FORCE
	CGO_ENABLED=0 $(GO) test -c -o $@ ./xdp

microbench: ## run go test's benchmarks; BENCH=regexp chooses
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem ./...

fuzz: ## run every fuzz target for FUZZTIME=10s
	@{ $(call fuzzing,$(FUZZTIME)); } | $(GO) run ./internal/testsum

lint: $(LINT) ## run golangci-lint and mypy, and check that go.mod is tidy; installs mypy as root on Debian
	CGO_ENABLED=0 $(LINT) run ./... # what it compiles, the tests without the race detector take
	$(GO) mod tidy -diff
	cd internal/bench/peers && CGO_ENABLED=0 $(GO) vet . && $(GO) mod tidy -diff
	@$(MAKE) --no-print-directory needs NEEDS="$(MYPY)" MUST=mypy
	cd $(PYTHON) && mypy --cache-dir=/dev/null --strict *.py lqosd tests ../../docs/ci/network.py

$(LINT): internal/tools/go.mod internal/tools/go.sum
	CGO_ENABLED=0 $(GO) build -C internal/tools -o ../../$(LINT) github.com/golangci/golangci-lint/v2/cmd/golangci-lint

tidy: ## bring go.mod and go.sum up to date
	$(GO) mod tidy

man: build ## write the manual pages into bin/man; man -l shows one
	bin/lqosd man -o bin/man
	bin/bakery-replay man -o bin/man

install: build install-built ## install binaries, manual pages and the shells' completion below DESTDIR and PREFIX=/usr/local

# What was built tells its pages and completion itself, so it has to run here.
SHARE = $(DESTDIR)$(PREFIX)/share
BIN  ?= bin
install-built:
	install -D -m 0755 $(BIN)/lqosd $(DESTDIR)$(PREFIX)/sbin/lqosd
	install -D -m 0755 $(BIN)/bakery-replay $(DESTDIR)$(PREFIX)/bin/bakery-replay
	install -d $(SHARE)/bash-completion/completions $(SHARE)/zsh/site-functions $(SHARE)/fish/vendor_completions.d
	for program in lqosd bakery-replay; do \
		$(BIN)/$$program man -o $(SHARE)/man && \
		$(BIN)/$$program completion bash > $(SHARE)/bash-completion/completions/$$program && \
		$(BIN)/$$program completion zsh > $(SHARE)/zsh/site-functions/_$$program && \
		$(BIN)/$$program completion fish > $(SHARE)/fish/vendor_completions.d/$$program.fish || exit 1; \
	done

install-units: ## install the units of packaging below DESTDIR, for what install installs
	for unit in lqosd.service lqosd.socket run-lqosd-bpf.mount; do \
		install -d $(DESTDIR)$(PREFIX)/lib/systemd/system && \
		sed 's|/usr/local/|$(PREFIX)/|g' packaging/$$unit > $(DESTDIR)$(PREFIX)/lib/systemd/system/$$unit || exit 1; \
	done
	install -D -m 0644 packaging/sysusers.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/lqosd.conf
	install -D -m 0644 packaging/tmpfiles.conf $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/lqosd.conf
	install -D -m 0644 packaging/modules-load.conf $(DESTDIR)$(PREFIX)/lib/modules-load.d/lqosd.conf

uninstall: ## remove what install and install-units installed, with the same DESTDIR and PREFIX
	rm -f $(DESTDIR)$(PREFIX)/sbin/lqosd $(DESTDIR)$(PREFIX)/bin/bakery-replay \
		$(foreach unit,lqosd.service lqosd.socket run-lqosd-bpf.mount,$(DESTDIR)$(PREFIX)/lib/systemd/system/$(unit)) \
		$(foreach kind,sysusers tmpfiles modules-load,$(DESTDIR)$(PREFIX)/lib/$(kind).d/lqosd.conf) \
		$(foreach program,lqosd bakery-replay,$(SHARE)/bash-completion/completions/$(program) $(SHARE)/zsh/site-functions/_$(program) \
			$(SHARE)/fish/vendor_completions.d/$(program).fish) \
		$(SHARE)/man/man8/lqosd.8 $(SHARE)/man/man8/lqosd-*.8 $(SHARE)/man/man1/bakery-replay.1 $(SHARE)/man/man1/bakery-replay-*.1

clean: ## remove what was built
	rm -rf bin

# Missing programs make tests skip, and say so; without those of MUST it fails here.
needs:
	@missing=; PATH=$$PATH:/usr/sbin:/sbin; \
	for need in $(NEEDS); do \
		case $$need in \
		/*) [ -e "$${need%%:*}" ] ;; \
		*) command -v "$${need%%:*}" >/dev/null ;; \
		esac || missing="$$missing $${need#*:}"; \
	done; \
	[ -n "$$missing" ] || exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		flock Makefile sh -c "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing"; \
	else \
		echo "these Debian packages are missing:$$missing" >&2; \
		for must in $(MUST); do command -v "$$must" >/dev/null || exit 1; done; \
	fi
