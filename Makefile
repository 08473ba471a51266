# The two commands are `make demo` and `make test`. Each sets up what it needs and can be run twice.

LAB := target/release/sully-lab
SCENARIOS ?= smoke/precopy smoke/auto-converge smoke/post-copy
OUT ?= runs/demo

.PHONY: help demo test fidelity setup build image clean-runs
.NOTPARALLEL:

help:
	@echo "make demo        migrate a real VM under load: pre-copy, auto-converge, post-copy; compare and report"
	@echo "make test        check everything: format, lints, docs, tests, sizes, real migrations"
	@echo "make fidelity    hold what the guest says against injected faults, at length (about 25 minutes)"
	@echo "make setup       install what is missing (QEMU and the like) on Debian or Ubuntu"
	@echo "make build       the guest program, static, and the host program"
	@echo "make image       the guest image in target/image (KERNEL=FILE to bring your own kernel)"
	@echo "make clean-runs  remove the run directories of earlier demos"

demo: setup build image
	@echo "== demo: $(SCENARIOS)"
	@$(LAB) run $(SCENARIOS) --out $(OUT) --image target/image

test:
	@echo "== setup: what the tests need"
	@scripts/setup.sh test
	@echo "== test: every check, each with a log in target/test-logs"
	@scripts/test.sh

fidelity:
	@scripts/fidelity.sh

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

clean-runs:
	@echo "== clean-runs: $(OUT)"
	@rm -rf -- "$(OUT)"
