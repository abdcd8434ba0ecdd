import { withPurpose } from "../../../bindings/ffi/purpose.ts";
import { mkdirSync, rmdirSync, rmSync } from "../../../bindings/linux/directories.ts";
import { renameSync, unlinkSync, writeFileSync } from "../../../bindings/linux/files.ts";
import { type Program, pathOf } from "../../../bindings/stub/program.ts";
import type { SavedScope } from "../../cgroup/systemd/scope.ts";
import { errorCode, RuntsError } from "../../errors.ts";
import type { SavedGroups } from "../../resctrl/group.ts";
import type { AllowedAnnotations } from "../../spec/annotations.ts";
import { isObject } from "../../spec/json/reader.ts";
import { toJson } from "../../spec/json/writer.ts";
import { readRegularFile } from "../../spec/regular-file.ts";
import type { Config } from "../../spec/types.ts";
import { version } from "../../version.ts";
import type { ExitStatus } from "../process/exit-status.ts";

/**
 * The newest format of a container's directory: of the record, and of all else by which a command of another version of runts manages the
 * container, such as what `start` and the waiting init say to each other. It is raised only by a change with which older versions would
 * manage a container wrongly; a field that they may ignore does not raise it. Each version reads all earlier formats. Records of 0.1.0
 * have no number: they are of format 1.
 *
 * Format 2 has `devices`. An older version would apply the device rules of an `update` without those of these devices, and take the devices
 * from the container. So a record is of format 2 only while it has some.
 */
const NEWEST_FORMAT = 2;

/**
 * The record of a container. Its directory, `ROOT/ID`, has mode 0711 and holds:
 * - `state.json`: this record. It is first written before anything else is made, so that `delete --force` knows what to remove
 *   whenever the runtime was killed. It names neither the pid file nor network devices that were moved;
 * - `config.json`: the config as it was at create: later changes of the bundle have no effect (runtime.md, Lifecycle);
 * - `start.sock`: the socket that init listens on until `start` connects;
 * - `notify/`: if `create` was called by a service, the folder of the container's notify socket, which is mounted into the container.
 */
export interface SavedState {
  readonly id: string;
  /** Init, in the pid namespace of the runtime; 0 while there is none yet. */
  readonly pid: number;
  /** Its start in clock ticks since boot, field 22 of proc_pid_stat(5): guards against a reused pid. */
  readonly startTime: string;
  /** The runtime that creates the container, while it does. */
  readonly creator: SavedProcess | null;
  /** criu, which restores the container's processes; absent if `create` made it. */
  readonly criu?: SavedProcess;
  readonly bundle: string;
  readonly rootfs: string;
  /** RFC 3339. */
  readonly created: string;
  readonly ownerUid: number;
  readonly annotations: Readonly<Record<string, string>>;
  /** Those that name something of the host, and that the caller has allowed; absent for none. */
  readonly allowedAnnotations?: AllowedAnnotations;
  /** Mounts of the container that are not in a mount namespace of its own. */
  readonly hostMount?: SavedHostMount;
  /** Directory of the cgroup; empty if the container has none. */
  readonly cgroup: string;
  /** The unit whose cgroup that is, if systemd has made it. */
  readonly scope?: SavedScope;
  /** Groups of resctrl that the container is in; absent for one without intelRdt. */
  readonly resctrl?: SavedGroups;
  /** The devices that `devices add` has added; absent for none. */
  readonly devices?: readonly SavedDevice[];
  /** `pipe:[INODE]` of each standard stream that is a pipe, which a restore can replace; absent if none is. */
  readonly pipes?: readonly string[];
  /** Whether the container's processes end with init: it has a pid namespace of its own. */
  readonly ownPidNamespace: boolean;
  /** New or joined. */
  readonly ownNetworkNamespace?: boolean;
  /** Name of the container's session keyring, by which `exec` finds it again; absent if it has none of its own. */
  readonly keyring?: string;
  readonly ownUserNamespace: boolean;
  /** Whether there is something to start. */
  readonly hasProcess: boolean;
  readonly hasStartContainer: boolean;
  readonly hasPoststart: boolean;
  readonly hasPoststop: boolean;
  /** Whether the seccomp filter has a listener, which `start` hands over. */
  readonly hasListener: boolean;
  /** The process that holds the recording of system calls, for which `delete` writes a profile; absent if nothing is recorded. */
  readonly recorder?: SavedRecorder;
  /** The operations of init's last program, up to its execve: `start` names the one that fails. The key is as older versions wrote it. */
  readonly lastOperations: readonly ExecOperation[];
  /** How init has ended; absent until somebody who knows it notes it. Older versions ignore it. */
  readonly exitStatus?: ExitStatus;
}

/** A device that was added to the container while it ran. */
export interface SavedDevice {
  /** Clean absolute path in the container. */
  readonly path: string;
  /** Path of the node on the host that was named. */
  readonly source: string;
  readonly type: "b" | "c";
  readonly major: number;
  readonly minor: number;
  /** Letters of "rwm"; empty while it is removed. */
  readonly access: string;
  /** What was made at the path: a node; a mount of the host's node on an empty file; nothing, since the container had the node. */
  readonly made: "node" | "mount" | "nothing";
  /** Directories that were made for it, each after those above it. */
  readonly directories: readonly string[];
}

