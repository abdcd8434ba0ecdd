#!/bin/sh
# Runs a command where programs find the shared libraries in FOLDER too: in a mount namespace of its own, whose ld.so.cache lists them.
# LD_LIBRARY_PATH would reach the hooks of a runtime, and $ORIGIN leads nowhere for one that executes a copy of itself in memory.
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
