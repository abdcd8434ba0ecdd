#!/bin/sh
# Runs a command in namespaces of its own (network, mount, process, host name, IPC, cgroup), in a cgroup of its own and with an empty /run. Its
# processes, mounts, addresses and packet filters end with it, and so does the cgroup. Needs a cgroup2 at /sys/fs/cgroup.
set -eu
if [ $# -eq 0 ]; then
  echo "usage: $0 COMMAND [ARGUMENT]..." >&2
  exit 2
fi
group=$(mktemp -d /sys/fs/cgroup/kubernetes-XXXXXX)
remove() {
  find "$group" -depth -type d -exec rmdir {} +
}
trap remove EXIT
trap 'exit 143' HUP INT TERM
# A cgroup with processes can't pass controllers on to others, so the command's own are in a leaf. It is entered before the process namespace is
# made, since the process that makes it stays outside.
# shellcheck disable=SC2016
sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$group" \
  unshare --cgroup --mount --net --uts --ipc --propagation private sh -c '
  set -eu
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
  mkdir /sys/fs/cgroup/harness
  echo $$ >/sys/fs/cgroup/harness/cgroup.procs
  mount -t tmpfs -o mode=755,nosuid,nodev tmpfs /run
  mkdir -m 1777 /run/lock
  ip link set lo up
  # The inner shell stays pid 1, and reaps what the command leaves behind.
  exec unshare --pid --fork --kill-child --mount-proc sh -c '\''"$@"; exit $?'\'' sh "$@"
' sh "$@"