/** A process of the host, in the pid namespace of the runtime, with its start as above. */
export interface SavedProcess {
  readonly pid: number;
  readonly startTime: string;
}

/** Holds a recording by BPF until the container is deleted: seccomp/record/holder.ts. */
export interface SavedRecorder extends SavedProcess {
  /** Its descriptors of the maps. */
  readonly calls: number;
  readonly values: number;
  /** Absolute path of the profile. */
  readonly file: string;
  readonly merge: boolean;
  readonly noNewPrivileges: boolean;
}

/**
 * The root of a container without a mount namespace of its own. It is a mount that others see, and that stays when the container's
 * processes have ended. It is identified by the mount that it lies on, which exists before.
 */
export interface SavedHostMount {
  readonly rootfs: string;
  /** Id of the mount that the rootfs was on when the container was created. */
  readonly below: number;
}

export interface ExecOperation {
  readonly index: number;
  readonly call: string;
  readonly pointer: string;
  readonly purpose: string;
  readonly path: string;
}

export function containerDirectory(root: string, id: string): string {
  return `${root}/${id}`;
}

/** Path of the container's own copy of its config. */
export function savedConfigPath(root: string, id: string): string {
  return `${containerDirectory(root, id)}/config.json`;
}

/** Makes the container's directory. Whoever makes it has the id. */
export function makeContainerDirectory(root: string, id: string): string {
  const directory = containerDirectory(root, id);
  try {
    withPurpose("", "make the container's directory", () => mkdirSync(directory, { mode: 0o711 }));
  } catch (error) {
    if (errorCode(error) !== "EEXIST") throw error;
    throw new RuntsError("container with given ID already exists", {
      operation: "create",
      errno: "EEXIST",
      path: id,
    });
  }
  return directory;
}

/** Removes the container's directory: the files that it always has first, since a search for others takes longer. */
export function removeContainerDirectory(directory: string): void {
  withPurpose("", "remove the container's directory", () => {
    try {
      unlinkSync(`${directory}/config.json`);
      unlinkSync(`${directory}/state.json`);
      rmdirSync(directory);
    } catch {
      rmSync(directory, { recursive: true, force: true });
    }
  });
}

export function startSocketPath(directory: string): string {
  return `${directory}/start.sock`;
}

export function writeState(directory: string, state: SavedState): void {
  const temporary = `${directory}/state.json.new`;
  withPurpose("", "write the state record, by which delete can undo everything", () => {
    const formatVersion = (state.devices?.length ?? 0) > 0 ? NEWEST_FORMAT : 1;
    const record = { ...state, formatVersion, writtenBy: version };
    writeFileSync(temporary, JSON.stringify(record), { mode: 0o600 });
    renameSync(temporary, `${directory}/state.json`);
  });
}

/**
 * Reads the record. Returns undefined if the directory has none: `create` was interrupted, or it is not a container's directory. Throws
 * NewerFormatError if the container needs a newer version of runts.
 */
export function tryReadState(directory: string): SavedState | undefined {
  const path = `${directory}/state.json`;
  let text: string;
  try {
    text = readRegularFile(path).toString("utf8");
  } catch (error) {
    if (error instanceof RuntsError && (error.errno === "ENOENT" || error.errno === "ENOTDIR"))
      return undefined;
    throw error;
  }
  const value = parseState(text);
  checkFormat(path, value);
  if (isSavedState(value) && directory.endsWith(`/${value.id}`)) return value;
  throw new RuntsError(`${path} is damaged: the container can only be deleted, with --force`, {
    operation: "read",
    path,
  });
}

/** The record was written by a version of runts whose containers this one can't manage, not even delete. */
export class NewerFormatError extends RuntsError {}

function checkFormat(path: string, value: unknown): void {
  if (!isObject(value) || !isNaturalNumber(value.formatVersion) || value.formatVersion <= NEWEST_FORMAT)
    return;
  const { formatVersion, writtenBy } = value;
  const writer = typeof writtenBy === "string" ? `runts ${writtenBy}` : "a newer version of runts";
  throw new NewerFormatError(
    `${path} has format ${formatVersion}, written by ${writer}; this is runts ${version}, which knows formats up to ${NEWEST_FORMAT}: ` +
      "install the newer version, or delete the container with it",
    { operation: "read", path },
  );
}

