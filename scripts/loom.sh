#!/usr/bin/env bash
# What threads of the guest program say to each other, in every order of loads and stores that the memory model allows
# (loom/src/models.rs). It needs the crate loom, the first time from a registry.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! cargo fetch --quiet --manifest-path loom/Cargo.toml 2>/dev/null; then
    echo "SKIPPED: orders of loads and stores: the crates of loom/Cargo.toml cannot be fetched"
    exit 0
fi
RUSTFLAGS="--cfg loom" exec cargo test --release --manifest-path loom/Cargo.toml "$@"
