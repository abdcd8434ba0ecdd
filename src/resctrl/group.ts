import { errnoMessage } from "../../bindings/abi/errno.ts";
import { O_APPEND, O_WRONLY } from "../../bindings/abi/fcntl.ts";
import { withPurpose } from "../../bindings/ffi/purpose.ts";
import { mkdirSync, rmdirSync } from "../../bindings/linux/directories.ts";
import { closeSync, existsSync, openSync, readFileSync, writeSync } from "../../bindings/linux/files.ts";
import { errorCode, RuntsError } from "../errors.ts";
import type { IntelRdt } from "../spec/types.ts";
import { matchesSchemata, type SchemaWrite, schemaWrites } from "./schemata.ts";

/**
 * Groups of resctrl, the kernel's interface to Intel RDT and similar features (Documentation/filesystems/resctrl.rst). A directory in its
 * root is a class of service, with limits (`schemata`) and processes (`tasks`). A directory in a class's `mon_groups` measures the
 * usage of some of these processes.
 */

/** A container's groups, as part of its saved state. */
export interface SavedGroups {
  /** Directories whose `tasks` each process of the container joins, in this order. */
  readonly joined: readonly string[];
  /** Directories to remove with the container, in this order: never a class that the config names. */
  readonly own: readonly string[];
}

/** Makes and removes directories. Tests imitate the kernel, which fills and empties them. */
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

  /** Checks all that can be checked before anything is created. */
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

  /** Creates missing groups and sets the limits. If it throws, `undo` removes what it has created. */
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

  /** Removes what `make` has created, including a class that the config names. */
  undo(): void {
    for (const path of this.#made.splice(0).reverse()) removeDirectory(path, this.#directories);
  }

  /** Returns whether the class has to be created. Throws if it can't be used. */
  #checkClass(isNamed: boolean): boolean {
    const pointer = `${POINTER}/closID`;
    if (!existsSync(this.#class)) {
      if (!isNamed || this.#writes.length > 0) return true;
      throw groupError(pointer, "without limits the class of service has to exist", "ENOENT", this.#class);
    }
    // The root also contains directories that are not classes: info, mon_groups, mon_data.
    const file = `${this.#class}/schemata`;
    if (!existsSync(file)) throw groupError(pointer, "this is not a class of service", "EINVAL", this.#class);
    if (isNamed) this.#checkLimits(readFileSync(file, "utf8"));
    return false;
  }

  /**
   * An existing class may have other processes, so its limits must already be those of the config. The lines of `schemata` are not
   * compared, only written.
   */
  #checkLimits(present: string): void {
    const granularity = Number(readOptional(`${this.#root}/info/MB/bandwidth_gran`)) || 1;
    for (const { value, pointer } of this.#writes) {
      if (pointer.includes("/schemata/") || matchesSchemata(value, present, granularity)) continue;
      throw new RuntsError(
        `${pointer}: ${JSON.stringify(value)} differs from ${this.#class}/schemata: ${JSON.stringify(present.trim())}`,
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

/** Moves a process into the groups: into the class first, since a monitoring group accepts only processes of its class. */
export function joinGroups({ joined }: SavedGroups, pid: number): void {
  withPurpose(POINTER, "move the process into its resctrl groups", () => {
    for (const directory of joined) writeTo(`${directory}/tasks`, String(pid), POINTER);
  });
}

/** Removes a container's own groups. The kernel moves processes that are left in a group to its parent. */
export function removeGroups({ own }: SavedGroups, directories: Directories = KERNEL): void {
  for (const path of own) removeDirectory(path, directories);
}

/** Changes limits of a container's class. Each write carries the pointer or option to blame. */
export function updateSchemata({ joined }: SavedGroups, root: string, writes: readonly SchemaWrite[]): void {
  const [directory = ""] = joined;
  for (const { value, pointer } of writes) writeLine(root, `${directory}/schemata`, value, pointer);
}

/** Writes a single value: the kernel accepts a resource only once per write, and only whole lines. */
function writeLine(root: string, file: string, value: string, pointer: string): void {
  withPurpose(pointer, "set the limits of the class of service", () =>
    writeTo(file, `${value}\n`, pointer, () => lastStatus(root)),
  );
}

function writeTo(file: string, text: string, pointer: string, status: () => string = () => ""): void {
  let fd: number | undefined;
  try {
    // Opened without O_CREAT: a directory without the file is not a group.
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
    withPurpose(POINTER, "remove the resctrl group", () => directories.remove(path));
  } catch (error) {
    // Removing a class removes its monitoring groups, and a reboot removes everything.
    if (codeOf(error) !== "ENOENT") throw groupError(POINTER, "remove the group", codeOf(error), path);
  }
}

/** The kernel's reason for refusing the last command; empty if it gives none. */
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
