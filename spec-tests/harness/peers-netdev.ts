import type { Deviation } from "./peers.ts";

/** In all tests but those that pass where an interface was never moved. */
const NET_DEVICES: Deviation = {
  reason: "linux.netDevices came with runtime-spec 1.3: older versions ignore it",
  titles: [
    "netDevices with…",
    "netDevices, a user namespace and…",
    "netDevices, addresses that are not permanent or not global: not kept",
    "netDevices, the name exists in the container: error, both namespaces as before",
    "netDevices, the host's name and index exist in the container: moved by the new name",
    "netDevices, delete: it stays in the container's network namespace",
    "netDevices, the second is missing: error, the first is back with addresses, up",
    "netDevices: moved before hooks and sysctls",
    "netDevices, no such interface: error that names it, nothing left",
    "netDevices, lo: error that names it, nothing left",
    "netDevices, a host name…",
    "netDevices, a name…",
    "netDevices, the name ..: error that names it, nothing left",
    "netDevices, rootless: error that names it, nothing left",
  ],
};

const BOTH: readonly Deviation[] = [
  {
    reason:
      "resctrl is looked for at /sys/fs/resctrl by its file system type: the directory tree is not taken for one",
    titles: [
      "intelRdt with closID alone: the pid is in its tasks, its limits stay, and so does it after delete",
      "intelRdt with closID /: the pid is in the root's tasks",
      "intelRdt without closID: the group of the container's id, with the values in order",
      "intelRdt with closID and the limits that it has: accepted",
      "exec, a container with intelRdt: the process joins its group",
      "update --l3-cache-schema and --mem-bw-schema: written to the container's group, the cache first",
    ],
  },
  {
    reason: "not checked",
    titles: [
      "annotations with an empty name: error that names it",
      "devices without major: error that names it",
      "devices without minor: error that names it",
    ],
  },
  {
    reason: "EEXIST of mknod counts as success",
    titles: [
      "devices where a file exists: error that names it",
      "devices where a symbolic link to the device exists: error that names it",
      "devices where another device exists: error that names it",
      "devices where a block device of the numbers exists: error that names it",
    ],
  },
  {
    reason: "without rights the host's node is bound, whatever the config says of it",
    titles: [
      "rootless create, devices whose name is another device's on the host: error that names it",
      "rootless create, devices with another mode than the host's: error that names it",
      "rootless create, devices with another owner than the host's: error that names it",
    ],
  },
  {
    reason: "a device is passed over where the link to the container's own ptmx goes, whatever it is",
    titles: ["devices with a /dev/ptmx …"],
  },
  {
    reason: "in a user namespace the host's devices are bound over what the config mounts",
    titles: ["bind mounts in a user namespace where /dev has links and devices: they stay"],
  },
];

/** Seen with Debian's crun 1.21 and 1.28. */
export const CRUN_NETDEV: readonly Deviation[] = [
  { ...NET_DEVICES, before: "1.28" },
  {
    reason: "an interface that was moved stays there when a later step fails",
    from: "1.28",
    titles: [
      "netDevices, a createRuntime hook fails: the interface is back on the host",
      "netDevices, a createContainer hook fails: the interface is back on the host",
      "netDevices, the name exists in the container: error, both namespaces as before",
      "netDevices, the second is missing: error, the first is back with addresses, up",
      "netDevices, a name with…",
      "netDevices, the name ..: error that names it, nothing left",
    ],
  },
  {
    reason: "%d in a name is no template, and an address keeps the label of the old name",
    from: "1.28",
    titles: [
      "netDevices with a template: a free name, up, with its addresses",
      "netDevices with a name: moved, renamed, up, with its attributes and permanent addresses",
    ],
  },
  {
    reason: "without a network namespace of the container's, or as a user, it is ignored",
    from: "1.28",
    titles: [
      "netDevices with no network namespace: error that names it",
      "netDevices with the runtime's network namespace by its path: error that names it",
      "netDevices, rootless: error that names it, nothing left",
    ],
  },
  ...BOTH,
  {
    reason: "paths and timeouts of hooks are not checked; a timeout of 0 is none",
    titles: [
      ...["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"].map(
        (kind) => `${kind} hook with timeout 0: error that names it`,
      ),
      "startContainer hook with a relative path: error that names it",
      "poststart hook with a relative path: error that names it",
      "poststop hook with a relative path: error that names it",
    ],
  },
  {
    reason: "hooks in the container get the pid 0 in the state",
    titles: [
      "createContainer hook: the state has the pid as the hook sees it, status created, and the annotations",
      "startContainer hook: the state has the pid as the hook sees it, status created, and the annotations",
    ],
  },
  {
    reason: "a hook without env inherits the environment of the runtime",
    sometimes: true,
    titles: ["startContainer hook without env: the environment of the process"],
  },
  {
    reason: "EEXIST of mknod counts as success",
    titles: ["devices where a directory exists: error that names it"],
  },
  {
    reason:
      "the default devices are bound over those of the config; an owner that is not mapped becomes nobody",
    titles: [
      "devices in a user namespace, the caller is the host's root: nodes with numbers, mode and owner, and they work",
      "devices in a joined user namespace: the owner's ids are those inside it",
      "devices in a user namespace, a uid that is not mapped: error that names it",
      "devices in a user namespace, a gid that is not mapped: error that names it",
    ],
  },
  {
    reason: "what is missing of the mappings is made up beside those that are there",
    titles: ["user namespace with uidMappings alone: …", "user namespace with gidMappings alone: …"],
  },
  {
    reason: "mounts of device nodes have no flags",
    titles: ["devices in a user namespace, with CAP_SYS_ADMIN: no further device can be reached or made"],
  },
  {
    reason: "mappings beside a path are not compared",
    titles: ["user namespace with a path, other…"],
  },
  {
    reason: "after an error of the kernel in the first steps, the cgroup stays",
    titles: [
      "user namespace with 341 mappings: error, nothing left",
      "timeOffsets that the kernel refuses: error that names it, nothing left",
    ],
  },
  {
    reason: "timeOffsets without a time namespace are refused late, and the cgroup may stay",
    sometimes: true,
    titles: ["timeOffsets without a time namespace: error that names it, nothing left"],
  },
  {
    reason: "a time namespace is not joined, and timeOffsets are checked by nobody but the kernel",
    titles: [
      "namespace time with a path: joined",
      "timeOffsets with a joined time namespace: error that names it, nothing left",
      "timeOffsets, an unknown clock: error, nothing left",
      "timeOffsets, nanosecs beyond a second: error, nothing left",
    ],
  },
];

