import type { DeviceRule } from "../../spec/types.ts";
import { ACCESS_ALL, DEV_BLOCK, DEV_CHAR, type DeviceMatch } from "../devices/program.ts";
import { deviceMatches, lettersOf } from "../devices/rules.ts";
import type { UnitProperty } from "./properties.ts";

const POINTER = "/linux/resources/devices";

interface Allowed {
  readonly type: typeof DEV_BLOCK | typeof DEV_CHAR;
  readonly major: number | undefined;
  readonly minor: number | undefined;
  access: number;
}

/**
 * The device rules of the unit, from which systemd makes its own program that it attaches again at each daemon-reload. A device has
 * to be allowed by that program and by the exact one of ../devices/program.ts, so the unit must allow everything that the config
 * allows. It allows more where systemd has no matching rule: it has none that denies, and none with a minor number alone.
 */
export function deviceProperties(rules: readonly DeviceRule[]): UnitProperty[] {
  const allowed = supersetOf(deviceMatches(rules));
  const all = [DEV_CHAR, DEV_BLOCK].every((type) =>
    allowed.some((entry) => entry.type === type && entry.major === undefined && entry.access === ACCESS_ALL),
  );
  // An empty list resets the earlier ones.
  const empty = { name: "DeviceAllow", signature: "a(ss)", value: [], pointer: POINTER };
  const policy = { name: "DevicePolicy", signature: "s", value: all ? "auto" : "strict", pointer: POINTER };
  if (all) return [empty, policy];
  const value = allowed.map((entry) => [nameOf(entry), lettersOf(entry.access)]);
  return [empty, policy, { name: "DeviceAllow", signature: "a(ss)", value, pointer: POINTER }];
}

/** All that the rules allow, or more. A denial counts only where it covers everything that an earlier rule allowed. */
function supersetOf(matches: readonly DeviceMatch[]): Allowed[] {
  let allowed: Allowed[] = [];
  for (const match of matches) {
    const types = match.type === undefined ? ([DEV_CHAR, DEV_BLOCK] as const) : [match.type];
    for (const type of types) {
      if (match.allow) allow(allowed, type, match);
      else for (const entry of allowed) if (covers(match, type, entry)) entry.access &= ~match.access;
    }
    allowed = allowed.filter(({ access }) => access !== 0);
  }
  return allowed;
}

/** Allows all minor numbers for a minor number without a major one. */
function allow(allowed: Allowed[], type: Allowed["type"], match: DeviceMatch): void {
  const { major, access } = match;
  const minor = major === undefined ? undefined : match.minor;
  const same = allowed.find((entry) => entry.type === type && entry.major === major && entry.minor === minor);
  if (same === undefined) allowed.push({ type, major, minor, access });
  else same.access |= access;
}

function covers(denied: DeviceMatch, type: number, entry: Allowed): boolean {
  return (
    type === entry.type &&
    (denied.major === undefined || denied.major === entry.major) &&
    (denied.minor === undefined || denied.minor === entry.minor)
  );
}

/** systemd.resource-control(5), DeviceAllow=. Numbers are allowed instead of names since version 240, even if the device does not exist. */
function nameOf({ type, major, minor }: Allowed): string {
  const kind = type === DEV_CHAR ? "char" : "block";
  if (major === undefined) return `${kind}-*`;
  return minor === undefined ? `${kind}-${major}` : `/dev/${kind}/${major}:${minor}`;
}
