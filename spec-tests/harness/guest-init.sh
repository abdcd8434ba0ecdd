#!/bin/sh
# Pid 1 of a user-mode-linux guest. Its root is the host's file system, read-only; guest.ts sends lines `NUMBER SECONDS` over the
# console: run NUMBER.sh of the exchange folder, at most so long, and leave what it prints there. The answer is `done NUMBER CODE`.
set -eu
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
for link in fd stdin:fd/0 stdout:fd/1 stderr:fd/2; do
  ln -s "/proc/self/${link#*:}" "/dev/${link%:*}"
done
mkdir /run/exchange /run/outputs /run/tmp
# Since 6.10 the folder is an option with a name.
mount -t hostfs -o "hostfs=$exchange" none /run/exchange 2>/dev/null || mount -t hostfs -o "$exchange" none /run/exchange
# Devices work on no hostfs, and files of the host must not be executed while the guest writes to them.
cp -a /run/exchange/rootfs /run/rootfs
export TMPDIR=/run/tmp
# A static program starts ten times as fast here.
export PATH="/run/rootfs/bin:$PATH"
cd /run
stty raw -echo
echo "done 0 0"
while read -r number seconds; do
  code=0
  timeout -s KILL "$seconds" sh "/run/exchange/$number.sh" </dev/null >"outputs/$number.out" 2>"outputs/$number.err" || code=$?
  # A container may keep these files open: only what is closed is sure to be on the host.
  cat "outputs/$number.out" >"exchange/$number.out"
  cat "outputs/$number.err" >"exchange/$number.err"
  echo "done $number $code"
done
