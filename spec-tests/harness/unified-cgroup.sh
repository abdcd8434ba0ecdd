#!/bin/sh
# Runs its arguments on a host that looks unified: cgroup2 at /sys/fs/cgroup. Where it is so already, nothing is changed.
# Elsewhere (a hybrid or v1 host) the command gets mount and pid namespaces of its own, so that nothing is unmounted on the
# host itself; /run and /dev/shm are fresh, since engines keep state there, and the pid namespace ends every process with it.
set -eu
if [ $# -eq 0 ]; then
  echo "usage: $0 COMMAND [ARGUMENT]..." >&2
  exit 2
fi
if [ "$(stat -f -c %T /sys/fs/cgroup 2>/dev/null)" = cgroup2fs ]; then
  exec "$@"
fi
# The inner shell stays pid 1 and waits for the command: so it also reaps containers whose runtime has exited.
# shellcheck disable=SC2016
exec unshare --mount --propagation private --pid --fork --kill-child --mount-proc sh -c '
  set -eu
  umount -lR /sys/fs/cgroup 2>/dev/null || true
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
  mount -t tmpfs -o mode=755,nosuid,nodev tmpfs /run
  mkdir -m 1777 /run/lock
  mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs /dev/shm
  set +e
  "$@"
  exit $?
' sh "$@"
