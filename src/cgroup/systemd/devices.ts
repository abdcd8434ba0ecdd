import type { DeviceRule } from "../../spec/types.ts";
import {
  ACCESS_ALL,
  ACCESS_MKNOD,
  ACCESS_READ,
  ACCESS_WRITE,
  DEV_BLOCK,
  DEV_CHAR,
  type DeviceMatch,
} from "../devices/program.ts";
import { deviceMatches } from "../devices/rules.ts";
import type { UnitProperty } from "./properties.ts";

const POINTER = "/linux/resources/devices";

interface Allowed {
  readonly type: typeof DEV_BLOCK | typeof DEV_CHAR;
  readonly major: number | undefined;
  readonly minor: number | undefined;
  access: number;
}

/**
 * The device rules of the unit. systemd attaches a program of its own by them, again and again (daemon-reload), beside the
 * exact one of device-program.ts, and both have to allow a device: so these must allow all that the config allows. Where
 * systemd can't say it, they allow more: it knows no rule that denies, and none by minor number alone.
 */
export function deviceProperties(rules: readonly DeviceRule[]): UnitProperty[] {
  const allowed = supersetOf(deviceMatches(rules));
  const all = [DEV_CHAR, DEV_BLOCK].every((type) =>
    allowed.some((entry) => entry.type === type && entry.major === undefined && entry.access === ACCESS_ALL),
  );
  // An empty list takes back what an earlier one allowed.
  const empty = { name: "DeviceAllow", signature: "a(ss)", value: [], pointer: POINTER };
  const policy = { name: "DevicePolicy", signature: "s", value: all ? "auto" : "strict", pointer: POINTER };
  if (all) return [empty, policy];
  const value = allowed.map((entry) => [nameOf(entry), lettersOf(entry.access)]);
  return [empty, policy, { name: "DeviceAllow", signature: "a(ss)", value, pointer: POINTER }];
}

/** What the rules allow one after the other; a denial counts where it covers all that an earlier rule has allowed. */
function supersetOf(matches: readonly DeviceMatch[]): Allowed[] {
  let allowed: Allowed[] = [];
  for (const match of matches) {
    const types = match.type === undefined ? ([DEV_CHAR, DEV_BLOCK] as const) : [match.type];
    for (const type of types) {
      if (match.allow) allow(allowed, { ...widened(match), type });
      else for (const entry of allowed) if (covers(match, type, entry)) entry.access &= ~match.access;
    }
    allowed = allowed.filter(({ access }) => access !== 0);
  }
  return allowed;
}

function allow(allowed: Allowed[], entry: Allowed): void {
  const same = allowed.find(
    ({ type, major, minor }) => type === entry.type && major === entry.major && minor === entry.minor,
  );
  if (same === undefined) allowed.push(entry);
  else same.access |= entry.access;
}

function widened({ major, minor, access }: DeviceMatch): Omit<Allowed, "type"> {
  return { major, minor: major === undefined ? undefined : minor, access };
}

function covers(denied: DeviceMatch, type: number, entry: Allowed): boolean {
  return (
    type === entry.type &&
    (denied.major === undefined || denied.major === entry.major) &&
    (denied.minor === undefined || denied.minor === entry.minor)
  );
}

/** systemd.resource-control(5), DeviceAllow=; numbers in the place of names since version 240, whether the device exists or not. */
function nameOf({ type, major, minor }: Allowed): string {
  const kind = type === DEV_CHAR ? "char" : "block";
  if (major === undefined) return `${kind}-*`;
  return minor === undefined ? `${kind}-${major}` : `/dev/${kind}/${major}:${minor}`;
}

function lettersOf(access: number): string {
  return [
    access & ACCESS_READ ? "r" : "",
    access & ACCESS_WRITE ? "w" : "",
    access & ACCESS_MKNOD ? "m" : "",
  ].join("");
}
