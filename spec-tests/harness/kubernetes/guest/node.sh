#!/bin/bash
# node.sh BIN ADDRESS ROUTER NAME: makes the guest a node of a cluster, by containerd and a kubelet, whose program is in the folder BIN. The
# settings of both lie in the exchange folder, and so do their logs.
set -eu
bin=$1 address=$2 router=$3 name=$4
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# The kernel can't find modules itself: they lie in another folder than its own.
# shellcheck disable=SC2154
modprobe -d "$modules" -a virtio_net overlay
ip link set lo up
ip address add "$address/24" dev eth0
ip link set eth0 up
ip route add default via "$router"
# The root file system is read-only.
for path in /var/lib /var/log; do
  mount -t tmpfs tmpfs "$path"
done
# Volumes with mount propagation need a shared mount.
mount --make-rshared /

start() {
  log=/run/exchange/$1.log
  shift
  setsid "$@" </dev/null >"$log" 2>&1 &
}
socket=/run/containerd.sock
start containerd containerd --config /run/exchange/containerd.toml
until ctr --address "$socket" version >/dev/null 2>&1; do sleep 0.5; done
ctr --address "$socket" --namespace k8s.io images import /run/exchange/images.tar
start kubelet "$bin/kubelet" --config=/run/exchange/kubelet.json --kubeconfig=/run/exchange/kubeconfig \
  --container-runtime=remote --container-runtime-endpoint="unix://$socket" --node-ip="$address" \
  --hostname-override="$name"
