import { RuntsError } from "../../errors.ts";
import type { Config } from "../../spec/types.ts";

/** The scope of a container, and the slice that it belongs to. */
export interface ScopeName {
  /** Such as `system.slice`. */
  readonly slice: string;
  /** Such as `runts-web1.scope`. */
  readonly unit: string;
}

const POINTER = "/linux/cgroupsPath";
/** systemd.unit(5): UNIT_NAME_MAX, without the NUL. */
const LONGEST_NAME = 255;

/**
 * Parses the form of cgroupsPath that engines use for systemd: `slice:prefix:name` is the unit `prefix-name.scope`. An empty slice is
 * system.slice, or user.slice of a user's manager; an empty prefix is left out. Without cgroupsPath it is `:runts:<id>`.
 */
export function scopeNameFor(config: Config, id: string, user: boolean): ScopeName {
  const path = config.linux?.cgroupsPath ?? "";
  const parts = path === "" ? ["", "runts", id.replaceAll("+", "\\x2b")] : path.split(":");
  if (parts.length !== 3) {
    throw invalidPath(path, "is not of the form slice:prefix:name, as --systemd-cgroup needs it");
  }
  const [given = "", prefix = "", name = ""] = parts;
  if (name === "") throw invalidPath(path, "has no name: its form is slice:prefix:name");
  if (name.endsWith(".slice")) {
    throw invalidPath(path, "names a slice, but processes belong into scopes");
  }
  const slice = given === "" ? `${user ? "user" : "system"}.slice` : given === "-" ? "-.slice" : given;
  sliceDirectory(slice, path);
  return { slice, unit: checkedUnit(`${prefix === "" ? "" : `${prefix}-`}${name}.scope`, path) };
}

/** The cgroup of a slice relative to its manager's: `a-b.slice` is /a.slice/a-b.slice. systemd.slice(5) */
export function sliceDirectory(slice: string, path: string = slice): string {
  if (slice === "-.slice") return "";
  const name = /^([^/]+)\.slice$/.exec(checkedUnit(slice, path))?.[1] ?? "";
  const parts = name.split("-");
  if (parts.includes(""))
    throw invalidPath(path, `has ${JSON.stringify(slice)}, which is not the name of a slice`);
  return parts.map((_part, index) => `/${parts.slice(0, index + 1).join("-")}.slice`).join("");
}

/** systemd.unit(5): the characters and the length of a unit's name. */
function checkedUnit(unit: string, path: string): string {
  if (/^[A-Za-z0-9:_.\\@-]+$/.test(unit) && unit.length <= LONGEST_NAME) return unit;
  throw invalidPath(path, `gives ${JSON.stringify(unit)}, which is not the name of a systemd unit`);
}

function invalidPath(path: string, message: string): RuntsError {
  return new RuntsError(`${POINTER}: ${JSON.stringify(path)} ${message}`, { pointer: POINTER, path });
}
