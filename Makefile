# The two commands are `make demo` and `make test`. Each sets up what it needs and can be run twice.

LAB := target/release/sully-lab
SCENARIOS ?= smoke/precopy smoke/auto-converge smoke/post-copy
OUT ?= runs/demo

.PHONY: help demo test setup build image soak fuzz schema bench-collect bench-link bench-prefault clean-runs
.NOTPARALLEL:

help:
	@echo "make demo        migrate a real VM under load: pre-copy, auto-converge, post-copy; compare and report"
	@echo "make test        check everything: format, lints, docs, tests, sizes, real migrations"
	@echo "make setup       install what is missing (QEMU and the like) on Debian or Ubuntu"
	@echo "make build       the guest program, static, and the host program"
	@echo "make image       the guest image in target/image (KERNEL=FILE to bring your own kernel)"
	@echo "make soak        N=30 real migrations in a row, the collector's connections broken in every second one"
	@echo "make fuzz        each reader of foreign bytes under a fuzzer, SECONDS=60 for each (TARGETS='stream histogram' for some)"
	@echo "make schema      renew docs/schema and docs/wire.lock, when types of the wire or docs/WIRE.md changed on purpose"
	@echo "make bench-collect  GUESTS=500 simulated guests and one collector: CPU, memory, lost records"
	@echo "make bench-link  the load with readers of every bad habit, SECONDS=10 for each"
	@echo "make bench-prefault  making and filling MIB=1024 of memory beside a memset of it"
	@echo "make clean-runs  remove the run directories of earlier demos"

demo: setup build image
	@echo "== demo: $(SCENARIOS)"
	@$(LAB) run $(SCENARIOS) --out $(OUT) --image target/image

test:
	@echo "== setup: what the tests need"
	@scripts/setup.sh test
	@echo "== test: every check, each with a log in target/test-logs"
	@scripts/test.sh

setup:
	@echo "== setup: what the demo needs"
	@scripts/setup.sh demo

build:
	@echo "== build: target/guest/sully (static) and $(LAB)"
	@cargo guest
	@cargo build --release --bin sully-lab

image: build
	@echo "== image: target/image"
	@scripts/image.sh

soak: setup build image
	@echo "== soak: $(or $(N),30) migrations"
	@scripts/soak.sh $(or $(N),30)

fuzz:
	@echo "== fuzz: $(or $(SECONDS),60) s for each target"
	@scripts/fuzz.sh $(or $(SECONDS),60) $(TARGETS)

# The lock is taken of the schemas, so it comes second.
schema:
	@echo "== schema: docs/schema/*.json, then docs/wire.lock"
	@SULLY_RENEW=1 cargo test --quiet --test schema
	@SULLY_RENEW=1 cargo test --quiet --test wire_lock

bench-collect:
	@echo "== bench-collect: $(or $(GUESTS),500) guests, $(or $(SECONDS),20) s"
	@SULLY_GUESTS=$(or $(GUESTS),500) SULLY_SECONDS=$(or $(SECONDS),20) cargo test --release --test collect_load -- --nocapture

bench-link:
	@echo "== bench-link: $(or $(SECONDS),10) s for each habit, there and back"
	@SULLY_LINK_SECONDS=$(or $(SECONDS),10) cargo test --release --test link no_habit -- --nocapture

bench-prefault:
	@echo "== bench-prefault: $(or $(MIB),1024) MiB"
	@SULLY_PREFAULT_MIB=$(or $(MIB),1024) SULLY_PREFAULT_ROUNDS=5 cargo test --release --test prefault -- --nocapture

clean-runs:
	@echo "== clean-runs: $(OUT)"
	@rm -rf -- "$(OUT)"
