#!/bin/sh
# Runs a container with podman and runts. Needs root. Uses a storage of its own, which it removes, and an image made of the host's busybox, so that
# nothing is downloaded. Arguments replace the command.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)

missing=
for program in podman busybox; do
  command -v "$program" >/dev/null || missing="$missing $program"
done
if [ -n "$missing" ]; then
  echo "missing:$missing (apt-get install podman busybox-static)" >&2
  exit 1
fi
if [ ! -x "$top/dist/runts" ]; then
  echo "dist/runts is missing: npm install && npm run build" >&2
  exit 1
fi
# Where /sys/fs/cgroup is not cgroup2, the script continues in a mount namespace where it is.
if [ "$(stat -f -c %T /sys/fs/cgroup)" != cgroup2fs ]; then
  exec "$top/spec-tests/harness/unified-cgroup.sh" "$0" "$@"
fi

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
mkdir -p "$directory/image/bin" "$directory/storage" "$directory/run" "$directory/tmp"
cp "$(command -v busybox)" "$directory/image/bin/busybox"
for name in sh cat echo id ls mount ps; do ln -s busybox "$directory/image/bin/$name"; done
tar -C "$directory/image" -cf "$directory/image.tar" .
# Limits are left out, since the machine may lack the pids controller.
printf '[containers]\npids_limit = 0\n[engine]\nruntime_supports_json = ["crun", "runc", "runts"]\n' \
  >"$directory/containers.conf"
export CONTAINERS_CONF="$directory/containers.conf"

podman() {
  command podman --root "$directory/storage" --runroot "$directory/run" --tmpdir "$directory/tmp" \
    --storage-driver vfs --cgroup-manager cgroupfs --events-backend none --runtime "$top/dist/runts" "$@"
}

image=$(podman import --quiet "$directory/image.tar" localhost/busybox)
if [ $# -eq 0 ]; then
  set -- sh -c 'echo "hello from process $$ of user $(id -u)"; ps'
fi
podman run --rm --network none --log-driver none "$image" "$@"
