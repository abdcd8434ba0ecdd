#!/bin/sh
# Saves a container that counts to files, and lets it continue from there. Needs root and criu; works in a folder of its own, which it removes.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)

missing=
for program in criu busybox; do
  command -v "$program" >/dev/null || missing="$missing $program"
done
if [ -n "$missing" ]; then
  echo "missing:$missing (apt-get install criu busybox-static)" >&2
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
runts() { "$top/dist/runts" --root "$directory/state" "$@"; }
trap 'runts delete --force counter; rm -rf "$directory"' EXIT
cd "$directory"
mkdir -p rootfs/bin rootfs/dev rootfs/proc rootfs/sys rootfs/tmp
cp "$(command -v busybox)" rootfs/bin/busybox
for name in sh sleep mv; do ln -s busybox "rootfs/bin/$name"; done
cp "$here/config.json" config.json

show() {
  printf '\n$ runts %s\n' "$*"
}
count() { cat rootfs/tmp/count; }
state() { runts list | sed 's/ *\/tmp.*//' | tail -n +2; }

show run --detach counter
# A terminal or a file of the caller works too: see README.md.
runts run --detach counter </dev/null >/dev/null 2>&1
sleep 1
echo "it has counted to $(count): $(state)"

show checkpoint --image-path saved counter
runts checkpoint --image-path saved counter
echo "saved at $(count); containers that are left: $(runts list --quiet | wc -l)"
echo "$(ls saved/*.img | wc -l) image files, $(du -sh saved | cut -f1)"
sleep 1
echo "a second later still $(count)"

show restore --detach --image-path saved counter
runts restore --detach --image-path saved counter </dev/null >/dev/null 2>&1
sleep 1
echo "it has counted on to $(count): $(state)"

show delete --force counter
runts delete --force counter
truncate --size 20 saved/pagemap-1.img
echo "and now with an image file that is cut off:"
show restore --detach --image-path saved counter
runts restore --detach --image-path saved counter </dev/null 2>&1 || echo "exit code $?"
echo "containers that are left: $(runts list --quiet | wc -l)"
