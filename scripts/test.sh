#!/usr/bin/env bash
# Everything `make test` checks, step by step. A step that fails does not keep the others from being tried.
# The last line counts checks (a step without tests counts as one): N passed, N failed, N skipped
set -uo pipefail

logs=target/test-logs
passed=0 failed=0 skipped=0
reasons=()   # why something was skipped, or what failed
running=     # the step under way: ^C does not reach it by itself, since `timeout` gives it a process group
mkdir -p "$logs" || exit 1
trap '[ -n "$running" ] && kill "$running" 2>/dev/null; echo; echo "interrupted"; exit 130' INT TERM

# step NAME LIMIT COMMAND...: runs one step, bounded in time, its output in a log.
step() {
    local name=$1 limit=$2 log=$logs/$1.log started=$SECONDS code=0
    shift 2
    printf -- '-- %-14s ' "$name"
    run_bounded "$limit" "$@" >"$log" 2>&1 </dev/null &
    running=$!
    wait "$running" || code=$?
    running=
    count "$log" "$code"
    if [ "$code" -eq 0 ]; then
        echo "ok ($((SECONDS - started)) s)"
        return 0
    fi
    [ "$code" -eq 124 ] && echo "took longer than $limit s" >>"$log"
    echo "FAILED ($((SECONDS - started)) s), the end of $log:"
    reasons+=("FAILED: $name ($log)")
    grep -vE '^ *(PASS|Compiling|Checking|test .* \.\.\. ok)' "$log" | tail -n 80 | sed 's/^/   | /'
    return 1
}

# Becomes the bounded command. A function of this file runs in a shell of its own, so that `timeout` can end it.
run_bounded() {
    local limit=$1
    shift
    if [ "$(type -t "$1")" = function ]; then
        exec timeout --kill-after=20 "$limit" bash -c "set -euo pipefail; $(declare -f); $(printf '%q ' "$@")"
    else
        exec timeout --kill-after=20 "$limit" "$@"
    fi
}

# count LOG CODE: adds what a step's log says to the sums; tests that skipped aloud are not counted as passed.
count() {
    local log=$1 code=$2 ok bad skips
    ok=$(total "$log" passed)
    bad=$(total "$log" failed)
    bad=$((bad + $(total "$log" 'timed out')))
    skips=$(grep -cE '^ *SKIPPED: ' "$log")
    while IFS= read -r reason; do reasons+=("$reason"); done < <(grep -hE '^ *SKIPPED: ' "$log" | sed 's/^ *//')
    # Passed only when tried again (.config/nextest.toml).
    while IFS= read -r reason; do reasons+=("$reason"); done < <(grep -hE '^ *FLAKY ' "$log" | sed 's/^ *//')
    if [ $((ok + bad)) -eq 0 ]; then
        [ "$code" -eq 0 ] && ok=1 || bad=1
        [ "$code" -eq 0 ] && [ "$skips" -gt 0 ] && ok=$skips
    elif [ "$code" -ne 0 ] && [ "$bad" -eq 0 ]; then
        bad=1
    fi
    passed=$((passed + ok - (skips < ok ? skips : ok)))
    failed=$((failed + bad))
    skipped=$((skipped + skips))
}

# total LOG WORD: the sum of "N WORD" over the summary lines of cargo test and cargo nextest.
total() {
    grep -hE '^(test result:| *Summary )' "$1" | sed 's/\x1b\[[0-9;]*m//g' | grep -oE "[0-9]+ $2" |
        awk '{ sum += $1 } END { print sum + 0 }'
}

# The test targets of a group: vm boots VMs (tests/vm*.rs), guest is all others, which the guest-only build runs; host is these but
# for those that run the guest program for long, and have done so in that build.
targets() {
    local file name
    [ "$1" = vm ] || printf -- '--lib\n--bins\n'
    for file in tests/*.rs; do
        name=$(basename "$file" .rs)
        case $1:$name in
            host:vm* | guest:vm* | host:guest_program | host:own_pages | host:prefault) ;;
            vm:vm* | host:* | guest:*) printf -- '--test\n%s\n' "$name" ;;
        esac
    done
}

# tests GROUP OPTIONS...: runs a group of tests with nextest where it is, and shows what passing tests print.
tests() {
    local group=$1 serial=() selected
    shift
    mapfile -t selected < <(targets "$group")
    [ "${#selected[@]}" -gt 0 ] || { echo "there are no $group tests in tests/"; return 1; }
    if cargo nextest --version >/dev/null 2>&1; then
        [ "$group" = vm ] && serial=(--test-threads 2)
        cargo nextest run --no-fail-fast --success-output final --color never "${selected[@]}" "${serial[@]}" "$@"
    else
        [ "$group" = vm ] && serial=(--test-threads=1)
        cargo test --no-fail-fast "${selected[@]}" "$@" -- --show-output "${serial[@]}"
    fi
}

scripts_parse() {
    local script
    for script in .ci/run scripts/*.sh; do bash -n "$script"; done
    for script in guest-image/*.sh; do sh -n "$script"; done
}

documentation() { RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --all-features; }

# The programs, and the fuzz targets beside them: much of each build has one CPU only. What hinders those is told by their own step.
builds() {
    local fuzz
    scripts/fuzz.sh build &
    fuzz=$!
    make --no-print-directory build
    wait "$fuzz" || true
}

# at_most LIMIT FOUND WHAT
at_most() {
    echo "$3: $2, at most $1"
    [ "$2" -le "$1" ]
}

crates() { cargo tree -e normal --prefix none "$@" | sed 's/ (\*)$//' | sort -u | grep -vc '^sully '; }

budgets() {
    at_most 45 "$(crates --no-default-features)" "crates of the guest program"
    at_most 165 "$(crates --all-features)" "crates of the host program"
    if cargo tree -e normal --prefix none --no-default-features |
        grep -E '^(tokio|askama|indicatif|strsim|object|cpio|ruzstd|lzma-rust2) '; then
        echo "the guest program carries parts of the host side"
        return 1
    fi
}

sizes() {
    at_most 1840000 "$(stat -c %s target/guest/sully)" "bytes of the static guest program"
    at_most 1000000 "$(stat -c %s target/image/initramfs)" "bytes of the initramfs"
}

licences() {
    if cargo deny --version >/dev/null 2>&1; then
        cargo deny --offline --all-features check bans licenses sources
    else
        echo "SKIPPED: licences and sources of the crates: cargo-deny is not installed"
    fi
}

main() {
    step format 120 cargo fmt --check
    step scripts 60 scripts_parse
    step clippy 600 cargo clippy --all-targets --all-features -- -D warnings
    step clippy-guest 400 cargo clippy --no-default-features --all-targets -- -D warnings
    step docs 300 documentation
    step budgets 120 budgets
    step licences 120 licences
    step tests 1200 tests host --all-features
    step tests-guest 800 tests guest --no-default-features
    step doc-tests 300 cargo test --doc --all-features
    step loom 400 scripts/loom.sh
    step build 900 builds
    step fuzz 900 scripts/fuzz.sh 5
    step image 300 make --no-print-directory image
    step sizes 60 sizes
    step instructions 300 scripts/instructions.sh guard
    # What was just built is there: a test that does not find it has failed.
    export SULLY_TEST_IMAGE=$PWD/target/image SULLY_TEST_LAB=$PWD/target/release/sully-lab SULLY_TEST_REQUIRE=1
    step real-vms 1800 tests vm --all-features
    printf '%s\n' "" "${reasons[@]}"
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" -eq 0 ]
}

main
