import { isObject } from "../../spec/json/reader.ts";
import type { ExitStatus } from "../process/exit-status.ts";
import type { SavedDevice, SavedProcess, SavedRecorder, SavedState } from "./saved-state.ts";

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
export function isSavedState(value: unknown): value is SavedState {
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

export function isNaturalNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
