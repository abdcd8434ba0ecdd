#!/bin/sh
# Makes rootfs/ beside this script: only mount points, and the links of a merged /usr. All programs come from the host: config.json binds its /usr
# into the container, read-only.
set -eu
cd "$(dirname "$0")"
mkdir -p rootfs
cd rootfs
mkdir -p dev proc sys tmp usr
touch tour.sh
for name in bin sbin lib lib64; do
  # Not every architecture has all four.
  if [ -d "/usr/$name" ] && [ ! -e "$name" ]; then ln -sfn "usr/$name" "$name"; fi
done
