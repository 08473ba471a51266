#!/usr/bin/env bash
# Builds the guest image target/image from a kernel's packages and the two programs that `make build` made.
# KERNEL=PATH (a bzImage, a .deb, a directory of them, a tree) and MODULES=PATH take the place of what is fetched.
set -euo pipefail

kernel=()
if [ -n "${KERNEL:-}" ]; then
    kernel=("$KERNEL")
else
    echo "image: looking for a kernel package"
    mapfile -t kernel < <(sh guest-image/fetch-kernel.sh target/kernel)
    [ "${#kernel[@]}" -gt 0 ] || { echo "image: no kernel; give one: make image KERNEL=/boot/vmlinuz-..." >&2; exit 1; }
fi
echo "image: kernel ${kernel[*]}${MODULES:+, modules $MODULES}"
exec target/release/sully-lab image -o target/image --guest target/guest/sully --kernel "${kernel[@]}" \
    ${MODULES:+--modules "$MODULES"}
