#!/bin/sh
# Pid 1 of a guest, or what makes the way for systemd as that. Its root is the host's file system, read-only.
set -eu
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
harness=${0%/*}
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs -o mode=755 tmpfs /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t devtmpfs devtmpfs /dev
mkdir /dev/pts /dev/shm
mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
for link in fd stdin:fd/0 stdout:fd/1 stderr:fd/2; do
  ln -s "/proc/self/${link#*:}" "/dev/${link%:*}"
done
mkdir /run/exchange /run/outputs /run/tmp
chmod 1777 /run/tmp
mount -t virtiofs exchange /run/exchange
# Directories that programs write to. The repository may be below one of them: people make clones there.
repository=${harness%/*/*/*}
mkdir /run/repository
mount --bind "$repository" /run/repository
for folder in /tmp /var/tmp; do mount -t tmpfs -o mode=1777 tmpfs "$folder"; done
mkdir -p "$repository"
mount --bind /run/repository "$repository"
# The kernel's own modules are elsewhere: what this host has must not make a difference.
[ ! -d /usr/lib/modules ] || mount -t tmpfs tmpfs /usr/lib/modules
# An image is of one boot, and lies beside the executable.
if [ -n "${warm:-}" ]; then
  mkdir /run/installation
  cp "$warm/runts" "$warm/runts-engine" "$warm"/koffi* /run/installation
  mount --bind /run/installation "$warm"
  # On a busy machine the engine may not be ready in time. What follows works cold as well.
  "$warm/runts" warm >/dev/null || "$warm/runts" warm >/dev/null || echo >/run/exchange/cold
fi
# A disk to read and write, /dev/ram0, and one for swap.
modprobe -d "$modules" brd rd_nr=2 rd_size=65536
if [ -n "${policy:-}" ]; then
  mount -t selinuxfs selinuxfs /sys/fs/selinux
  # All of it in one write(2).
  dd if="$policy" of=/sys/fs/selinux/load bs=1M status=none
  echo 1 >/sys/fs/selinux/enforce
fi
# Programs in memory start faster, and containers write to it.
cp -a /run/exchange/rootfs /run/rootfs
if [ "${pid1:-}" = systemd ]; then
  exec "$harness/systemd.sh"
fi
exec "$harness/loop.sh" </dev/ttyS1 >/dev/ttyS1
