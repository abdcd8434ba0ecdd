#!/bin/sh
# Makes rootfs/ beside this script: nothing but places to mount on, and the links of a merged /usr. All programs come from the
# host, whose /usr config.json binds into the container, read-only.
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
