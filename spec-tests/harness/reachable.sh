#!/bin/sh
# Runs its arguments where every user can reach the repository. Below a home directory that is closed to others, as root's is,
# users without privileges would find neither the runtime nor what the tests have for them: there it is seen at another place as
# well, by the command alone. Arguments that are paths of the repository, and RUNTIME, become paths of that place.
set -eu
if [ $# -eq 0 ]; then
  echo "usage: $0 COMMAND [ARGUMENT]..." >&2
  exit 2
fi
repository=$(cd "$(dirname "$0")/../.." && pwd -P)
if setpriv --reuid 65534 --regid 65534 --clear-groups test -r "$repository/package.json"; then
  exec "$@"
fi
place=$(mktemp -d)
trap 'rmdir "$place"' EXIT
chmod 755 "$place"
for argument; do
  case $argument in
  "$repository"/*) argument=$place${argument#"$repository"} ;;
  esac
  set -- "$@" "$argument"
  shift
done
# The runtime under test, which engines of other users have to reach as well.
case ${RUNTIME-} in
"$repository"/*) export RUNTIME="$place${RUNTIME#"$repository"}" ;;
esac
# shellcheck disable=SC2016
unshare --mount --propagation slave sh -c '
  repository=$1 place=$2
  shift 2
  mount --bind "$repository" "$place" && cd "$place" && exec "$@"
' sh "$repository" "$place" "$@"
