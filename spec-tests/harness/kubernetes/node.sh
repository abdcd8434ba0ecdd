#!/bin/sh
# node.sh DIRECTORY FOLDER...: pid 1 of a node, in namespaces of its own. It gives the node file systems of its own where Kubernetes writes to fixed
# paths, makes the file DIRECTORY/booted, and waits. The other FOLDERs are seen as before.
set -eu
directory=$1
shift
cd /

# The cgroup of the node as the root.
mount -t cgroup2 cgroup2 /sys/fs/cgroup

# The kubelet wants these values of the whole machine. It finds and changes files of the node's own.
mkdir "$directory/sysctl"
for setting in vm/overcommit_memory=1 kernel/panic=10 kernel/panic_on_oops=1 kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
  name=${setting%=*}
  [ -e "/proc/sys/$name" ] || continue
  file=$directory/sysctl/$(basename "$name")
  echo "${setting#*=}" >"$file"
  mount --bind "$file" "/proc/sys/$name"
done

# /var/log/pods and /var/lib/kubelet have fixed names.
mkdir "$directory/var" "$directory/var.work"
mount -t overlay -o "lowerdir=/var,upperdir=$directory/var,workdir=$directory/var.work" overlay /var
mkdir -p /var/lib/kubelet /var/log/pods /var/log/containers
mount -t tmpfs kubelet /var/lib/kubelet

# Pods mount folders of the node's /tmp. What this hides of FOLDERs comes back at the same place.
number=0
for folder; do
  number=$((number + 1))
  mkdir -p "$directory/kept/$number"
  mount --bind "$folder" "$directory/kept/$number"
done
mount -t tmpfs -o mode=1777 tmpfs /tmp
number=0
for folder; do
  number=$((number + 1))
  case $folder in
  /tmp/*)
    mkdir -p "$folder"
    mount --bind "$directory/kept/$number" "$folder"
    ;;
  esac
  umount "$directory/kept/$number"
done

# Volumes with mount propagation need a shared mount.
mount --make-rshared /
touch "$directory/booted"
# Waits for a child, and so reaps all processes whose parents have ended.
sleep infinity
