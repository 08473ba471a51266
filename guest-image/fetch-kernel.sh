#!/bin/sh
# Fetches a kernel package for the guest image, and installs nothing.
#
# usage: fetch-kernel.sh DIR
#
# Prints the path of the kernel package; on Ubuntu, which keeps modules apart, the path of the package with the
# modules in a second line. What DIR holds already is kept: a second run needs no network.
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
    scratch=$(mktemp -d "$dir/.fetch.XXXXXX")
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
    modules=$(kept "linux-modules-${release%%_*}")
    [ -z "$modules" ] || printf '%s\n' "$modules"
    exit 0
}

manual="get a kernel package of Debian or Ubuntu by hand, or build the image from a bzImage: sully-lab image --kernel FILE"
command -v apt-cache >/dev/null 2>&1 && command -v apt-get >/dev/null 2>&1 ||
    without_apt "there is no apt on this machine; $manual"
arch=$(dpkg --print-architecture)
[ "$arch" = amd64 ] || die "this machine is $arch, and the guest image is made for amd64; $manual"

# Debian's kernel for virtual machines is one package; Ubuntu's is an image and its modules.
image=$(newest linux-image-cloud-amd64)
packages=$image
if [ -z "$image" ]; then
    image=$(newest linux-image-virtual)
    packages="$image linux-modules-${image#linux-image-}"
fi
[ -n "$image" ] ||
    without_apt "apt knows neither linux-image-cloud-amd64 nor linux-image-virtual; run 'apt-get update', or $manual"

for package in $packages; do
    [ -n "$(kept "$package")" ] || download "$package"
    kept "$package"
done
