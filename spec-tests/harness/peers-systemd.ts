import type { Deviation } from "./peers.ts";

const NO_LIMIT: Deviation = {
  reason: "a memory limit of -1 is written although the host has no memory controller",
  titles: ["systemd, limits of -1: infinity in the unit"],
};
const KILLED: Deviation = {
  sometimes: true,
  reason: "a create that was killed leaves its unit, of which delete --force does not know",
  titles: ["systemd, create killed at any instant: delete --force removes all that is left"],
};
const UPDATED_DEVICES = "systemd, update with devices: for the unit too, and beyond daemon-reload";

const USER_EXEC = "systemd, user, exec: in the scope";

export const CRUN_SYSTEMD: readonly Deviation[] = [
  NO_LIMIT,
  KILLED,
  {
    reason: "the scope is entered without the help of systemd, which the kernel denies",
    titles: [USER_EXEC],
  },
  {
    reason: "memory and swap together are told as swap alone",
    titles: ["systemd, update of limits: for the unit too"],
  },
  {
    reason: "systemd's own message, which names no property",
    titles: ["systemd, org.systemd.property.MemoryMax = 'much': error that names it, nothing left"],
  },
  { reason: "a unit's list of devices is only added to", titles: [UPDATED_DEVICES] },
  {
    reason: "an unsigned property takes a negative number",
    titles: ["systemd, org.systemd.property.TimeoutStopUSec = uint64 -1: error that names it, nothing left"],
  },
  {
    reason: "an empty part is passed on to systemd, which refuses it",
    titles: ["systemd, no prefix: the name alone"],
  },
  {
    reason: "an empty part is passed on to systemd, which refuses it",
    before: "1.28",
    titles: ["systemd, no slice: system.slice"],
  },
  {
    reason: "an annotation replaces the slice that the config has",
    titles: [
      "systemd, org.systemd.property annotations for what the config has: the config's devices and slice",
    ],
  },
  {
    reason: "a path that is not of three parts is read as far as it goes",
    titles: [
      "systemd, cgroupsPath system.slice:spec: error, nothing left",
      "systemd, cgroupsPath system.slice:spec:name:more: error, nothing left",
    ],
  },
];

export const RUNC_SYSTEMD: readonly Deviation[] = [
  {
    reason: "an annotation replaces the slice that the config has",
    titles: [
      "systemd, org.systemd.property annotations for what the config has: the config's devices and slice",
    ],
  },
  NO_LIMIT,
  KILLED,
  {
    reason: "update takes neither devices nor huge pages",
    titles: [UPDATED_DEVICES, "systemd, huge pages, of which systemd knows nothing: in the cgroup's files"],
  },
  {
    reason: "without a prefix the unit's name begins with the dash",
    titles: ["systemd, no prefix: the name alone"],
  },
  { reason: "the process stays in the cgroup of the caller", titles: [USER_EXEC] },
  { reason: "the option is crun's", titles: ["systemd by --cgroup-manager: the same"] },
];
