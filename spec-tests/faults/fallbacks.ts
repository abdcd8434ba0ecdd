import type { Fault, Operation } from "./host.ts";

/** A fault that a command survived, and the operation that it hit. */
export interface Survived {
  readonly fault: Fault;
  readonly operation: Operation | undefined;
}

/** A second way that runts takes when the kernel refuses the first. The container may differ by its result, and by nothing else. */
interface Fallback {
  readonly call: string;
  /** Default: any. */
  readonly errors?: readonly number[];
  is(expected: string, got: string): boolean;
}

const EPERM = 1;
const EBUSY = 16;
const EINVAL = 22;
const EROFS = 30;

/** If the container's /etc/passwd can't be read, HOME is `/`, as for a user without an entry. */
function hasNoHome(expected: string, got: string): boolean {
  const home = /^HOME=.*$/m;
  return home.test(got) && expected.replace(home, "HOME=/") === got;
}

const FALLBACKS: readonly Fallback[] = [
  { call: "openat2", is: hasNoHome },
  { call: "read", is: hasNoHome },
  // Streams whose owner can't be changed stay root's.
  {
    call: "fchown",
    errors: [EINVAL, EPERM, EROFS],
    is: (expected, got) => expected.replaceAll(/^(\/dev\/pts\/\d+) \d+/gm, "$1 0") === got,
  },
  // If cgroup2 can't be mounted anew, the host's mount is bound.
  {
    call: "fsconfig",
    errors: [EPERM, EBUSY],
    is: (expected, got) =>
      sorted(expected.replace(" - cgroup2 cgroup ", " - cgroup2 cgroup2 ")) === sorted(got),
  },
  // If the mount that masks directories can't be cloned, it becomes one of the masks itself, so that the order of mountinfo differs.
  { call: "open_tree", errors: [EINVAL], is: (expected, got) => sorted(expected) === sorted(got) },
];

function sorted(text: string): string {
  return text.split("\n").sort().join("\n");
}

/** Compares the probe's output with that of a container made without a fault. Returns the difference, unless a fallback explains it. */
export function difference(
  expected: string,
  got: string,
  { fault, operation }: Survived,
): string | undefined {
  if (expected === got) return undefined;
  const isFallback = FALLBACKS.some(
    ({ call, errors, is }) =>
      fault.mode === "fail" &&
      operation?.call === call &&
      errors?.includes(fault.errno) !== false &&
      is(expected, got),
  );
  if (isFallback) return undefined;
  const [before, after] = [expected.split("\n"), got.split("\n")];
  const missing = before.filter((line) => !after.includes(line)).map((line) => `-${line}`);
  const added = after.filter((line) => !before.includes(line)).map((line) => `+${line}`);
  const shown = [...missing, ...added].slice(0, 8).join(" | ");
  return `the container differs from one without a fault: ${shown || "the same lines in another order"}`;
}
