import type { Deviation } from "./peers.ts";

const VERSION_ONE = [
  "memory/kernel",
  "memory/kernelTCP",
  "memory/swappiness",
  "memory/disableOOMKiller",
  "cpu/realtimeRuntime",
  "cpu/realtimePeriod",
  "blockIO/leafWeight",
  "blockIO/weightDevice/0/leafWeight",
  "network/classID",
  "network/priorities",
].map((pointer) => `create with ${pointer}: error that names it, nothing left`);

const BOTH: readonly Deviation[] = [
  {
    reason: "exec waits in a frozen cgroup until it is thawed",
    titles: [
      "exec --cgroup of a frozen one: error that says so, no hang",
      "exec where the host has frozen a cgroup above: error, no hang",
    ],
  },
];

/** Cgroups of Debian's runc 1.1.15, most of them in guests. */
export const RUNC_CGROUPS: readonly Deviation[] = [
  {
    reason: "a path that is too long can't be opened by openat2(2) from the top, and the cgroup stays",
    from: "1.3",
    titles: [
      "pause and resume, init in a cgroup below with 17 names of 250 characters: paused, then running",
      "exec, init in a cgroup below with 17 names of 250 characters: runs",
    ],
  },
  {
    reason: "a device rule without an access is refused, also one that denies",
    titles: ["devices, a rule that denies without an access: denies all"],
  },
  ...BOTH,
  { reason: "ignores what only cgroup v1 has", titles: VERSION_ONE },
  {
    reason: "a cgroup that is not empty is a warning in 1.1",
    before: "1.3",
    titles: [
      "create in a cgroup with processes: error that names them, and they live on",
      "create in a cgroup with a process that has named itself: no byte of it that a terminal acts on, and one line",
    ],
  },
  {
    reason: "the cgroupfs driver never changes the owner",
    titles: [
      "create, user namespace, /sys/fs/cgroup writable: the container owns what is delegated",
      "exec, user namespace, the container owns its cgroup: it runs there, where init is",
      "create, user namespace, process.user 7: that user owns the cgroup",
      "root of a user namespace, no further one, process.user 5: that user owns the cgroup…",
      "root of a user namespace, a further one, process.user 5: that user owns the cgroup",
      "create, user namespace: what the memory controller delegates is the container's too",
      "exec, user namespace, init in a cgroup below with …",
    ],
  },
  {
    reason: "reaches cgroups by their paths: what is deeper than a path can lead stays",
    titles: [
      "delete --force, init in a cgroup below with 17 names of 250 characters: gone",
      "delete, stopped, a cgroup below with 17 names of 250 characters left: gone",
      "ps --format json, init in a cgroup below with 17 names of 250 characters: listed",
    ],
  },
  {
    reason: "enables the controllers of threads in a cgroup with processes, and leaves it threaded",
    titles: ["create below a cgroup with processes: error that names controller, cgroup and processes"],
  },
  {
    reason: "its own init does not fit into so little memory",
    titles: ["memory.limit 1 MiB and pids.limit 1, a static program: it runs"],
  },
  {
    reason: "1.1 has no checkBeforeUpdate",
    titles: [
      "update with a memory.limit below the usage and checkBeforeUpdate: refused",
      "update --memory below the usage, checkBeforeUpdate in the config: refused",
    ],
  },
  {
    reason: "1.1 has neither burst nor idle",
    titles: [
      'create with cpu {"quota":50000,"period":200000,"burst":20000}: cpu.max…',
      'create with cpu {"idle":1}: cpu.max…',
      "update --cpu-*: each value alone, the others stay",
    ],
  },
  {
    reason: "weights of devices are for BFQ alone",
    titles: ["blockIO.weight and weightDevice: io.weight, on its own scale"],
  },
  {
    reason: "0 is no limit in 1.1, and -1 the only value below it",
    titles: ["pids.limit 0: nothing can be forked", "create with pids.limit -2: pids.max"],
  },
  {
    reason: "the threads of its own that join the container count",
    titles: ["update --pids-limit: the new limit holds"],
  },
  {
    reason: "writes all lines of a value at once, which the kernel refuses",
    titles: ["unified: each line of each value is written, last"],
  },
  {
    reason: "a refused value leaves the update half done",
    titles: ["update of which the last value is refused: all others are as before"],
  },
  {
    sometimes: true,
    reason: "the same; unified is written in no order",
    titles: [
      "update of which the last value is refused: the first is as before, and later updates know nothing of it",
    ],
  },
  {
    reason: "exec goes to the top, where systemd wants nobody; in a user namespace it can make no cgroups",
    titles: ["systemd inside, …"],
  },
  {
    reason: "what the kernel gives instead is not looked at",
    titles: ["create with cpu.cpus that the cgroup above has not: error that names it"],
  },
  {
    reason: "update takes neither huge pages nor RDMA",
    titles: ["update with hugepageLimits: both accountings", "rdma and update of it: rdma.max"],
  },
  {
    reason: "update ignores the throttles of blockIO",
    titles: ["update with throttleWriteBpsDevice: io.max"],
  },
];

