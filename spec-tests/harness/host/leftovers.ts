import { execFileSync } from "node:child_process";
import { type Dirent, existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";

/**
 * Made by podman, and by a runtime that it calls without --root, while the tests of engines run; what criu remembers of the kernel; and
 * what mount(8) makes where it is run for the first time.
 */
const OF_OTHERS =
  /^\/run\/(containers|criu\.kdat|crun|libpod|lock|mount|netns|runc|runts)$|^\/dev\/shm\/libpod/;

/** Prefix of the tags of all tests. */
export const TAG_PREFIX = "rspec-";

/** The traces of one test on the host. Each carries the test's tag, in an id, a path or the environment. */
export interface HostSnapshot {
  readonly processes: readonly string[];
  readonly mounts: readonly string[];
  readonly cgroups: readonly string[];
  /** Entries of /dev/shm and /run that belong to no test at all. */
  readonly shared: readonly string[];
}

export function hostSnapshot(tag: string): HostSnapshot {
  return {
    processes: taggedProcesses(tag),
    mounts: read("/proc/self/mountinfo")
      .split("\n")
      .filter((line) => line.includes(tag)),
    cgroups: cgroupDirectories("/sys/fs/cgroup").filter((path) => path.includes(tag)),
    shared: [...sharedEntries("/dev/shm"), ...sharedEntries("/run")],
  };
}

/** Lists the traces in `after` that were not there before, one line each. */
export function newTraces(before: HostSnapshot, after: HostSnapshot): string[] {
  const added = (kind: keyof HostSnapshot): string[] =>
    after[kind].filter((entry) => !before[kind].includes(entry)).map((entry) => `${kind}: ${entry}`);
  return [...added("processes"), ...added("mounts"), ...added("cgroups"), ...added("shared")];
}

/** Ends and removes what a runtime has left, so that it does not disturb the next test. */
export function removeTraces(tag: string): void {
  const quietly = (file: string, args: string[]): void => {
    try {
      execFileSync(file, args, { stdio: "ignore" });
    } catch {
      // It is gone already, or the end of the process is still to come: the tests after this one don't need it.
    }
  };
  for (const line of hostSnapshot(tag).processes) quietly("kill", ["-9", line.split(" ")[0] ?? ""]);
  for (const line of hostSnapshot(tag).mounts) quietly("umount", ["-l", line.split(" ")[4] ?? ""]);
  for (const path of [...hostSnapshot(tag).cgroups].reverse()) quietly("rmdir", [path]);
}

/**
 * Live processes that belong to the test: by command line, environment, cgroup, an open file, or a mount namespace with a mount
 * from the test's folder. That finds init, its children and whatever the runtime forgot.
 */
function taggedProcesses(tag: string): string[] {
  const found: string[] = [];
  for (const name of readdirSync("/proc")) {
    if (!/^[0-9]+$/.test(name) || Number(name) === process.pid) continue;
    const folder = join("/proc", name);
    const stat = read(join(folder, "stat"));
    if (stat === "" || / [ZX] /.test(stat.slice(stat.lastIndexOf(")")).slice(0, 4))) continue;
    const marks = ["cmdline", "environ", "cgroup", "mountinfo"].filter((file) =>
      ownLines(file, read(join(folder, file))).includes(tag),
    );
    if (openFiles(folder).some((path) => path.includes(tag))) marks.push("fd");
    if (marks.length > 0 && !(marks.join() === "mountinfo" && isOfAnotherTest(folder)))
      found.push(
        `${name} ${stat.slice(stat.indexOf("("), stat.lastIndexOf(")") + 1)} by ${marks.join(", ")}`,
      );
  }
  return found;
}

/** Mounts that a test shares reach the mount namespace of a container that another test makes meanwhile. */
function isOfAnotherTest(folder: string): boolean {
  return ["cmdline", "environ", "cgroup"].some((file) => read(join(folder, file)).includes(TAG_PREFIX));
}

/** The mounts that the test process sees itself say nothing about another process of the same namespace. */
function ownLines(file: string, text: string): string {
  if (file !== "mountinfo") return text;
  return text === read("/proc/self/mountinfo") ? "" : text;
}

function openFiles(folder: string): string[] {
  return list(join(folder, "fd")).map((fd) => {
    try {
      return readlinkSync(join(folder, "fd", fd.name));
    } catch {
      return "";
    }
  });
}

function cgroupDirectories(folder: string): string[] {
  return list(folder)
    .filter((entry) => entry.isDirectory())
    .flatMap((entry) => [join(folder, entry.name), ...cgroupDirectories(join(folder, entry.name))]);
}

function sharedEntries(folder: string): string[] {
  return list(folder)
    .map((entry) => join(folder, entry.name))
    .filter((path) => !path.includes(TAG_PREFIX) && !OF_OTHERS.test(path));
}

function list(folder: string): Dirent[] {
  try {
    return existsSync(folder) ? readdirSync(folder, { withFileTypes: true }) : [];
  } catch {
    return [];
  }
}

/** Processes end while we look: a file that is gone reads as empty. */
function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
