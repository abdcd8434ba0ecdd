#!/bin/sh
# Runs a command in a mount namespace whose ld.so.cache also lists the shared libraries in FOLDER. LD_LIBRARY_PATH would be passed on to
# a runtime's hooks, and $ORIGIN has no meaning for a runtime that executes a copy of itself in memory.
set -eu
if [ $# -lt 2 ]; then
  echo "usage: $0 FOLDER COMMAND [ARGUMENT]..." >&2
  exit 2
fi
# shellcheck disable=SC2016
exec unshare --mount --propagation private sh -c '
  set -eu
  cache=$(mktemp)
  ldconfig -X -C "$cache" "$1"
  shift
  chmod 644 "$cache"
  mount --bind "$cache" /etc/ld.so.cache
  rm "$cache"
  exec "$@"
' sh "$@"
