#!/usr/bin/env bash
# Installs what `make demo`, `make test`, `make bench` and `make fidelity` need and what is not there yet; does nothing the second time.
# usage: scripts/setup.sh [demo|test|bench|fidelity]
set -euo pipefail

purpose=${1:-demo}
missing=()   # packages to install
listed=0     # whether apt's lists are known to be fresh

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# need COMMAND "PACKAGE..." WHY: notes the packages when the command is not there.
need() {
    command -v "$1" >/dev/null 2>&1 && return 0
    say "$1 is missing; it $3"
    # shellcheck disable=SC2206  # several packages in one word on purpose
    missing+=($2)
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        env DEBIAN_FRONTEND=noninteractive "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo env DEBIAN_FRONTEND=noninteractive "$@"
    else
        die "this needs root, and there is no sudo; run as root: $*"
    fi
}

update_lists() {
    [ "$listed" -eq 1 ] && return 0
    say "apt-get update (as root)"
    as_root apt-get update -qq </dev/null
    listed=1
}

install_missing() {
    [ "${#missing[@]}" -eq 0 ] && return 0
    if ! command -v apt-get >/dev/null 2>&1; then
        die "this is no Debian or Ubuntu (there is no apt-get). Install by hand what these packages hold there: ${missing[*]}"
    fi
    update_lists
    say "apt-get install ${missing[*]} (as root)"
    as_root apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null
}

# wish_for PACKAGE WHAT COMMAND...: installs the package where none of the commands is there. Where it cannot be had, what
# needs it skips aloud, and everything else still counts.
wish_for() {
    local package=$1 what=$2 name
    shift 2
    for name in "$@"; do
        command -v "$name" >/dev/null 2>&1 && return 0
    done
    command -v apt-get >/dev/null 2>&1 || return 0
    say "$package is missing; it $what"
    update_lists
    as_root apt-get install -y -qq --no-install-recommends "$package" </dev/null ||
        say "$package cannot be installed; what needs it will be skipped"
}

# The guest's kernel is downloaded as a package, not installed: apt must only know of it.
know_kernel_package() {
    [ -n "${KERNEL:-}" ] && return 0
    ls target/kernel/*.deb >/dev/null 2>&1 && return 0
    command -v apt-cache >/dev/null 2>&1 || return 0
    for package in linux-image-cloud-amd64 linux-image-virtual; do
        apt-cache show "$package" >/dev/null 2>&1 && return 0
    done
    say "apt does not know of any kernel package yet"
    update_lists
}

need_cargo() {
    command -v cargo >/dev/null 2>&1 || die "cargo is missing: install Rust 1.95 or newer, for example with rustup"
    [ "$purpose" = test ] || return 0
    for component in fmt clippy; do
        cargo "$component" --version >/dev/null 2>&1 && continue
        command -v rustup >/dev/null 2>&1 || die "cargo $component is missing, and there is no rustup to add it"
        say "cargo $component is missing; it checks the sources: rustup component add"
        rustup component add "${component/fmt/rustfmt}"
    done
}

# QEMU's post-copy needs userfaultfd. Whether people without root may use it is the owner's decision.
tell_about_userfaultfd() {
    [ "$(id -u)" -eq 0 ] && return 0
    [ -r /dev/userfaultfd ] && [ -w /dev/userfaultfd ] && return 0
    [ "$(cat /proc/sys/vm/unprivileged_userfaultfd 2>/dev/null || echo 1)" = 1 ] && return 0
    say "note: post-copy needs userfaultfd, which this kernel gives to root only. Run as root, or allow it until"
    say "      the next boot: sudo sysctl vm.unprivileged_userfaultfd=1"
}

case $purpose in demo | test | bench | fidelity) ;; *) die "'$purpose' is not a purpose: expected demo, test, bench or fidelity" ;; esac
[ "$(uname -m)" = x86_64 ] || die "the virtual machines are x86_64, this machine is $(uname -m)"
need_cargo
need cc "gcc libc6-dev" "links what cargo compiles"
if [ "$purpose" != bench ]; then
    need qemu-system-x86_64 "qemu-system-x86" "runs the virtual machines"
    need setpriv "util-linux" "lets no QEMU outlive the program that started it"
fi
need timeout "coreutils" "bounds every step in time"
[ "$purpose" != test ] || need "${CXX:-c++}" g++ "builds the fuzzer"
install_missing
[ "$purpose" != test ] || wish_for chromium "draws the report in the tests" chromium chromium-browser
# The daemons without libvirt-daemon-system: no service is set up, the test starts its own. Only root can.
if [ "$purpose" = test ] && [ "$(id -u)" -eq 0 ]; then
    wish_for libvirt-daemon "runs a guest as its users do in the tests" libvirtd
    wish_for libvirt-clients "talks to libvirt in the tests" virsh
    wish_for openssh-client "reaches a second machine in the tests" ssh
    wish_for openssh-server "lets the tests into a second machine" /usr/sbin/sshd
    wish_for iproute2 "joins that machine to this one in the tests" ip
fi
if [ "$purpose" = fidelity ] && [ -n "${LONG:-}" ] && [ "$(id -u)" -eq 0 ]; then
    wish_for debootstrap "makes the Debian in which the service unit is tried" debootstrap
fi
[ "$purpose" = demo ] || [ "$purpose" = fidelity ] || wish_for valgrind "counts instructions" valgrind
if [ "$purpose" != bench ]; then
    know_kernel_package
    tell_about_userfaultfd
fi
say "everything is there for make $purpose"
