#!/bin/sh
# Fetches the packages of a kernel for the guest image, and installs nothing.
#
# usage: fetch-kernel.sh DIR
#
# Prints the paths of the packages, a line each: one on Debian 12 and 13; several where kernel, modules and the list of
# what is built in are apart (Ubuntu, Debian from 14 on). All of them go to `sully-lab image --kernel`.
# What DIR holds already is kept: a second run needs no network.
set -eu

die() {
    echo "fetch-kernel.sh: $*" >&2
    exit 1
}

[ $# -eq 1 ] || die "expected one argument, the directory for the package, for example: fetch-kernel.sh target/kernel"
mkdir -p -- "$1" || die "cannot make the directory '$1'"
dir=$(CDPATH='' cd -- "$1" && pwd) || die "cannot enter the directory '$1'"

# The package that the meta-package $1 stands for at present; nothing when apt does not know it.
newest() {
    apt-cache depends "$1" 2>/dev/null |
        awk '$1 ~ /Depends:$/ && $2 ~ /^linux-image-[0-9]/ { print $2; exit }'
}

# The packages that hold what kernel package $1 does not hold itself.
parts() {
    apt-cache depends "$1" 2>/dev/null |
        awk '$1 ~ /Depends:$/ && $2 ~ /^linux-(binary|modules|base)-[0-9]/ { print $2 }'
}

# The file of package $1 (a pattern) in the directory; the last of several, nothing when there is none.
kept() {
    found=
    for file in "$dir"/${1}_*.deb; do
        [ ! -f "$file" ] || found=$file
    done
    [ -z "$found" ] || printf '%s\n' "$found"
}

# Puts package $1 into the directory: first elsewhere, so that an interrupted download leaves nothing behind.
download() {
    echo "fetching $1" >&2
    scratch=$(mktemp -d -p "$dir")
    trap 'rm -rf -- "$scratch"' EXIT
    trap 'exit 1' HUP INT TERM
    # As root, apt would hand the download to a user who may not write here.
    (cd -- "$scratch" && apt-get -qq -o APT::Sandbox::User=root download "$1" >&2) ||
        die "cannot download the package $1; is there a network, and are the lists fresh (apt-get update)?"
    mv -- "$scratch"/*.deb "$dir/"
    rm -rf -- "$scratch"
}

# Kernel and modules without asking anyone: what an earlier run left.
without_apt() {
    image=$(kept 'linux-image-[0-9]*')
    [ -n "$image" ] || die "$1"
    printf '%s\n' "$image"
    release=${image##*/linux-image-}
    for part in binary modules base; do
        kept "linux-$part-${release%%_*}"
    done
    exit 0
}

manual="get a kernel package of Debian or Ubuntu by hand, or build the image from a bzImage: sully-lab image --kernel FILE"
command -v apt-cache >/dev/null 2>&1 && command -v apt-get >/dev/null 2>&1 ||
    without_apt "there is no apt on this machine; $manual"
arch=$(dpkg --print-architecture)
[ "$arch" = amd64 ] || die "this machine is $arch, and the guest image is made for amd64; $manual"

# The kernels for virtual machines: Debian's, then Ubuntu's.
for meta in linux-image-cloud-amd64 linux-image-virtual; do
    image=$(newest "$meta")
    [ -z "$image" ] || break
done
[ -n "$image" ] ||
    without_apt "apt knows neither linux-image-cloud-amd64 nor linux-image-virtual; run 'apt-get update', or $manual"

for package in $image $(parts "$image"); do
    [ -n "$(kept "$package")" ] || download "$package"
    kept "$package"
done
