#!/usr/bin/env bash
# What `make fidelity` does: the long forms of tests/fidelity.rs, and their demands and figures as a table.
# A demand that was missed is a failure here; in `make test` only what no noise explains is one.
set -uo pipefail

log=target/test-logs/fidelity.log
mkdir -p "$(dirname "$log")" || exit 1
echo "== fidelity: injected faults, about 25 minutes; the log is $log"
SULLY_FIDELITY=long cargo test --test fidelity -- --nocapture --test-threads=1 >"$log" 2>&1
code=$?

printf '%-26s %-44s %-64s %s\n' test demand got ''
sed -nE 's/^(test [a-z0-9_]+ \.\.\. )?(.+): demand (.+), got (.+), (held|missed)$/\2|\3|\4|\5/p' "$log" |
    while IFS='|' read -r name demand got verdict; do
        printf '%-26s %-44s %-64s %s\n' "$name" "$demand" "$got" "$verdict"
    done
grep -oE 'SKIPPED: .*' "$log"

missed=$(grep -cE ', missed$' "$log")
held=$(grep -cE ', held$' "$log")
[ "$code" -eq 0 ] || { echo "a test failed, the end of $log:"; tail -n 40 "$log"; }
echo "$held held, $missed missed"
[ "$code" -eq 0 ] && [ "$missed" -eq 0 ] && [ "$held" -gt 0 ]
