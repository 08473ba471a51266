#!/usr/bin/env bash
# What `make fidelity` does: every test of fidelity, their demands and figures as a table, and what was told of what as a
# matrix. It fails where a demand does not hold; in `make test` only what no noise explains is a failure.
#
# LONG=1 asks for the long forms. REPEATS=N runs all N times: the table has the median and the spread of the figures.
set -uo pipefail

log=target/test-logs/fidelity.log
page=target/fidelity.md
repeats=${REPEATS:-1}
mkdir -p "$(dirname "$log")" || exit 1
export SULLY_TEST_GUEST=$PWD/target/guest/sully SULLY_TEST_LAB=$PWD/target/release/sully-lab SULLY_TEST_IMAGE=$PWD/target/image
export SULLY_FIDELITY=${LONG:+long} SULLY_TEST_REQUIRE=1
SULLY_FIDELITY=${SULLY_FIDELITY:-short}
: >"$log"

# The service unit is tried in a Debian of its own; without it that test skips aloud.
if [ -n "${LONG:-}" ]; then
    scripts/debian-guest.sh target/debian-guest || echo "fidelity: the service unit will be skipped"
fi

code=0
for round in $(seq "$repeats"); do
    echo "== fidelity: round $round of $repeats, $SULLY_FIDELITY forms; the log is $log"
    cargo test --all-features --test fidelity --test vm_fidelity ${LONG:+--test vm_service} --no-fail-fast -- --nocapture --test-threads=1 \
        >>"$log" 2>&1 || code=$?
done

# Tests that stand elsewhere, each with the command that runs it.
elsewhere() {
    cat <<'LIST'
V13: pacing, 100 to 2 M visits/s, three paces|cargo test --lib pace && cargo test --test guest_program pacing
V15: different pages against the kernel's log|cargo test --lib engine::truth
V16: latency.hlog read back, by the library that wrote it|cargo test --lib report::hlog
V17: a clock moved by hand: steps, jumps, a counter that goes back|cargo test --lib clock
V17: the counter of a real VM across a migration, kept, set back, set ahead|cargo test --test vm_clock
dirty rate against QEMU's|cargo test --test vm_dirty_rate
LIST
}

machine() {
    echo "$(date +%F), $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) CPUs, Linux $(uname -r);" \
        "VMs: $("qemu-system-$(uname -m)" --version 2>/dev/null | sed -n '1s/QEMU emulator version //p'), emulation;" \
        "$SULLY_FIDELITY forms, $repeats round(s)."
}

{
    echo "# Fidelity: figures"
    echo
    machine
    echo
    grep -a -oE '(FIDELITY|MATRIX)	.*' "$log" | awk -F '\t' -f scripts/fidelity.awk
    echo
    echo "| elsewhere | command |"
    echo "|---|---|"
    elsewhere | while IFS='|' read -r what command; do echo "| $what | \`$command\` |"; done
} >"$page"

cat "$page"
short=$(grep -c '| falls short' "$page")
holds=$(grep -c '| holds' "$page")
skips=$(grep -c '| skipped' "$page")
[ "$code" -eq 0 ] || { echo "a test failed, the end of $log:"; tail -n 40 "$log"; }
echo "$holds hold, $short fall short, $skips skipped; the page is $page"
[ "$code" -eq 0 ] && [ "$short" -eq 0 ] && [ "$holds" -gt 0 ]
