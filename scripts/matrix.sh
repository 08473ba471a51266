#!/usr/bin/env bash
# Scenarios on the QEMUs and kernels of several Debian releases: each release's QEMU with each release's kernel, unpacked below
# target/debian and never installed. Ends with a table; what cannot be had is skipped aloud.
#
# usage: matrix.sh [SCENARIO...]     'smoke/*' and 'policy/*'; LONG=1 adds 'nova-2016/*' at an eighth of its size (24 minutes each)
# RELEASES="bookworm trixie sid" says which; OUT is the place for the run directories. It needs root, debootstrap and a network.
set -uo pipefail
cd "$(dirname "$0")/.."

read -ra releases <<<"${RELEASES:-bookworm trixie sid}"
lab=${LAB:-target/release/sully-lab}
guest=${GUEST:-target/guest/sully}
out=${OUT:-runs/matrix}
scale=()
scenarios=("$@")
if [ "${#scenarios[@]}" -eq 0 ]; then
    scenarios=('smoke/*' 'policy/*')
    [ -z "${LONG:-}" ] || scenarios+=('nova-2016/*')
    [ -z "${LONG:-}" ] || scale=(--scale 1/8)
fi
table=() failed=0 skipped=0
trap 'exit 130' INT TERM

skip() {
    echo "SKIPPED: $1"
    table+=("skipped  $1")
    skipped=$((skipped + 1))
}

# unpacked RELEASE: makes target/debian/RELEASE with its QEMU and its kernel, once.
unpacked() {
    local tree=target/debian/$1 scratch
    [ ! -x "$tree/usr/bin/qemu-system-x86_64" ] || return 0
    [ "$(id -u)" -eq 0 ] || { echo "debootstrap needs root"; return 1; }
    command -v debootstrap >/dev/null 2>&1 || { echo "debootstrap is not installed"; return 1; }
    mkdir -p target/debian
    scratch=$(mktemp -d -p target/debian) || return 1
    if timeout 900 debootstrap --variant=minbase --include=qemu-system-x86,linux-image-cloud-amd64 "$1" "$scratch" \
        >"target/debian/$1.log" 2>&1; then
        mv "$scratch" "$tree"
    else
        rm -rf -- "$scratch"
        echo "debootstrap failed (target/debian/$1.log)"
        return 1
    fi
}

# qemu_of RELEASE: a script that runs the release's QEMU by its own loader and libraries, outside of its tree.
qemu_of() {
    local script=target/debian/qemu-$1 tree=$PWD/target/debian/$1
    cat >"$script" <<WRAPPER
#!/bin/sh
tree='$tree'
exec "\$tree/lib64/ld-linux-x86-64.so.2" --library-path "\$tree/usr/lib/x86_64-linux-gnu:\$tree/lib/x86_64-linux-gnu" \\
    "\$tree/usr/bin/qemu-system-x86_64" -L "\$tree/usr/share/qemu" -L "\$tree/usr/share/seabios" "\$@"
WRAPPER
    chmod +x "$script"
    echo "$script"
}

# image_of RELEASE: the guest image with the release's kernel.
image_of() {
    local image=target/debian/image-$1
    "$lab" image -o "$image" --guest "$guest" --kernel "target/debian/$1" >"$image.log" 2>&1 || return 1
    echo "$image"
}

usable=()
for release in "${releases[@]}"; do
    if why=$(unpacked "$release"); then usable+=("$release"); else skip "$release: $why"; fi
done
for release in "${usable[@]}"; do
    qemu=$(qemu_of "$release")
    for kernel in "${usable[@]}"; do
        cell="QEMU of $release, kernel of $kernel"
        image=$(image_of "$kernel") || { skip "$cell: no image (target/debian/image-$kernel.log)"; continue; }
        echo "== $cell: $("$qemu" --version | head -n 1)"
        log=$out/$release-$kernel.log
        mkdir -p "$out/$release-$kernel" || exit 1
        timeout "${LIMIT:-3600}" "$lab" run "${scenarios[@]}" "${scale[@]}" --qemu "$qemu" --image "$image" \
            --out "$out/$release-$kernel" --quiet >"$log" 2>&1
        code=$?
        if [ "$code" -eq 0 ]; then
            table+=("passed   $cell")
        else
            failed=$((failed + 1))
            table+=("FAILED   $cell: exit code $code ($log)")
            grep -vE '^ *$' "$log" | tail -n 15 | sed 's/^/   | /'
        fi
    done
done
printf '%s\n' "" "${table[@]}" "$((${#table[@]} - failed - skipped)) passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
