#!/bin/sh
# Makes a machine of a copy of the root file system ROOT: new namespaces, in which the folder PACKAGES is at /var/local/packages, and the
# new cgroup CGROUP is the root of the hierarchy. Its network has a loopback device only. Pid 1 is a shell, or systemd. Says "ready" when its
# file systems are. When it is killed, nothing but the cgroup is left.
set -eu
if [ $# -ne 4 ]; then
  echo "usage: $0 ROOT PACKAGES CGROUP shell|systemd" >&2
  exit 2
fi
mkdir "$3"
# Only pid 1 enters the cgroup. It can't have its place in the root of the hierarchy, where an engine enables controllers.
# shellcheck disable=SC2016
exec unshare --mount --propagation private --pid --fork --kill-child --net --uts --ipc sh -euc '
  echo 0 >"$3/cgroup.procs"
  exec unshare --cgroup sh "$0" "$1" "$2" "$4"
' "$(dirname "$0")/machine-init.sh" "$@"
