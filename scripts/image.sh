#!/usr/bin/env bash
# Builds the guest image target/image from the kernel package and the two programs that `make build` made.
# KERNEL=FILE (a bzImage or a .deb) and MODULES=DIR_OR_DEB take the place of the package that is fetched.
set -euo pipefail

kernel=${KERNEL:-}
modules=${MODULES:-}
if [ -z "$kernel" ]; then
    echo "image: looking for a kernel package"
    mapfile -t packages < <(sh guest-image/fetch-kernel.sh target/kernel)
    kernel=${packages[0]:-}
    modules=${modules:-${packages[1]:-}}
    [ -n "$kernel" ] || { echo "image: no kernel; give one: make image KERNEL=/boot/vmlinuz-..." >&2; exit 1; }
fi
echo "image: kernel $kernel${modules:+, modules $modules}"
exec target/release/sully-lab image -o target/image --guest target/guest/sully --kernel "$kernel" \
    ${modules:+--modules "$modules"}