/** The same of Debian's crun 1.21. */
export const CRUN_CGROUPS: readonly Deviation[] = [
  {
    reason: "a device rule without an access allows nothing, and denies nothing",
    titles: [
      "create, devices, an empty access allowed: error, nothing left",
      "create, devices, an empty access denied: error, nothing left",
      "create, devices, no access allowed: error, nothing left",
      "devices, a rule that denies without an access: denies all",
    ],
  },
  ...BOTH,
  {
    reason: "ps lists nobody where no process is in the topmost cgroup",
    before: "1.28",
    titles: ["ps --format json, init in a cgroup below with …"],
  },
  {
    reason: "exec enters the container's own cgroup as long as that takes processes, wherever init is",
    titles: ["exec, user namespace, the container owns its cgroup: it runs there, where init is"],
  },
  { reason: "leaves the cgroup that it made when it refuses what only cgroup v1 has", titles: VERSION_ONE },
  {
    reason: "what only cgroup v1 has is an error by its mere presence, even where it is 0, false or -1",
    titles: [
      'run with {"memory":{"kernel":-1…',
      'run with {"blockIO":{"leafWeight":0…',
      'run with {"network":…',
    ],
  },
  {
    reason: "kills all that is in the cgroup of a container that has ended",
    titles: [
      "delete, stopped, another container is in its cgroup by now: that one lives on",
      "delete, stopped, another container is in a cgroup below its own by now: that one lives on",
    ],
  },
  {
    reason: "does not look what is in the cgroup, and waits in a frozen one for ever",
    titles: [
      "create in a cgroup with processes: error that names them, and they live on",
      "create in a cgroup with a process that has named itself: no byte of it that a terminal acts on, and one line",
      "create in a frozen cgroup: error, never a hang",
    ],
  },
  {
    reason: "leaves the cgroup that it made when a limit can't be set",
    titles: ["create with hugepageLimits of …", 'create with unified of "…'],
  },
  {
    reason: "does not set the reservation of huge pages",
    titles: ["create with hugepageLimits: the limit holds"],
  },
  {
    reason: "refuses a cgroupsPath with .. in it",
    titles: ["cgroupsPath with .. in it: never outside of the cgroup mount"],
  },
  {
    reason: "without resources it sets no device rules at all",
    titles: [
      "devices, no resources at all: none but the default ones opens",
      "devices, empty resources: none but the default ones opens",
    ],
  },
  {
    reason: "the user of the container's root owns the cgroup, whatever process.user is",
    titles: [
      "create, user namespace, process.user 7: that user owns the cgroup",
      "root of a user namespace, no further one, process.user 5: that user owns the cgroup…",
      "root of a user namespace, a further one, process.user 5: that user owns the cgroup",
    ],
  },
  {
    reason: "gives every cgroup of a user namespace to it, if writable or not",
    titles: [
      "create, user namespace, /sys/fs/cgroup read-only: the cgroup stays the host's",
      "create, user namespace, no cgroup namespace: the cgroup stays the host's",
    ],
  },
  {
    reason: "falls back to the cgroup of init without a word",
    titles: ["exec --cgroup / where only cgroups below take processes: error that says so"],
  },
  {
    reason: "enables the controllers of threads in a cgroup with processes, and leaves it threaded",
    titles: ["create below a cgroup with processes: error that names controller, cgroup and processes"],
  },
  {
    reason: "leaves the cgroup behind when a limit is refused",
    titles: [
      "create with a quota below the kernel's least: error with the pointer and the value",
      'create with cpu.cpus "7", which there is not: error that names it',
      'create with cpu.mems "7", which there is not: error that names it',
      "hugepageLimits of a page size that there is not: error that names it",
      "unified of a controller that the kernel has not: error that names controller and cgroup",
      "blockIO with a device that is not there: error with its pointer",
      "unified with …",
      "create below a threaded cgroup: init is in it, and a limit of a domain's controller is refused",
    ],
  },
  {
    reason: "weights of devices are for BFQ alone",
    titles: ["blockIO.weight and weightDevice: io.weight, on its own scale"],
  },
  {
    reason: "there is no such command",
    titles: ["events, more memory is allocated than allowed: an event of type oom, and usage in the stats"],
  },
  {
    reason: "exec goes to the top, where systemd wants nobody",
    titles: ["systemd inside, …"],
  },
  {
    reason: "a refused value leaves the update half done",
    titles: [
      "update of which the last value is refused: all others are as before",
      "update of which the last value is refused: the first is as before, and later updates know nothing of it",
    ],
  },
  {
    reason: "what the kernel gives instead is not looked at",
    titles: ["create with cpu.cpus that the cgroup above has not: error that names it"],
  },
  {
    reason: "reservations of huge pages are not limited",
    titles: [
      "hugepageLimits of 4 MiB, a mapping of 6 MiB: Cannot allocate memory",
      "update with hugepageLimits: both accountings",
    ],
  },
  {
    reason: "rdma is ignored",
    titles: [
      "rdma with one handle: a second is refused by the kernel",
      "rdma and update of it: rdma.max",
      "rdma of a device that there is not: error that names it",
    ],
  },
  {
    reason: "0 is a limit of memory and none of processes",
    titles: [
      'create with memory {"limit":0,"swap":0,"reservation":0}: memory.max…',
      "pids.limit 0: nothing can be forked",
    ],
  },
  {
    reason: "unlimited memory leaves the limit of swap on update",
    titles: ["update --memory-swap, --memory-reservation and -1: converted"],
  },
  {
    reason: "checkBeforeUpdate of the config is forgotten",
    titles: ["update --memory below the usage, checkBeforeUpdate in the config: refused"],
  },
  {
    reason: "a period alone takes the quota away",
    titles: ["update --cpu-*: each value alone, the others stay"],
  },
  {
    reason: "exec moves a process in, which the kernel does not count against the limit",
    titles: ["update --pids-limit: the new limit holds"],
  },
];
