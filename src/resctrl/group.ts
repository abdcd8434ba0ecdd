import { errnoMessage } from "../../bindings/abi/errno.ts";
import { O_APPEND, O_WRONLY } from "../../bindings/abi/fcntl.ts";
import { withPurpose } from "../../bindings/ffi/purpose.ts";
import { mkdirSync, rmdirSync } from "../../bindings/linux/directories.ts";
import { closeSync, existsSync, openSync, readFileSync, writeSync } from "../../bindings/linux/files.ts";
import { errorCode, RuntsError } from "../errors.ts";
import type { IntelRdt } from "../spec/types.ts";
import { matchesSchemata, type SchemaWrite, schemaWrites } from "./schemata.ts";

/**
 * Groups of resctrl, the kernel's interface to Intel RDT and its like (Documentation/filesystems/resctrl.rst). A directory of
 * its root is a class of service, which has limits (`schemata`) and processes (`tasks`); one in `mon_groups` of a class
 * counts what some of these processes use.
 */

/** What is kept of a container's groups. */
export interface SavedGroups {
  /** Directories whose `tasks` each process of the container joins, in this order. */
  readonly joined: readonly string[];
  /** Directories that go with the container, in this order: never a class that the config names. */
  readonly own: readonly string[];
}

/** What makes and removes directories; tests imitate the kernel, which fills and empties them. */
export interface Directories {
  make(path: string): void;
  remove(path: string): void;
}

const KERNEL: Directories = { make: (path) => mkdirSync(path, { mode: 0o755 }), remove: rmdirSync };

const POINTER = "/linux/intelRdt";

/** The groups of a container that is being created: config-linux.md, IntelRdt. */
export class ContainerGroups {
  readonly saved: SavedGroups;
  readonly #root: string;
  readonly #class: string;
  readonly #monitor: string | undefined;
  readonly #makesClass: boolean;
  readonly #writes: readonly SchemaWrite[];
  readonly #directories: Directories;
  readonly #made: string[] = [];

