#!/usr/bin/env bash
# Counts the instructions of a visit's parts: benches/instructions.rs by gungraun, under valgrind.
# gungraun needs a runner of its own very version: it is built once into target/tools, which takes minutes.
set -euo pipefail

version=$(awk '/^name = "gungraun-runner"$/ { getline; gsub(/[^0-9.]/, ""); print; exit }' Cargo.lock)
runner=$PWD/target/tools/bin/gungraun-runner
limit=1800   # seconds for building the runner

say() { printf 'gungraun: %s\n' "$*"; }

if ! command -v valgrind >/dev/null 2>&1; then
    echo "SKIPPED: instructions of a visit's parts: valgrind is not installed (apt-get install valgrind)"
    exit 0
fi
if [ -z "$version" ]; then
    say "Cargo.lock does not say which gungraun-runner is wanted; cargo metadata writes it" >&2
    exit 1
fi
if [ "$("$runner" --version 2>/dev/null || true)" != "gungraun-runner $version" ]; then
    say "gungraun-runner $version is missing: building it into target/tools (some minutes, once)"
    if ! timeout "$limit" cargo install --quiet --locked --force --root target/tools --version "$version" gungraun-runner; then
        echo "SKIPPED: instructions of a visit's parts: gungraun-runner $version could not be built"
        exit 0
    fi
fi
GUNGRAUN_RUNNER=$runner timeout "$limit" cargo bench --no-default-features --bench instructions -- "$@"
