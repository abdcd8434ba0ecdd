#!/bin/sh
# Pid 1 of machine.sh, which starts it in the machine's namespaces: copies ROOT to a tmpfs, which becomes the root directory, with the
# usual mounts.
set -eu
packages=$2
init=$3
ip link set lo up
hostname machine
root=/mnt
mount -t tmpfs -o mode=755 tmpfs "$root"
cp -a "$1/." "$root"
mount --bind -o ro "$packages" "$root/var/local/packages"
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
mount -t sysfs -o nosuid,nodev,noexec,ro sysfs "$root/sys"
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755,nosuid tmpfs "$root/dev"
cp -a /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty "$root/dev"
ln -s /proc/self/fd "$root/dev/fd"
ln -s fd/0 "$root/dev/stdin"
ln -s fd/1 "$root/dev/stdout"
ln -s fd/2 "$root/dev/stderr"
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,nosuid,noexec,mode=620,ptmxmode=666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$root/dev/shm"
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs "$root/run"
mkdir -m 1777 "$root/run/lock"
cd "$root"
pivot_root . mnt
umount -l /mnt
cd /
echo ready
if [ "$init" = systemd ]; then
  # These settings are the host's.
  mount --bind -o ro /proc/sys /proc/sys
  exec env -i container=spec-tests /usr/lib/systemd/systemd --unit=multi-user.target
fi
# Where systemd has its pid 1.
mkdir /sys/fs/cgroup/init.scope
echo 0 >/sys/fs/cgroup/init.scope/cgroup.procs
# The shell reaps what others leave.
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin sh -c 'sleep infinity & wait'