  /** Decides and checks what can be checked before anything is made. */
  constructor(root: string, id: string, rdt: IntelRdt, directories: Directories = KERNEL) {
    const { closID = "", enableMonitoring = false } = rdt;
    this.#root = root;
    this.#directories = directories;
    this.#writes = schemaWrites(rdt);
    this.#class = closID === "/" ? root : `${root}/${closID === "" ? id : closID}`;
    this.#monitor = enableMonitoring ? `${this.#class}/mon_groups/${id}` : undefined;
    this.#makesClass = this.#checkClass(closID !== "");
    const monitors = this.#monitor === undefined ? [] : [this.#monitor];
    if (monitors.some((path) => existsSync(path)))
      throw groupError(
        `${POINTER}/enableMonitoring`,
        "make the monitoring group",
        "EEXIST",
        monitors[0] ?? "",
      );
    this.saved = {
      joined: [this.#class, ...monitors],
      own: closID === "" && this.#makesClass ? [...monitors, this.#class] : monitors,
    };
  }

  /** Makes what is missing, and sets the limits. What was made before a failure is removed by `undo`. */
  make(): void {
    if (this.#makesClass) this.#makeDirectory(this.#class, `${POINTER}/closID`, "make the class of service");
    const file = `${this.#class}/schemata`;
    for (const { value, pointer } of this.#writes) writeLine(this.#root, file, value, pointer);
    if (this.#monitor !== undefined)
      this.#makeDirectory(this.#monitor, `${POINTER}/enableMonitoring`, "make the monitoring group");
  }

  enter(pid: number): void {
    joinGroups(this.saved, pid);
  }

  /** Removes what `make` has made, the class that the config names too: there was none before. */
  undo(): void {
    for (const path of this.#made.splice(0).reverse()) removeDirectory(path, this.#directories);
  }

  /** Returns whether the class has to be made. */
  #checkClass(isNamed: boolean): boolean {
    const pointer = `${POINTER}/closID`;
    if (!existsSync(this.#class)) {
      if (!isNamed || this.#writes.length > 0) return true;
      throw groupError(pointer, "without limits the class of service has to exist", "ENOENT", this.#class);
    }
    // The root has directories that are no classes: info, mon_groups, mon_data.
    const file = `${this.#class}/schemata`;
    if (!existsSync(file)) throw groupError(pointer, "this is no class of service", "EINVAL", this.#class);
    if (isNamed) this.#compare(readFileSync(file, "utf8"));
    return false;
  }

  /** Others may be in the class: its limits have to be the ones that are asked for. The lines of `schemata` are just written. */
  #compare(present: string): void {
    const granularity = Number(readOptional(`${this.#root}/info/MB/bandwidth_gran`)) || 1;
    for (const { value, pointer } of this.#writes) {
      if (pointer.includes("/schemata/") || matchesSchemata(value, present, granularity)) continue;
      throw new RuntsError(
        `${pointer}: ${JSON.stringify(value)} is not what ${this.#class}/schemata has: ${JSON.stringify(present.trim())}`,
        { operation: "create", path: this.#class, pointer },
      );
    }
  }

  #makeDirectory(path: string, pointer: string, purpose: string): void {
    try {
      withPurpose(pointer, purpose, () => this.#directories.make(path));
    } catch (error) {
      throw groupError(pointer, purpose, codeOf(error), path, lastStatus(this.#root));
    }
    this.#made.push(path);
  }
}

/** Puts a process into the groups: into the class first, since a monitoring group takes processes of its class only. */
export function joinGroups({ joined }: SavedGroups, pid: number): void {
  withPurpose(POINTER, "put the process into its groups of resctrl", () => {
    for (const directory of joined) writeTo(`${directory}/tasks`, String(pid), POINTER);
  });
}

/** Removes what goes with the container; processes that are left in a group fall back to its parent. */
export function removeGroups({ own }: SavedGroups, directories: Directories = KERNEL): void {
  for (const path of own) removeDirectory(path, directories);
}

/** Changes limits of the class that a container is in; the property is named by the caller. */
export function updateSchemata({ joined }: SavedGroups, root: string, writes: readonly SchemaWrite[]): void {
  const [directory = ""] = joined;
  for (const { value, pointer } of writes) writeLine(root, `${directory}/schemata`, value, pointer);
}

/** Each value in a write of its own: the kernel takes a cache only once in one write. It wants whole lines. */
function writeLine(root: string, file: string, value: string, pointer: string): void {
  withPurpose(pointer, "set the limits of the class of service", () =>
    writeTo(file, `${value}\n`, pointer, () => lastStatus(root)),
  );
}

function writeTo(file: string, text: string, pointer: string, status: () => string = () => ""): void {
  let fd: number | undefined;
  try {
    // Never makes the file: what has none is no group.
    fd = openSync(file, O_WRONLY | O_APPEND);
    writeSync(fd, text);
  } catch (error) {
    throw groupError(pointer, `write ${JSON.stringify(text.trim())}`, codeOf(error), file, status());
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

function removeDirectory(path: string, directories: Directories): void {
  try {
    withPurpose(POINTER, "remove the group of resctrl", () => directories.remove(path));
  } catch (error) {
    // With a class its monitoring groups go, and with a reboot everything.
    if (codeOf(error) !== "ENOENT") throw groupError(POINTER, "remove the group", codeOf(error), path);
  }
}

/** What the kernel says of the last command that it has refused. */
function lastStatus(root: string): string {
  const status = readOptional(`${root}/info/last_cmd_status`).trim();
  return status === "ok" ? "" : status.replaceAll("\n", ", ");
}

function readOptional(path: string): string {
  return existsSync(path) ? readFileSync(path, "utf8") : "";
}

function codeOf(error: unknown): string {
  const code = errorCode(error);
  if (code === "") throw error;
  return code;
}

function groupError(pointer: string, purpose: string, errno: string, path: string, status = ""): RuntsError {
  const parts = [pointer, purpose, path, errnoMessage(errno), status].filter((part) => part !== "");
  return new RuntsError(parts.join(": "), { operation: "resctrl", errno, path, pointer });
}
