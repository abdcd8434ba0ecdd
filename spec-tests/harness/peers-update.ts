import type { Deviation } from "./peers.ts";

/** `update` of Debian's runc 1.1.15. */
export const RUNC_UPDATE: readonly Deviation[] = [
  {
    reason: "ignores what only cgroup v1 has",
    titles: ["--cpu-rt-period", "--cpu-rt-runtime"].map(
      (flag) => `update ${flag}, which only cgroup v1 has: error that names it`,
    ),
  },
  {
    reason: "update ignores hugepageLimits and devices",
    titles: [
      "update --resources with hugepageLimits: the limit holds",
      "update --resources with a device allowed by an empty access: refused, and the rules stay",
      "update --resources with devices: the rules are replaced",
    ],
  },
  {
    reason: "unlimited is written too, and so needs the controller",
    titles: ["update --memory -1 --cpu-quota=-1: what holds without the controllers, so no error"],
  },
];

/** `update` of Debian's crun 1.21. */
export const CRUN_UPDATE: readonly Deviation[] = [
  {
    reason: "a device rule without an access allows nothing, and denies nothing",
    titles: ["update --resources with a device allowed by an empty access: refused, and the rules stay"],
  },
  {
    reason: "a schema for Intel RDT is taken for a container without intelRdt too, and any text is one",
    from: "1.28",
    titles: [
      "update --l3-cache-schema, a container without intelRdt: error that names it",
      "update --mem-bw-schema, a container without intelRdt: error that names it",
      "update --mem-bw-schema without MB: error that names it",
    ],
  },
  {
    reason: "an empty blockIO asks for the io controller",
    titles: [
      'update --resources {"memory":{},"cpu":{},"pids":{},"blockIO":{}}: asks for nothing, so no error',
    ],
  },
  {
    reason: "values of a wrong type are taken as absent or converted",
    titles: [
      'update --resources "[]": error',
      'update --resources "{\\"memory\\":\\n{\\"limit\\":\\"64m\\"}}": error',
      "update --cpu-period -1: error that names the flag",
    ],
  },
  {
    reason: "makes JSON of the flags without a look at their values, and reports that",
    titles: [
      "update --cpu-quota much: error that names the flag",
      "update --kernel-memory-tcp: a warning, no effect",
      "update --kernel-memory: a warning, no effect",
      "update --pids-limit 1.5: error that names the flag",
    ],
  },
  {
    reason: "unlimited is written too, and so needs the controller",
    titles: ["update --memory -1 --cpu-quota=-1: what holds without the controllers, so no error"],
  },
  {
    reason: "has words of its own for the same errors",
    titles: ["update, unknown id: error in the words that engines match"],
  },
  {
    reason: "a stopped container can be updated",
    titles: ["update, stopped: error in runc's words"],
  },
];
