#!/usr/bin/env bash
# Runs every fuzz target for SECONDS_EACH seconds (60). A find ends it; cargo-fuzz says where the input is kept.
# What the fuzzer learns stays in fuzz/target/corpus; the seeds in fuzz/corpus are only read.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
# Our readers are safe Rust: overflows and broken promises are looked for, not stray pointers, which halves the speed.
options=(--fuzz-dir fuzz --sanitizer none)
# Coverage needs flags that stable Rust keeps to itself.
export RUSTC_BOOTSTRAP=1

if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "fuzz: cargo-fuzz is missing, installing it"
    cargo install --locked cargo-fuzz
fi
cargo fuzz build "${options[@]}"
for program in fuzz/fuzz_targets/*.rs; do
    target=$(basename "$program" .rs)
    seeds=("fuzz/corpus/$target")
    case $target in wire_*) seeds+=(tests/golden/v1) ;; esac
    learnt=fuzz/target/corpus/$target
    mkdir -p "$learnt"
    echo "== $target: $seconds s"
    cargo fuzz run "${options[@]}" "$target" "$learnt" "${seeds[@]}" -- \
        -max_total_time="$seconds" -max_len=65536 -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 2>&1 |
        grep -E '^(==|stat::|Done|thread|SUMMARY|Failing|artifact_prefix|  *fuzz/|.*panicked)' || true
    [ "${PIPESTATUS[0]}" -eq 0 ]
done
