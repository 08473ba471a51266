#!/usr/bin/env bash
# How many instructions a visit takes in the guest program itself, and an interval, counted by valgrind's callgrind: the
# same on a busy machine as on a quiet one. Fails where one takes more than its bound.
#
# usage: scripts/instructions.sh [guard|all] [GUEST]
# `guard` counts what `make test` holds against bounds, `all` every load of docs/PERFORMANCE.md.
#
# Each load runs twice at full rate, for a short time and a longer one. The difference of the writer's instructions,
# over the difference of its visits, is what one visit takes: filling, sweeping and starting are the same in both.
set -uo pipefail

wanted=${1:-guard}
guest=${2:-target/guest/sully}
# Fewer visits between the two runs tell too little; then both are longer.
least_visits=30000

# An emulated guest under a throttle of 99 % has a few million instructions a second. Gaps that the machine makes under valgrind
# take their share, so this bound is half again above what was measured.
interval_bound=700000

# LOAD|GUARDED|AT MOST|FLAGS of `sully run`. Bounds are a tenth above what was measured.
loads() {
    cat <<'LIST'
shuffle, timed and stamped|guard|314|-p shuffle
random, timed and stamped|all|294|-p random
sequential, timed and stamped|all|285|-p sequential
zipf:0.99, timed and stamped|all|382|-p zipf:0.99
hotspot:10/90, timed and stamped|all|333|-p hotspot:10%/90%
stride:16, timed and stamped|all|286|-p stride:16
random, stamped|all|263|-p random --no-latency
random, timed|guard|182|-p random --verify off
random, bare|guard|37|-p random --verify off --no-latency
shuffle, bare|guard|63|-p shuffle --verify off --no-latency
sequential, bare|all|24|-p sequential --verify off --no-latency
zipf:0.99, bare|guard|120|-p zipf:0.99 --verify off --no-latency
hotspot:10/90, bare|all|71|-p hotspot:10%/90% --verify off --no-latency
stride:16, bare|all|29|-p stride:16 --verify off --no-latency
random, delta:64, timed and stamped|all|3130|-p random -c delta:64
random, same, timed and stamped|all|330|-p random -c same
random, random whole pages, timed and stamped|all|9280|-p random -w page
random, compress:50 whole pages, timed and stamped|all|14958|-p random -w page -c compress:50
random, zero whole pages, bare|all|3491|-p random -w page -c zero --verify off --no-latency
random, fill:0xaa whole pages, bare|all|3491|-p random -w page -c fill:0xaa --verify off --no-latency
LIST
}

die() { printf 'instructions: %s\n' "$*" >&2; exit 1; }

# run_counted FLAGS...: runs the load under callgrind, which leaves the records and a count for each thread.
run_counted() {
    rm -f "$scratch"/counts*
    timeout --kill-after=5 90 valgrind --tool=callgrind --separate-threads=yes \
        --callgrind-out-file="$scratch/counts" "$guest" run -m 4M -t 1 --baseline 0s --report - "$@" \
        >"$scratch/records" 2>"$scratch/said" </dev/null
}

# count MILLISECONDS FLAGS...: prints the visits of one run, the writer's instructions, and the clock it used.
count() {
    local span_ms=$1
    shift
    run_counted -r max -d "${span_ms}ms" -i 1s "$@" || return 1
    # Beside the first thread, which waits for the second, which reports, the writer is the one that did the most.
    awk '/^totals:/ && FILENAME !~ /-0[12]$/ && $2 > most { most = $2 } END { print most + 0 }' \
        "$scratch"/counts-* >"$scratch/most"
    sed -n 's/^{"type":"end".*"totals":{[^}]*"writes":\([0-9]*\).*/\1/p' "$scratch/records" | tail -n 1
    cat "$scratch/most"
    grep -o '"clock":{"kind":"[a-z]*"' "$scratch/records" | head -n 1 | cut -d '"' -f 6
}

# per_visit FLAGS...: prints the instructions that one visit takes; fails where two runs do not tell.
per_visit() {
    local span_ms
    for span_ms in 300 800 2000 4000; do
        mapfile -t short < <(count "$span_ms" "$@")
        mapfile -t long < <(count "$((span_ms * 4))" "$@")
        [ "${#short[@]}" -eq 3 ] && [ "${#long[@]}" -eq 3 ] || return 1
        # Without the counter every reading of time is a call into the kernel's page: other instructions.
        [ "${long[2]}" = tsc ] && [ "${short[2]}" = tsc ] || case " $* " in *" --no-latency "*) ;; *) return 2 ;; esac
        if [ "$((long[0] - short[0]))" -ge "$least_visits" ]; then
            echo "${short[*]} ${long[*]}" | awk '{ printf "%.1f\n", ($5 - $2) / ($4 - $1) }'
            return 0
        fi
    done
    return 1
}

# tell SECONDS: prints the intervals of one run at a low rate, and the instructions of the thread that tells them.
tell() {
    run_counted -r 1000p/s -d "$1s" -i 100ms || return 1
    grep -c '^{"type":"interval"' "$scratch/records"
    awk '/^totals:/ { print $2 }' "$scratch/counts-02"
}

# per_interval: prints the instructions that one interval takes, with what gaps there were.
per_interval() {
    mapfile -t short < <(tell 2)
    mapfile -t long < <(tell 6)
    [ "${#short[@]}" -eq 2 ] && [ "${#long[@]}" -eq 2 ] && [ "${long[0]}" -gt "${short[0]}" ] || return 1
    # A thread that does next to nothing is not the one that tells.
    [ "$((long[1] - short[1]))" -gt "$(((long[0] - short[0]) * 1000))" ] || return 1
    echo $(((long[1] - short[1]) / (long[0] - short[0])))
}

case $wanted in guard | all) ;; *) die "'$wanted' is neither guard nor all" ;; esac
if ! command -v valgrind >/dev/null 2>&1; then
    echo "SKIPPED: instructions a visit takes: valgrind is not installed (apt-get install valgrind)"
    exit 0
fi
[ -x "$guest" ] || die "there is no guest program at '$guest': make build makes it"
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT

echo "$(valgrind --version), $("$guest" --version), 4 MiB, one writer, full rate"
echo
echo "| load | instructions a visit | at most |"
echo "|---|---|---|"
grown=0
while IFS='|' read -r load guarded bound flags; do
    [ "$wanted" = all ] || [ "$guarded" = guard ] || continue
    code=0
    # shellcheck disable=SC2086  # several flags in one word on purpose
    found=$(per_visit $flags) || code=$?
    if [ "$code" -eq 2 ]; then
        echo "SKIPPED: instructions of '$load': the guest program does not use the cycle counter under valgrind here"
        continue
    fi
    [ "$code" -eq 0 ] || { tail -n 5 "$scratch/said" >&2; die "'$load' could not be counted: sully run $flags"; }
    echo "| $load | $found | $bound |"
    if awk -v found="$found" -v bound="$bound" 'BEGIN { exit !(found > bound) }'; then
        echo "a visit of '$load' takes $found instructions, at most $bound" >&2
        grown=1
    fi
done < <(loads)
found=$(per_interval) || { tail -n 5 "$scratch/said" >&2; die "an interval could not be counted"; }
echo "| an interval of 100 ms, told | $found | $interval_bound |"
if [ "$found" -gt "$interval_bound" ]; then
    echo "an interval takes $found instructions, at most $interval_bound" >&2
    grown=1
fi
[ "$grown" -eq 0 ] || die "visits or intervals have grown. Where that is meant, raise the bounds in scripts/instructions.sh, and say in docs/PERFORMANCE.md what for"
