import type { OptionDescription } from "./option.ts";

/** Options of `update`: strings, as their values may be negative or carry a unit. */
export const updateOptions: readonly OptionDescription[] = [
  {
    name: "resources",
    alias: "r",
    type: "string",
    description:
      "file with linux.resources as JSON, - for standard input; all other options are ignored then",
  },
  { name: "blkio-weight", type: "string", description: "weight of block I/O, 10 to 1000" },
  { name: "cpu-period", type: "string", description: "microseconds in which the quota counts" },
  {
    name: "cpu-quota",
    type: "string",
    description: "microseconds of CPU time in a period; -1: no limit",
  },
  { name: "cpu-burst", type: "string", description: "microseconds saved up beyond the quota" },
  { name: "cpu-share", type: "string", description: "weight of CPU time, 2 to 262144" },
  { name: "cpu-rt-period", type: "string", description: "cgroup v1 only: refused" },
  { name: "cpu-rt-runtime", type: "string", description: "cgroup v1 only: refused" },
  { name: "cpu-idle", type: "string", description: "1: only what nobody else wants; 0: not so" },
  { name: "cpuset-cpus", type: "string", description: "CPUs to use, as in 0-3,7" },
  { name: "cpuset-mems", type: "string", description: "memory nodes to use" },
  { name: "memory", type: "string", description: "bytes, or as in 64m; -1: no limit" },
  { name: "memory-reservation", type: "string", description: "bytes that are not reclaimed" },
  { name: "memory-swap", type: "string", description: "bytes of memory and swap; -1: no limit" },
  { name: "kernel-memory", type: "string", description: "accepted for compatibility, without effect" },
  {
    name: "kernel-memory-tcp",
    type: "string",
    description: "accepted for compatibility, without effect",
  },
  { name: "pids-limit", type: "string", description: "number of processes; -1: no limit" },
  {
    name: "l3-cache-schema",
    type: "string",
    description: "L3 cache of a container with intelRdt, as in L3:0=ff;1=f",
  },
  { name: "mem-bw-schema", type: "string", description: "memory bandwidth, as in MB:0=20;1=70" },
];