function parseState(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const STRINGS = ["id", "startTime", "bundle", "rootfs", "created", "cgroup"];
const NUMBERS = ["pid", "ownerUid"];
const BOOLEANS = [
  ..."ownPidNamespace ownNetworkNamespace ownUserNamespace hasProcess hasStartContainer hasPoststart".split(
    " ",
  ),
  ..."hasPoststop hasListener".split(" "),
];
const OBJECTS = ["hostMount", "scope", "resctrl", "allowedAnnotations"];

/** Checks the types of the fields by which processes are killed and things removed. A field that an older version did not write is absent. */
function isSavedState(value: unknown): value is SavedState {
  if (!isObject(value)) return false;
  const { creator, criu, recorder, annotations, lastOperations, devices } = value;
  return (
    hasAll(value, STRINGS, (field) => typeof field === "string") &&
    hasAll(value, NUMBERS, isNaturalNumber) &&
    hasAll(value, BOOLEANS, (field) => field === undefined || typeof field === "boolean") &&
    (value.formatVersion === undefined || isNaturalNumber(value.formatVersion)) &&
    (value.keyring === undefined || typeof value.keyring === "string") &&
    hasAll(value, OBJECTS, (field) => field === undefined || isObject(field)) &&
    (creator === null || isSavedProcess(creator)) &&
    (criu === undefined || isSavedProcess(criu)) &&
    (value.exitStatus === undefined || isExitStatus(value.exitStatus)) &&
    (recorder === undefined || isSavedRecorder(recorder)) &&
    (devices === undefined || (Array.isArray(devices) && devices.every(isSavedDevice))) &&
    isObject(annotations) &&
    Array.isArray(lastOperations) &&
    areObjects(lastOperations)
  );
}

function isSavedProcess(value: unknown): value is SavedProcess {
  return isObject(value) && isNaturalNumber(value.pid) && typeof value.startTime === "string";
}

function isExitStatus(value: unknown): value is ExitStatus {
  if (!isObject(value)) return false;
  return isNaturalNumber(value.exitCode) && (value.signal === undefined || typeof value.signal === "string");
}

function isSavedRecorder(value: unknown): value is SavedRecorder {
  return (
    isSavedProcess(value) &&
    isObject(value) &&
    hasAll(value, ["calls", "values"], isNaturalNumber) &&
    hasAll(value, ["merge", "noNewPrivileges"], (field) => typeof field === "boolean") &&
    typeof value.file === "string"
  );
}

function isSavedDevice(value: unknown): value is SavedDevice {
  if (!isObject(value)) return false;
  const { path, source, type, access, made, directories } = value;
  return (
    [path, source, access].every((field) => typeof field === "string") &&
    (type === "b" || type === "c") &&
    (made === "node" || made === "mount" || made === "nothing") &&
    isNaturalNumber(value.major) &&
    isNaturalNumber(value.minor) &&
    Array.isArray(directories) &&
    directories.every((directory) => typeof directory === "string")
  );
}

/** A loop: `every` is one of the engine's functions that are compiled at their first use, which takes longer than the rest. */
function hasAll(
  value: Record<string, unknown>,
  names: readonly string[],
  isRight: (field: unknown) => boolean,
): boolean {
  for (const name of names) if (!isRight(value[name])) return false;
  return true;
}

function areObjects(values: readonly unknown[]): boolean {
  for (const value of values) if (!isObject(value)) return false;
  return true;
}

function isNaturalNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

/** Returns the directory and the record of a container. Throws if there is none. */
export function readSavedState(
  root: string,
  id: string,
): { readonly directory: string; readonly saved: SavedState } {
  checkId(id);
  const directory = containerDirectory(root, id);
  const saved = tryReadState(directory);
  if (saved === undefined) throw doesNotExist(id);
  return { directory, saved };
}

/** containerd's shim looks for these words in the answer to an unknown id. */
export function doesNotExist(id: string): RuntsError {
  return new RuntsError("container does not exist", { operation: "load", errno: "ENOENT", path: id });
}

/** runc's rule since 1.2 (1.1 takes a comma as well): a valid file name, and nothing that means another directory. */
const VALID_ID = /^[A-Za-z0-9_+.-]+$/;
/** NAME_MAX: the id names the container's directory. */
const LONGEST_ID = 255;

export function checkId(id: string): void {
  if (VALID_ID.test(id) && id !== "." && id !== ".." && id.length <= LONGEST_ID) return;
  const reason =
    id === "" ? "container id cannot be empty" : `invalid container ID format: ${JSON.stringify(id)}`;
  throw new RuntsError(reason, { operation: "create", errno: "EINVAL", path: id });
}

/** Keeps the config that was read and validated: the bundle's file may change. */
export function saveConfig(directory: string, bytes: Uint8Array): void {
  withPurpose("", "keep the config as it is now", () =>
    writeFileSync(`${directory}/config.json`, bytes, { mode: 0o600 }),
  );
}

/** Replaces the config of a container for later commands: a reader sees the old one or the new one. */
export function replaceConfig(directory: string, config: Config): void {
  const temporary = `${directory}/config.json.new`;
  withPurpose("", "keep the changed config", () => {
    writeFileSync(temporary, toJson(config), { mode: 0o600 });
    renameSync(temporary, `${directory}/config.json`);
  });
}

/** Describes the operations of init's last program, so that `start` can name one that fails. */
export function describeOperations({ operations, descriptors }: Program): ExecOperation[] {
  const described: ExecOperation[] = [];
  operations.forEach((operation, position) => {
    const { call, pointer, purpose } = operation;
    const index = position + descriptors.length;
    if (call !== "store") described.push({ index, call, pointer, purpose, path: pathOf(operation) });
  });
  return described;
}
