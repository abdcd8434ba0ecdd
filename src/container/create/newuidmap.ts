import { MFD_CLOEXEC } from "../../../bindings/abi/fcntl.ts";
import { withPurpose } from "../../../bindings/ffi/purpose.ts";
import { cString, syscall } from "../../../bindings/ffi/syscall.ts";
import { fstatSync } from "../../../bindings/linux/file-status.ts";
import { closeSync, readFileSync, readSync } from "../../../bindings/linux/files.ts";
import { RuntsError } from "../../errors.ts";
import { mapsOnly, writeGroups, writeUsers } from "../../init/id-mappings.ts";
import type { Namespaces } from "../../plan/init-plan.ts";
import type { IdMapping, Linux } from "../../spec/types.ts";
import type { Caller } from "../caller/caller.ts";
import { hookProcessIn, runHookProcess } from "../hooks/hook-process.ts";
import { findProgram } from "../process/find-program.ts";
import { findUserName } from "../record/status.ts";

/** The two kinds of ids, whose helpers and files have the same form. */
interface Kind {
  readonly pointer: string;
  readonly helper: string;
  readonly file: string;
  readonly option: string;
}

const USERS: Kind = {
  pointer: "/linux/uidMappings",
  helper: "newuidmap",
  file: "/etc/subuid",
  option: "--add-subuids",
};
const GROUPS: Kind = {
  pointer: "/linux/gidMappings",
  helper: "newgidmap",
  file: "/etc/subgid",
  option: "--add-subgids",
};

/**
 * Returns a function that writes the mappings of an unprivileged user who maps more than their own ids: newuidmap(1) and newgidmap(1),
 * which are set-user-ID root, check that subuid(5) and subgid(5) give the user these ranges. Both are looked for before anything is made.
 * undefined where the caller needs no help: root, and a user who maps only their own ids.
 */
export function idMapperFor(
  { uidMappings = [], gidMappings = [] }: Linux,
  { created }: Namespaces,
  caller: Caller,
): ((pid: number) => void) | undefined {
  if (caller.privileged || !created.has("user")) return undefined;
  if (mapsOnly(uidMappings, caller.uid) && mapsOnly(gidMappings, caller.gid)) return undefined;
  const mapGroups = mapsOnly(gidMappings, caller.gid)
    ? (pid: number) => writeGroups(pid, gidMappings, true)
    : helped(GROUPS, gidMappings, caller.uid, caller.gid);
  const mapUsers = mapsOnly(uidMappings, caller.uid)
    ? (pid: number) => writeUsers(pid, uidMappings)
    : helped(USERS, uidMappings, caller.uid, caller.uid);
  return (pid) => {
    mapGroups(pid);
    mapUsers(pid);
  };
}

function helped(kind: Kind, mappings: readonly IdMapping[], uid: number, own: number): (pid: number) => void {
  const path = findHelper(kind);
  return (pid) => {
    const ranges = mappings.flatMap(({ containerID, hostID, size }) => [containerID, hostID, size]);
    const reason = withPurpose(kind.pointer, `write the mappings by ${kind.helper}`, () =>
      run(path, [kind.helper, pid, ...ranges].map(String)),
    );
    if (reason === undefined) return;
    const others = mappings.filter(({ hostID, size }) => hostID !== own || size !== 1);
    const hint = hintFor(kind, path, others, uid);
    throw new RuntsError(`${kind.pointer}: ${path}: ${reason}${hint === "" ? "" : `; ${hint}`}`, {
      operation: kind.helper,
      errno: "EPERM",
      path,
      pointer: kind.pointer,
    });
  };
}

function findHelper({ helper, pointer, file }: Kind): string {
  const path = findProgram(helper);
  if (path !== undefined) return path;
  throw new RuntsError(
    `${pointer}: a user without privileges maps more than his own id with ${helper}, which is not installed: ` +
      `apt-get install uidmap (Debian, Ubuntu; elsewhere shadow-utils), and give him a range in ${file}`,
    { operation: helper, errno: "ENOENT", path: helper, pointer },
  );
}

/** Enough for a helper, which reads two files and writes one. */
const HELPER_TIMEOUT_S = 30;

/** Runs a helper. Returns the reason if it fails, in the helper's own words if it has said any; undefined if it succeeds. */
function run(path: string, args: readonly string[]): string | undefined {
  const memoryFile = (name: string) => syscall("memfd_create", [cString(name), MFD_CLOEXEC]);
  const [stdin, output] = [memoryFile("stdin"), memoryFile("output")];
  try {
    const reason = runHookProcess(hookProcessIn({ cwd: "/" }), {
      hook: { path, args, env: [], timeout: HELPER_TIMEOUT_S },
      stdio: [stdin, output, output],
    });
    if (reason === undefined) return undefined;
    const buffer = Buffer.alloc(Math.min(fstatSync(output).size, 1000));
    const said = buffer.toString("utf8", 0, readSync(output, buffer, 0, buffer.length, 0)).trim();
    return said === "" ? reason : said;
  } finally {
    closeSync(stdin);
    closeSync(output);
  }
}

/** Says how the administrator can fix it: the helpers' own words don't. */
function hintFor(kind: Kind, path: string, mappings: readonly IdMapping[], uid: number): string {
  const user = findUserName(uid);
  if (user === undefined)
    return `user ${uid} has no entry in the user database (/etc/passwd), which ${kind.helper} needs`;
  const ranges = rangesOf(kind.file, [user, String(uid)]);
  const foreign = mappings.find(
    ({ hostID, size }) =>
      !ranges.some(({ first, count }) => hostID >= first && hostID + size <= first + count),
  );
  if (foreign !== undefined) {
    const { hostID, size } = foreign;
    return (
      `ids ${hostID} to ${hostID + size - 1} are not given to ${user} in ${kind.file}: as root, ` +
      `usermod ${kind.option} ${hostID}-${hostID + size - 1} ${user}`
    );
  }
  if (/^NoNewPrivs:\s*1/m.test(readFileSync("/proc/self/status", "latin1")))
    return "the caller has no_new_privs set, with which no program gains privileges";
  return `${path} has to be set-user-ID root, on a file system without nosuid`;
}

function rangesOf(file: string, names: readonly string[]): { first: number; count: number }[] {
  return linesOf(file)
    .filter(([name = ""]) => names.includes(name))
    .map(([, first, count]) => ({ first: Number(first), count: Number(count) }));
}

function linesOf(file: string): string[][] {
  try {
    return readFileSync(file, "utf8")
      .split("\n")
      .map((line) => line.split(":"));
  } catch {
    return [];
  }
}
