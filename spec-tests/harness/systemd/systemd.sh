#!/bin/sh
# Boots systemd as pid 1 of its own namespaces, with the host's programs but only its own units: those in DIRECTORY. It
# sees the cgroup DIRECTORY/cgroup names as the root of the hierarchy. Ends when systemd is killed.
set -eu
if [ $# -ne 1 ]; then
  echo "usage: $0 DIRECTORY" >&2
  exit 2
fi
cgroup=$(cat "$1/cgroup")
mkdir "$cgroup"
# Only pid 1 enters it, and leaves it again: a cgroup with processes can't enable controllers.
# shellcheck disable=SC2016
exec unshare --mount --propagation private --pid --fork --kill-child sh -c '
  echo 0 >"$2/cgroup.procs"
  exec unshare --cgroup sh -euc "$3" sh "$1"
' sh "$1" "$cgroup" '
  umount -l /sys/fs/cgroup
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
  mount -t proc proc /proc
  mount -t tmpfs -o mode=755 tmpfs /run
  # systemd adds to /dev, which is the machine'\''s own file system.
  mkdir /run/dev
  mount -t tmpfs -o mode=755 tmpfs /run/dev
  cp -a /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty /run/dev
  ln -s /proc/self/fd /run/dev/fd
  mkdir /run/dev/pts /run/dev/shm
  mount -t devpts -o newinstance,mode=620,ptmxmode=666 devpts /run/dev/pts
  ln -s pts/ptmx /run/dev/ptmx
  mount --move /run/dev /dev
  rmdir /run/dev
  # The files of DIRECTORY/etc replace those of the host.
  for file in "$1"/etc/*; do mount --bind "$file" "/etc/${file##*/}"; done
  # The files where transient units are kept, so that they outlive a daemon-reload.
  exec env -i PATH=/usr/sbin:/usr/bin container=spec-tests SYSTEMD_GENERATOR_PATH=/nonexistent \
    SYSTEMD_UNIT_PATH="$1/system:/run/systemd/transient:/run/systemd/system.control" \
    /usr/lib/systemd/systemd --system --unit=spec.target --log-target=console --show-status=0
'
