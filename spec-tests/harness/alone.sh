#!/bin/sh
# Runs a command where the runtime named first is the only one: in its own mount namespace, in which no other can be executed. An
# engine that falls back on a runtime that it was not told to use fails there.
set -eu
if [ $# -lt 2 ]; then
  echo "usage: $0 RUNTIME COMMAND [ARGUMENT]..." >&2
  exit 2
fi
# shellcheck disable=SC2016
exec unshare --mount --propagation private sh -c '
  set -eu
  runtime=$(realpath "$1")
  shift
  for name in runc crun youki runsc kata-runtime; do
    for folder in /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin; do
      # Neither a file on a file system mounted noexec nor a device can be executed.
      if [ -e "$folder/$name" ] && [ "$(realpath "$folder/$name")" != "$runtime" ]; then
        mount --bind /dev/null "$(realpath "$folder/$name")"
      fi
    done
  done
  exec "$@"
' sh "$@"
