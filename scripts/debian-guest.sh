#!/usr/bin/env bash
# Makes a Debian 12 with systemd that boots from memory and runs the test it is given, for tests/vm_service.rs.
#
# usage: debian-guest.sh DIR     makes DIR/vmlinuz and DIR/initramfs, once; needs root, debootstrap and a network
#
# The guest unpacks /test.tar, which the test appends to the initramfs, and runs test.sh in it, its output on the console.
set -euo pipefail

[ $# -eq 1 ] || { echo "debian-guest.sh: expected one argument, the directory, for example target/debian-guest" >&2; exit 2; }
dir=$1
[ ! -s "$dir/initramfs" ] || exit 0
[ "$(id -u)" -eq 0 ] || { echo "debian-guest.sh: debootstrap needs root" >&2; exit 1; }
command -v debootstrap >/dev/null 2>&1 || { echo "debian-guest.sh: debootstrap is not installed" >&2; exit 1; }
mkdir -p "$dir"
scratch=$(mktemp -d -p "$dir")
trap 'rm -rf -- "$scratch"' EXIT
trap 'exit 130' INT TERM

debootstrap --variant=minbase --include=systemd-sysv,udev,dbus,cpio,kmod,linux-image-cloud-amd64 bookworm "$scratch/tree" >&2
tree=$scratch/tree

cat >"$tree/etc/systemd/system/sully-test.service" <<'UNIT'
[Unit]
Description=The test that came with the initramfs
[Service]
Type=oneshot
StandardOutput=tty
StandardError=tty
TTYPath=/dev/console
ExecStart=/bin/sh -c 'mkdir -p /test && tar -xf /test.tar -C /test && exec sh /test/test.sh'
[Install]
WantedBy=multi-user.target
UNIT
chroot "$tree" systemctl enable sully-test.service >&2
# Nobody logs in, and nothing of this is waited for.
chroot "$tree" systemctl mask getty@tty1.service serial-getty@ttyS0.service systemd-timesyncd.service apt-daily.timer \
    apt-daily-upgrade.timer e2scrub_all.timer fstrim.timer dpkg-db-backup.timer >&2
echo debian-guest >"$tree/etc/hostname"
cp "$tree"/boot/vmlinuz-* "$scratch/vmlinuz"

# What no boot needs stays out: it would all be held in the guest's memory.
cd "$tree"
rm -rf boot/* usr/share/doc usr/share/man usr/share/locale usr/share/info usr/share/i18n usr/lib/locale var/cache/apt var/lib/apt \
    var/cache/debconf usr/share/perl usr/share/perl5 usr/lib/x86_64-linux-gnu/perl* usr/lib/python3
find usr/lib/modules/*/kernel -type f ! -name 'virtio*' -delete
cd - >/dev/null
(cd "$tree" && find . -xdev) | chroot "$tree" cpio --quiet -o -H newc >"$scratch/initramfs"
chmod 644 "$scratch/vmlinuz" "$scratch/initramfs"
mv "$scratch/vmlinuz" "$dir/vmlinuz"
mv "$scratch/initramfs" "$dir/initramfs"
