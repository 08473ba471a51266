#!/usr/bin/env bash
# Runs every fuzz target, or those named, for so many seconds (60): scripts/fuzz.sh [SECONDS [TARGET...]]
# Only builds them: scripts/fuzz.sh build
# A find fails the run, and its input is kept and named with the way to replay it. What the fuzzer learns stays in
# fuzz/target/corpus; the seeds in fuzz/corpus are only read. It needs a C++ compiler, and libfuzzer-sys the first time.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
shift $(($# > 0))
finds=fuzz/artifacts
logs=fuzz/target/logs
host=$(rustc -vV | sed -n 's/^host: //p')
programs=fuzz/target/$host/release
# What libFuzzer follows: every edge, and what is compared with what. Our readers are safe Rust: overflows and broken
# promises are looked for, not stray pointers, so there is no sanitizer, and stable Rust is enough.
follow='-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-simplifycfg-branch-fold-threshold=0'

# instead WHY: what is done where libFuzzer cannot be built.
instead() {
    [ "$seconds" != build ] || exit 0
    echo "SKIPPED: fuzz: $1; the seeds are tried instead"
    exec cargo test --all-features --test fuzz_seeds
}
command -v "${CXX:-c++}" >/dev/null 2>&1 || instead "there is no C++ compiler for libFuzzer (install g++)"
cargo fetch --quiet --manifest-path fuzz/Cargo.toml || instead "the crates of fuzz/Cargo.toml cannot be fetched"

# What a target may take in all, the fuzzer's own memory included: a reader that believes a length dies of it. The seeds are held
# to far less by tests/fuzz_seeds.rs.
memory_kb=$((768 * 1024))

# fuzz TARGET SECONDS LOG: runs one target; fails when it finds something.
fuzz() {
    local target=$1 seeds=() learnt=fuzz/target/corpus/$1
    [ ! -d "fuzz/corpus/$target" ] || seeds+=("fuzz/corpus/$target")
    case $target in wire_*) seeds+=(tests/golden/v1) ;; esac
    mkdir -p "$learnt" "$finds/$target"
    (
        ulimit -d "$memory_kb"
        exec timeout --kill-after=20 $(($2 + 120)) "$programs/$target" "$learnt" "${seeds[@]}" \
            -dict=fuzz/words.dict -artifact_prefix="$finds/$target/" -max_total_time="$2" -max_len=65536 -timeout=20 \
            -rss_limit_mb=$((memory_kb / 1024)) -print_final_stats=1
    ) >"$3" 2>&1
}

# said LOG: what a target did, in one line.
said() {
    awk '/ cov: / { for (i = 1; i < NF; i++) if ($i == "cov:") edges = $(i + 1) }
        /number_of_executed_units/ { runs = $2 } /peak_rss_mb/ { rss = $2 }
        END { printf "%d inputs, %d edges, at most %d MB", runs, edges, rss }' "$1"
}

# --target keeps these flags from build scripts.
RUSTFLAGS=$follow cargo build --manifest-path fuzz/Cargo.toml --release --target "$host"
[ "$seconds" != build ] || exit 0
mkdir -p "$logs"
# Faults are planted in a target of its own, a panic and a length that is believed: if they go unseen, so would others.
for planted in 'the planted fault' 'memory allocation of'; do
    rm -rf fuzz/target/corpus/planted "$finds/planted"
    if SULLY_PLANTED=$planted fuzz planted 60 "$logs/planted.log" || ! grep -q "$planted" "$logs/planted.log" ||
        ! grep -q 'Test unit written to' "$logs/planted.log"; then
        echo "fuzz: '$planted' went unseen, so nothing that is found here counts: $logs/planted.log" >&2
        exit 1
    fi
done
targets=("$@")
if [ $# -eq 0 ]; then
    for seeds in fuzz/corpus/*/; do targets+=("$(basename "$seeds")"); done
fi
# hunt TARGET: fuzzes it, and says in one piece what came of it.
hunt() {
    local target=$1 log=$logs/$1.log input
    if fuzz "$target" "$seconds" "$log"; then
        printf '== %-14s %s\n' "$target" "$(said "$log")"
        return 0
    fi
    input=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
    {
        printf '== %-14s FOUND SOMETHING (%s):\n' "$target" "$log"
        grep -E 'panicked at|memory allocation of|^==.*ERROR' -A 2 "$log" | grep -vE '^(stack backtrace|NOTE|--| +Combine)' |
            head -n 12 | sed 's/^/   | /' || true
        echo "   input:  ${input:-none was kept: see the log}"
        [ -z "$input" ] || echo "   replay: $programs/$target $input"
    } >"$log.find"
    cat "$log.find"
    return 1
}
# As many at a time as there are CPUs.
found=0 hunters=()
for target in "${targets[@]}"; do
    if [ ${#hunters[@]} -ge "$(nproc)" ]; then
        wait "${hunters[0]}" || found=$((found + 1))
        hunters=("${hunters[@]:1}")
    fi
    hunt "$target" &
    hunters+=($!)
done
for hunter in "${hunters[@]}"; do wait "$hunter" || found=$((found + 1)); done
[ "$found" -eq 0 ] || echo "fuzz: $found of ${#targets[@]} targets found something" >&2
[ "$found" -eq 0 ]
