#!/usr/bin/env bash
# Many real migrations in a row: pre-copy, auto-converge, post-copy in turn, and in every second one the collector loses
# its connections at random moments. Ends with the sums; fails when a record was lost, came twice or was torn.
#
# usage: soak.sh [N]     N migrations (30); they take about half a minute each under emulation
# LAB and IMAGE name the program and the guest image, OUT the place for the run directories, RESTARTS how often
# connections break in a run (6).
set -uo pipefail

count=${1:-30}
lab=${LAB:-target/release/sully-lab}
image=${IMAGE:-target/image}
out=${OUT:-runs/soak}
restarts=${RESTARTS:-6}
scenarios=(smoke/precopy smoke/auto-converge smoke/post-copy)
ran=0 bad=0

case $count in '' | *[!0-9]*) echo "soak: '$count' is not a number of migrations, for example 30" >&2; exit 2 ;; esac
mkdir -p "$out" || exit 1
began=$(mktemp) || exit 1
trap 'rm -f -- "$began"' EXIT
trap 'exit 130' INT TERM

for ((number = 1; number <= count; number++)); do
    scenario=${scenarios[$(((number - 1) % 3))]}
    breaks=$((number % 2 ? 0 : restarts))
    printf 'soak %d/%d: %-20s %s connections broken: ' "$number" "$count" "$scenario" "$breaks"
    timeout 300 "$lab" run "$scenario" --set "collect.restarts=$breaks" --image "$image" --out "$out" --quiet \
        >"$out/last.log" 2>&1
    code=$?
    ran=$((ran + 1))
    if [ "$code" -eq 0 ]; then
        echo passed
    else
        bad=$((bad + 1))
        echo "exit code $code:"
        grep -vE '^ *$' "$out/last.log" | tail -n 12 | sed 's/^/   | /'
    fi
done

# sum FIELD: over the stream audits of the runs this made.
sum() {
    find "$out" -name run.json -newer "$began" -exec grep -hE "^ *\"$1\": [0-9]+" {} + |
        grep -oE '[0-9]+' | awk '{ sum += $1 } END { print sum + 0 }'
}

echo "$ran migrations, $bad not passed: records $(sum records), sent again on request $(sum replayed)," \
    "holes $(sum holes), doubles $(sum doubles), torn $(sum torn)"
[ "$bad" -eq 0 ] && [ "$(($(sum holes) + $(sum doubles) + $(sum torn)))" -eq 0 ]
