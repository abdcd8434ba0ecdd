import type { Fault, Operation } from "./host.ts";

/** The fault that a command has survived, and the operation that had it. */
export interface Met {
  readonly fault: Fault;
  readonly operation: Operation | undefined;
}

/** What runts does in another way where the first is refused: the container shows it, and nothing else may differ. */
interface Fallback {
  readonly call: string;
  /** Any, if it is not given. */
  readonly errors?: readonly number[];
  is(expected: string, got: string): boolean;
}

const EPERM = 1;
const EBUSY = 16;
const EINVAL = 22;
const EROFS = 30;

/** A container whose /etc/passwd can't be read has none: HOME is that of a user who isn't in it. */
function hasNoHome(expected: string, got: string): boolean {
  const home = /^HOME=.*$/m;
  return home.test(got) && expected.replace(home, "HOME=/") === got;
}

const FALLBACKS: readonly Fallback[] = [
  { call: "openat2", is: hasNoHome },
  { call: "read", is: hasNoHome },
  // Streams that may not be given away stay root's.
  {
    call: "fchown",
    errors: [EINVAL, EPERM, EROFS],
    is: (expected, got) => expected.replaceAll(/^(\/dev\/pts\/\d+) \d+/gm, "$1 0") === got,
  },
  // A cgroup mount that may not be made anew is a bind mount of the host's.
  {
    call: "fsconfig",
    errors: [EPERM, EBUSY],
    is: (expected, got) =>
      sorted(expected.replace(" - cgroup2 cgroup ", " - cgroup2 cgroup2 ")) === sorted(got),
  },
  // Where no copy can be made of the file system of the masks, one of them gets it itself, at another place of the list.
  { call: "open_tree", errors: [EINVAL], is: (expected, got) => sorted(expected) === sorted(got) },
];

function sorted(text: string): string {
  return text.split("\n").sort().join("\n");
}

/** What keeps a container from being what the config says, though the command has succeeded. */
export function difference(expected: string, got: string, { fault, operation }: Met): string | undefined {
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
  return `the container is not as it should be: ${shown || "the same lines in another order"}`;
}
