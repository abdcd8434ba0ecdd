#!/bin/sh
# Runs a command in another root file system, with the programs and libraries of that. What the command writes there is kept in memory and
# goes with it. It sees the repository, /tmp, /dev, /proc and /sys at their places, and an empty /run.
#
# The runtime dist/runts is a copy with a warm image of its own: an image fits only the C library that it was written with.
set -eu
if [ $# -lt 2 ]; then
  echo "usage: $0 ROOT COMMAND [ARGUMENT]..." >&2
  exit 2
fi
repository=$(cd "$(dirname "$0")/../.." && pwd -P)
base=$1
shift
# shellcheck disable=SC2016
exec unshare --mount --propagation private sh -c '
  set -eu
  base=$1 repository=$2 directory=$PWD temporary=${TMPDIR:-/tmp}
  shift 2
  place=$(mktemp -d)
  mount -t tmpfs -o mode=755 tmpfs "$place"
  root=$place/root
  mkdir "$root" "$place/upper" "$place/work" "$place/dist"
  chmod 755 "$place/upper"
  mount -t overlay -o "lowerdir=$base,upperdir=$place/upper,workdir=$place/work" overlay "$root"
  for file in hosts resolv.conf; do [ ! -e "/etc/$file" ] || cp "/etc/$file" "$root/etc/$file"; done
  for folder in /dev /proc /sys; do mount --rbind "$folder" "$root$folder"; done
  mount -t tmpfs -o mode=755,nosuid,nodev tmpfs "$root/run"
  mkdir -m 1777 "$root/run/lock"
  mkdir -p "$root$temporary" "$root$repository"
  # Not its mounts: one of them is the place itself.
  mount --bind "$temporary" "$root$temporary"
  mount --rbind "$repository" "$root$repository"
  if [ -d "$repository/dist" ]; then
    for file in "$repository"/dist/*; do [ "${file##*/}" = runts-warm ] || cp -a "$file" "$place/dist"; done
    mount --bind "$place/dist" "$root$repository/dist"
  fi
  # A chroot would not do: the kernel makes no user namespaces in one.
  cd "$root"
  pivot_root . mnt
  umount -l /mnt
  rmdir "$place"
  cd "$directory"
  [ ! -x "$repository/dist/runts" ] || "$repository/dist/runts" warm >/dev/null 2>&1 ||
    echo "in-root.sh: no warm start, commands start cold" >&2
  exec "$@"
' sh "$base" "$repository" "$@"
