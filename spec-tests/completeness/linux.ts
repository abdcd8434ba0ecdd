import type { Coverage } from "./rows.ts";

export const LINUX: Coverage = {
  "/linux/namespaces": [
    "create, the same namespace type twice: error",
    "create, namespaces of a pod, each by its path: all joined, the user namespace included",
    "run without any namespace: the program is in the container's root, with its mounts",
  ],
  "/linux/namespaces/*/type": [
    "create, unknown namespace type: error",
    "create, namespace {} not listed: the caller's",
  ],
  "/linux/namespaces/*/type={}": [
    "create, namespace {} listed: a new one",
    "run, {} namespace listed: a new one",
  ],
  "/linux/namespaces/*/type=user": [
    "run, user namespace: the mappings are as listed",
    "run, user namespace: the other namespaces belong to it",
    "create, user namespace not listed: the caller's",
  ],
  "/linux/namespaces/*/path": [
    "create, namespace {} with a path: joined",
    "create, namespace path of the wrong type: error, nothing left",
    "create, namespace path relative: error, nothing left",
  ],
  "/linux/uidMappings": [
    "run, user namespace: the mappings are as listed",
    "run, user namespace with several ranges: all mapped",
    "run, user namespace without mappings: its root is the caller, with a warning",
    "create, mappings without a user namespace: error",
    "run, user namespace with 341 mappings: error, nothing left",
  ],
  "/linux/gidMappings": [
    "run, user namespace: the mappings are as listed",
    "run, user namespace, a privileged caller: setgroups stays allowed",
    "run by a user without privileges: setgroups is denied, no group can be dropped",
  ],
  "/linux/timeOffsets/monotonic": [
    "run, timeOffsets: the new time namespace has them",
    "run, timeOffsets with one clock: the other clock has no offset",
    "create, timeOffsets without a time namespace: error that names it, nothing left",
    "create, timeOffsets with a joined time namespace: error that names it, nothing left",
  ],
  "/linux/timeOffsets/boottime": [
    "run, timeOffsets: the new time namespace has them",
    "run, timeOffsets with one clock: the other clock has no offset",
  ],
  "/linux/devices": [
    "devices: nodes with type, numbers, mode and owner",
    "devices where that device exists: accepted",
    "devices in a user namespace: a device and a fifo that work",
    "default devices: null, zero, full, random, urandom, tty, with their numbers and mode 666",
  ],
  "/linux/devices/*/type": ["devices with an unknown type: error"],
  "/linux/devices/*/type={}": ["devices: nodes with type, numbers, mode and owner"],
  "/linux/devices/*/type=u": ["devices of type u: a character device"],
  "/linux/devices/*/path": [
    "devices outside of /dev: made there, with missing folders",
    "devices where {} exists: error that names it",
  ],
  "/linux/devices/*/major": [
    "devices without major: error that names it",
    "create, devices, major 4097, which the kernel would cut to its low bits: error that names it, nothing left",
  ],
  "/linux/devices/*/minor": ["devices without minor: error that names it"],
  "/linux/devices/*/fileMode": [
    "devices, a caller with a umask: the mode is as listed",
    "rootless create, devices with another mode than the host's: error that names it",
  ],
  "/linux/devices/*/uid": [
    "devices: nodes with type, numbers, mode and owner",
    "devices in a user namespace, the caller is the host's root: nodes with numbers, mode and owner that work",
  ],
  "/linux/devices/*/gid": ["devices: nodes with type, numbers, mode and owner"],
  "/linux/netDevices": [
    "create, netDevices, no such interface: error that names it, nothing left",
    "create, netDevices with no network namespace: error that names it",
    "run, netDevices, addresses that are not permanent or not global: not kept",
    "delete, netDevices: the interface stays in the container's network namespace",
  ],
  "/linux/netDevices/*/name": [
    "run, netDevices with a name: moved, renamed, up, with its attributes and permanent addresses",
    "run, netDevices without a name: the interface keeps the host's name",
    "create, netDevices, the name exists in the container: error, both namespaces as before",
    "run, netDevices with a template: a free name, up, with its addresses",
    "create, netDevices, a name {}: error that names it, nothing left",
  ],
  "/linux/cgroupsPath": [
    "cgroupsPath absolute: below the cgroup mount point",
    "cgroupsPath relative: the same value gives the same cgroup",
    "cgroupsPath absent: the container has a cgroup of its own",
    "cgroupsPath {}: error that names it, nothing left",
    "create in a cgroup with processes: error that names them, and they survive",
    "create in a frozen cgroup: error, never a hang",
    "systemd, slice:prefix:name: a scope in the slice",
  ],
  "/linux/intelRdt": [
    "intelRdt with no properties, no resctrl mounted: error that names it, nothing left",
    "intelRdt not set: resctrl is not touched, and not needed",
    "intelRdt without closID: a group named by the container's id, with the values in order",
  ],
  "/linux/intelRdt/closID": [
    "intelRdt with closID alone: the pid is in its tasks, its limits stay, and delete keeps it",
    "intelRdt with closID /: the pid is in the root's tasks",
    "intelRdt, closID {}: error that names it, nothing left",
    "intelRdt, closID alone, no such class: error, nothing is changed",
  ],
  "/linux/intelRdt/schemata": [
    "intelRdt without closID: a group named by the container's id, with the values in order",
    "intelRdt, schemata with two lines in an entry: error that names it, nothing left",
  ],
  "/linux/intelRdt/l3CacheSchema": [
    "intelRdt without closID: a group named by the container's id, with the values in order",
    "intelRdt, closID with another l3CacheSchema: error, nothing is changed",
  ],
  "/linux/intelRdt/memBwSchema": [
    "intelRdt, memBwSchema of another resource: error that names it, nothing left",
    "intelRdt, closID with another memBwSchema: error, nothing is changed",
  ],
  "/linux/intelRdt/enableMonitoring": [
    "intelRdt with enableMonitoring, no resctrl mounted: error that names it, nothing left",
    "intelRdt, a monitoring group that exists: error, nothing is changed",
  ],
  "/linux/memoryPolicy/mode": [
    "create, memoryPolicy, mode unknown: error that names the property",
    "create, memoryPolicy, no mode: error that names the property",
    "exec, memoryPolicy: that of the container",
  ],
  "/linux/memoryPolicy/mode={}": ['run, memoryPolicy {"mode":"{}",{}}: the program has it'],
  "/linux/memoryPolicy/mode=MPOL_WEIGHTED_INTERLEAVE": [
    "create, memoryPolicy MPOL_WEIGHTED_INTERLEAVE: accepted, unless the kernel denies it",
  ],
  "/linux/memoryPolicy/nodes": [
    'run, memoryPolicy {"mode":"MPOL_BIND","nodes":"0","flags":[]}: the program has it',
    "create, memoryPolicy, nodes with {}: error that names the property",
    "create, memoryPolicy, {} without nodes: error that names the property",
    "create, memoryPolicy on a node that the machine lacks: error that names the property",
  ],
  "/linux/memoryPolicy/flags": [
    "create, memoryPolicy, flag unknown: error that names the property",
    "create, memoryPolicy, static and relative nodes: error that names the property",
  ],
  "/linux/memoryPolicy/flags/*=MPOL_F_STATIC_NODES": [
    'run, memoryPolicy {"mode":"MPOL_BIND","nodes":"0-3,1000","flags":["MPOL_F_STATIC_NODES"]}: the program has it',
  ],
  "/linux/memoryPolicy/flags/*=MPOL_F_RELATIVE_NODES": [
    'run, memoryPolicy {"mode":"MPOL_INTERLEAVE","nodes":"0","flags":["MPOL_F_RELATIVE_NODES"]}: the program has it',
  ],
  "/linux/memoryPolicy/flags/*=MPOL_F_NUMA_BALANCING": [
    "create, memoryPolicy MPOL_BIND MPOL_F_NUMA_BALANCING: accepted, unless the kernel denies it",
  ],
  "/linux/sysctl": [
    "run, sysctl of the container's namespaces: set",
    "run, sysctl with slashes in its name: set",
    "create, sysctl {}: error, it would change the host",
    "run, sysctl {}: set in the container's ipc namespace",
    "run, sysctl kernel.domainname: set in the container's uts namespace",
    "run, sysctl user.max_mnt_namespaces with a user namespace: set",
    "run, sysctl with slashes, an interface with a dot in its name: the dot is kept",
  ],
  "/linux/rootfsPropagation": [
    "rootfsPropagation absent: the root mount is private",
    "rootfsPropagation unknown: error, nothing left",
    "create --no-pivot with rootfsPropagation {}: error, nothing left",
    "create, linux.rootfsPropagation without a mount namespace: refused by name, nothing left",
  ],
  "/linux/rootfsPropagation={}": [
    "rootfsPropagation {}: the root mount has it",
    "rootfsPropagation {}, binds of a shared tree: their own propagation …",
  ],
  "/linux/maskedPaths": [
    "maskedPaths: a file reads as empty, a folder is an empty read-only one",
    "maskedPaths through a symlink: resolved inside the rootfs",
    "create, linux.maskedPaths without a mount namespace: refused by name, nothing left",
    "default readonlyPaths and maskedPaths: /proc/sys is read-only, /proc/keys is empty",
  ],
  "/linux/readonlyPaths": [
    "readonlyPaths: readable, not writable, missing ones skipped",
    "create, linux.readonlyPaths without a mount namespace: refused by name, nothing left",
  ],
  "/linux/mountLabel": [
    "mountLabel: set for new file systems, the files in them, and the terminal",
    "run, mountLabel unknown to the policy: error that says so",
    "mountLabel where SELinux is off: a warning, no error",
  ],
  "/linux/personality/domain": [
    "create, personality, domain unknown: error that names the property",
    "create, personality, no domain: error that names the property",
  ],
  "/linux/personality/domain={}": [
    "run and exec, personality {}: the program has it, whatever the caller's is",
  ],
  "/linux/personality/flags": [
    "create, personality, a flag: error that names the property",
    "run, personality with an empty list of flags: accepted",
  ],
};
