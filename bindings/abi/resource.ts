// asm-generic/resource.h, Linux 6.12.

// prlimit(2): only the resource that code mentions; the names of all follow.
export const RLIMIT_NOFILE = 7;
export const RLIM_INFINITY = 0xffffffffffffffffn;

// getpriority(2), setpriority(2)
export const PRIO_PROCESS = 0;

/** Names as in config.json; the index of a name is its number. */
export const rlimitNames: readonly string[] = [
  "RLIMIT_CPU",
  "RLIMIT_FSIZE",
  "RLIMIT_DATA",
  "RLIMIT_STACK",
  "RLIMIT_CORE",
  "RLIMIT_RSS",
  "RLIMIT_NPROC",
  "RLIMIT_NOFILE",
  "RLIMIT_MEMLOCK",
  "RLIMIT_AS",
  "RLIMIT_LOCKS",
  "RLIMIT_SIGPENDING",
  "RLIMIT_MSGQUEUE",
  "RLIMIT_NICE",
  "RLIMIT_RTPRIO",
  "RLIMIT_RTTIME",
];

/** Number of a resource; undefined for a name that Linux does not have. */
export function rlimitNumber(name: string): number | undefined {
  const number = rlimitNames.indexOf(name);
  return number < 0 ? undefined : number;
}
