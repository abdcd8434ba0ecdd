#!/bin/sh
# surroundings.sh CGROUP RUNTIME_DIRECTORY WORK_DIRECTORY COMMAND [ARGUMENT]...: runs a command isolated from the host, so that a config
# may ask for anything. The command gets new namespaces (no user namespace), CGROUP as the root of its cgroup namespace, and a root file
# system in which the host's programs are read-only. /runts is the runtime's directory, /work the work directory; all else is discarded
# at the end.
set -eu
# shellcheck disable=SC2016
exec unshare --mount --propagation private --pid --fork --kill-child --net --ipc --uts sh -c '
  set -eu
  mkdir "$1"
  echo 0 > "$1/cgroup.procs"
  exec unshare --cgroup sh -c '\''
    set -eu
    runts=$2 work=$3
    shift 3
    new=$work/new
    mkdir "$new"
    mount -t tmpfs -o mode=755 tmpfs "$new"
    cd "$new"
    mkdir usr etc proc sys dev tmp run state runts work old rootfs
    for name in bin sbin lib lib32 lib64 libx32; do
      if [ -L "/$name" ]; then cp -P "/$name" .; fi
    done
    for name in usr etc; do
      mount --rbind "/$name" "$name"
      mount -o remount,bind,ro "$name"
    done
    mount --bind "$runts" runts
    mount -o remount,bind,ro runts
    mount --bind "$work" work
    mount -o remount,bind,ro work
    cp -a work/rootfs/. rootfs
    mount -t proc proc proc
    mount -t sysfs sysfs sys
    mount -t cgroup2 cgroup2 sys/fs/cgroup
    mkdir sys/fs/cgroup/worker
    echo 0 > sys/fs/cgroup/worker/cgroup.procs
    for name in null zero full random urandom tty; do
      : > "dev/$name"
      mount --bind "/dev/$name" "dev/$name"
    done
    mkdir dev/pts dev/shm
    mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
    ln -s pts/ptmx dev/ptmx
    pivot_root . old
    cd /
    umount -l old
    rmdir old
    hostname fuzz
    exec "$@"
  '\'' sh "$@"
' sh "$@"
