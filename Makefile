# The two commands are `make demo` and `make test`. Each sets up what it needs and can be run twice.

LAB := target/release/sully-lab
SCENARIOS ?= smoke/precopy smoke/auto-converge smoke/post-copy
OUT ?= runs/demo

.PHONY: help demo check test fidelity setup build image soak matrix fuzz schema bench bench-parts bench-instructions bench-collect bench-link bench-prefault bench-own clean-runs
.NOTPARALLEL:

help:
	@echo "make demo        migrate a real VM under load: pre-copy, auto-converge, post-copy; compare and report"
	@echo "make check       before each commit: format, lints, unit tests, rules of the house (under 2 minutes once built)"
	@echo "make test        check everything: format, lints, docs, tests, sizes, real migrations"
	@echo "make fidelity    hold what the guest says against injected faults; LONG=1 for the forms of ten minutes, REPEATS=N"
	@echo "make setup       install what is missing (QEMU and the like) on Debian or Ubuntu"
	@echo "make build       the guest program, static, and the host program"
	@echo "make image       the guest image in target/image (KERNEL=FILE to bring your own kernel)"
	@echo "make soak        N=30 real migrations in a row, the collector's connections broken in every second one"
	@echo "make matrix      scenarios on the QEMUs and kernels of Debian 12, 13 and 14 (root, debootstrap; LONG=1 for the eleven of 2016)"
	@echo "make bench       visits against a peer's loop and bare stores, as ratios; their parts; instructions; pacing; prefault"
	@echo "make bench-parts    whole visits, their parts and bare loops, by divan (PART=shuffle for some)"
	@echo "make bench-instructions  instructions a visit in the guest program, and of its parts beside bare loops (valgrind)"
	@echo "make fuzz        each reader of foreign bytes under a fuzzer, SECONDS=60 for each (TARGETS='stream histogram' for some)"
	@echo "make schema      renew docs/schema, docs/wire.lock and docs/PARAMETERS.md, when what they are made from changed on purpose"
	@echo "make bench-collect  GUESTS=500 simulated guests and one collector: CPU, memory, lost records"
	@echo "make bench-link  the load with readers of every bad habit, SECONDS=10 for each"
	@echo "make bench-prefault  making and filling MIB=1024 of memory beside a memset of it"
	@echo "make bench-own   pages that the program dirties for itself, by the kernel's log"
	@echo "make clean-runs  remove the run directories of earlier demos"

demo: setup build image
	@echo "== demo: $(SCENARIOS)"
	@$(LAB) run $(SCENARIOS) --out $(OUT) --image target/image

check:
	@echo "== check: format, lints, unit tests, rules of the house"
	@cargo fmt --check
	@cargo clippy --quiet --all-targets --all-features -- -D warnings
	@cargo clippy --quiet --no-default-features --lib --bins -- -D warnings
	@cargo test --quiet --all-features --lib --test tidy --test golden --test schema --test wire_lock --test parameters

test:
	@echo "== setup: what the tests need"
	@scripts/setup.sh test
	@echo "== test: every check, each with a log in target/test-logs"
	@scripts/test.sh

fidelity:
	@echo "== setup: what the tests of fidelity need"
	@LONG=$(LONG) scripts/setup.sh fidelity
	@$(MAKE) --no-print-directory image
	@scripts/fidelity.sh

setup:
	@echo "== setup: what the demo needs"
	@scripts/setup.sh demo

build:
	@echo "== build: target/guest/sully (static) and $(LAB)"
	@cargo guest & guest=$$!; cargo build --release --bin sully-lab; lab=$$?; wait $$guest && exit $$lab

image: build
	@echo "== image: target/image"
	@scripts/image.sh

soak: setup build image
	@echo "== soak: $(or $(N),30) migrations"
	@scripts/soak.sh $(or $(N),30)

matrix: setup build
	@echo "== matrix: $(or $(NAMES),smoke/* policy/*)"
	@scripts/matrix.sh $(foreach name,$(NAMES),'$(name)')

bench:
	@echo "== bench: visits beside a peer's loop and bare stores (1 GiB, three times; 35 s)"
	@cargo bench --no-default-features --bench visit
	@echo "== bench: pacing and its cost (10 s for each of six rates)"
	@cargo bench --no-default-features --bench pace
	@$(MAKE) --no-print-directory bench-parts bench-instructions bench-prefault

bench-parts:
	@echo "== bench-parts: whole visits, their parts and bare loops (256 MiB; 25 s)"
	@cargo bench --no-default-features --bench parts -- $(PART)

bench-instructions:
	@scripts/setup.sh bench
	@echo "== bench-instructions: a visit in the guest program, load by load (under valgrind; 90 s)"
	@cargo guest
	@scripts/instructions.sh all
	@echo "== bench-instructions: its parts beside bare loops, 10000 visits each"
	@scripts/gungraun.sh

fuzz:
	@echo "== fuzz: $(or $(SECONDS),60) s for each target"
	@scripts/fuzz.sh $(or $(SECONDS),60) $(TARGETS)

# The lock is taken of the schemas, so it comes second.
schema:
	@echo "== schema: docs/schema/*.json, docs/wire.lock, docs/PARAMETERS.md"
	@SULLY_RENEW=1 cargo test --quiet --test schema
	@SULLY_RENEW=1 cargo test --quiet --test wire_lock
	@SULLY_RENEW=1 cargo test --quiet --test parameters

bench-collect:
	@echo "== bench-collect: $(or $(GUESTS),500) guests, $(or $(SECONDS),20) s"
	@SULLY_GUESTS=$(or $(GUESTS),500) SULLY_SECONDS=$(or $(SECONDS),20) cargo test --release --test collect_load -- --nocapture

bench-link:
	@echo "== bench-link: $(or $(SECONDS),10) s for each habit, there and back"
	@SULLY_LINK_SECONDS=$(or $(SECONDS),10) cargo test --release --test link no_habit -- --nocapture

bench-prefault:
	@echo "== bench-prefault: $(or $(MIB),1024) MiB"
	@SULLY_PREFAULT_MIB=$(or $(MIB),1024) SULLY_PREFAULT_ROUNDS=5 cargo test --release --test prefault -- --nocapture

bench-own:
	@echo "== bench-own: 100 MiB/s over 64, 512 and 1024 MiB, an interval every 100 ms, two writers, then one; 6 x 31 s"
	@for mib in 64 512 1024; do for writers in 2 1; do \
		SULLY_OWN_MIB=$$mib SULLY_OWN_WRITERS=$$writers SULLY_OWN_SECONDS=31 \
			cargo test --release --test own_pages -- --nocapture || exit 1; \
	done; done

clean-runs:
	@echo "== clean-runs: $(OUT)"
	@rm -rf -- "$(OUT)"