/** Seen with Debian's runc 1.1.15 and 1.3.6. */
export const RUNC_NETDEV: readonly Deviation[] = [
  { ...NET_DEVICES, before: "1.4" },
  ...BOTH,
  {
    reason:
      "without resctrl the property is ignored unless it has one of the older schemas; schemata and monitoring are newer",
    titles: [
      "intelRdt with closID, no resctrl mounted: error that names it, nothing left",
      "intelRdt with schemata, no resctrl mounted: error that names it, nothing left",
      "intelRdt with enableMonitoring, no resctrl mounted: error that names it, nothing left",
      "intelRdt with nothing in it, no resctrl mounted: error that names it, nothing left",
      "intelRdt, closID with a line break: error that names it, nothing left",
      "intelRdt, schemata with two lines in one: error that names it, nothing left",
      "intelRdt, closID alone, no such class: error, nothing is changed",
      "intelRdt, a monitoring group that exists: error, nothing is changed",
      "intelRdt, a class or monitoring group that turns out unusable: error, what was made is removed",
    ],
  },
  {
    reason: "a new user namespace without mappings is an error",
    titles: [
      "user namespace without mappings: its root is the caller, with a warning",
      "exec in a user namespace without mappings: as its root",
      "rootless run, no mappings: root in the container is the caller",
    ],
  },
  {
    reason: "in a user namespace the host's node is bound, whatever the config says of it",
    titles: [
      "devices in a user namespace where /dev has links: the devices replace them",
      "devices in a user namespace, the caller is the host's root: nodes with numbers, mode and owner, and they work",
      "devices in a user namespace, a caller with a umask: the mode is as listed",
      "devices in a user namespace, 260 of them: all are there",
      "devices in a joined user namespace: the owner's ids are those inside it",
      "devices in a user namespace, with CAP_SYS_ADMIN: no further device can be reached or made",
    ],
  },
  {
    reason: "what is mounted on /dev/ptmx keeps the link from its place: EBUSY",
    titles: [
      "bind mount on /dev/ptmx: the link to the container's own, with a warning",
      "bind mount in a user namespace on /dev/ptmx: the link to the container's own, with a warning",
    ],
  },
  {
    reason: "EEXIST of mknod counts as success, also where a directory stands",
    titles: ["devices where a directory exists: error that names it"],
  },
  {
    sometimes: true,
    reason: "after an error of the kernel in the first steps, the cgroup may stay",
    before: "1.3",
    titles: [
      "namespace path of the wrong type: error, nothing left",
      "user namespace with 341 mappings: error, nothing left",
    ],
  },
  {
    reason: "domainname is newer",
    before: "1.3",
    titles: ["domainname without a uts namespace: error that names it"],
  },
  {
    reason:
      "hooks are checked by running them only: create runs neither these kinds nor, where the caller's folder has it, fails",
    titles: [
      "createContainer hook with a relative path: error that names it",
      "startContainer hook with a relative path: error that names it",
      "poststop hook with a relative path: error that names it",
      "startContainer hook with timeout 0: error that names it",
      "poststop hook with timeout 0: error that names it",
    ],
  },
  {
    reason: "a timeout of 0 is taken, and a hook may be faster",
    sometimes: true,
    titles: ["prestart", "createRuntime", "createContainer", "poststart"].map(
      (kind) => `${kind} hook with timeout 0: error that names it`,
    ),
  },
  {
    reason: "a createContainer hook gets the status creating, and the pid of the host",
    titles: [
      "createContainer hook: the state has the pid as the hook sees it, status created, and the annotations",
    ],
  },
  {
    reason: "a fifo in a user namespace is bound from the host too, where there is none",
    titles: ["devices in a user namespace: a device and a fifo, and they work"],
  },
  {
    reason: "time namespaces are newer",
    before: "1.3",
    titles: [
      "timeOffsets: the offsets of the new time namespace",
      "timeOffsets with one clock: the other one has none",
      "namespace time with a path: joined",
      "timeOffsets without a time namespace: error that names it, nothing left",
    ],
  },
];
