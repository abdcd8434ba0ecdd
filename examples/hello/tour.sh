#!/bin/sh
# Prints what a process sees of its machine: one "subject|value" a line. `npm run hello` runs it on the host and in the
# container, and shows the answers side by side. It only looks, and changes nothing.

status() { sed -n "s/^$1:[[:space:]]*//p" /proc/self/status; }
count() { echo $#; }
writable() { if [ -w "$1" ]; then echo "writable"; else echo "read-only"; fi; }

capabilities() {
  mask=$((0x$(status CapEff)))
  bits=0
  while [ "$mask" -ne 0 ]; do
    bits=$((bits + (mask & 1)))
    mask=$((mask >> 1))
  done
  if [ "$bits" -eq 0 ]; then echo "none"; else echo "$bits"; fi
}

seccomp() {
  case $(status Seccomp) in
    0) echo "none" ;;
    1) echo "strict" ;;
    *) echo "a filter" ;;
  esac
}

no_new_privileges() { if [ "$(status NoNewPrivs)" = 1 ]; then echo "no"; else echo "yes"; fi; }
interfaces() { sed -n 's/^ *\([^:]*\):.*/\1/p' /proc/net/dev | sort | tr '\n' ' '; }
kernel_memory() { if [ -c /proc/kcore ]; then echo "hidden"; else echo "in /proc/kcore"; fi; }

echo "process id|$$"
echo "processes it can see|$(count /proc/[0-9]*)"
echo "user id|$(id -u)"
echo "hostname|$(cat /proc/sys/kernel/hostname)"
echo "network interfaces|$(interfaces)"
echo "mounts|$(count $(sed 's/ .*//' /proc/self/mountinfo))"
echo "root file system|$(writable /)"
echo "/usr|$(writable /usr)"
echo "entries in /dev|$(count /dev/*)"
echo "kernel settings|$(writable /proc/sys/kernel/hostname)"
if [ -e /proc/kcore ]; then echo "kernel memory|$(kernel_memory)"; fi
echo "cgroup|$(sed -n 's/^0:://p' /proc/self/cgroup)"
echo "capabilities|$(capabilities)"
echo "can gain privileges|$(no_new_privileges)"
echo "system call filter|$(seccomp)"
echo "open files at most|$(ulimit -n)"
echo "kernel|$(uname -r)"
