import type { DeviceRule } from "../../spec/types.ts";
import { invalidResource } from "../limits/cgroup-write.ts";
import { attachDeviceProgram, type DeviceOptions, hasDeviceProgram } from "./attach.ts";
import {
  ACCESS_ALL,
  ACCESS_MKNOD,
  ACCESS_READ,
  ACCESS_WRITE,
  allowedOn,
  compileDeviceRules,
  DEV_BLOCK,
  DEV_CHAR,
  type DeviceMatch,
} from "./program.ts";

const POINTER = "/linux/resources/devices";

/**
 * Compiles the rules of `linux.resources.devices` and attaches them to the container's cgroup. To be called for every container, even
 * without rules or `linux.resources`, as everything that is not allowed is denied.
 */
export function applyDeviceRules(
  directory: string,
  rules: readonly DeviceRule[] | undefined,
  options: DeviceOptions,
): void {
  attachDeviceProgram(directory, compileDeviceRules(deviceMatches(rules ?? [])), options);
}

/** Whether the cgroup has the program that `applyDeviceRules` attaches for these rules. */
export function hasDeviceRules(directory: string, rules: readonly DeviceRule[]): boolean {
  return hasDeviceProgram(directory, compileDeviceRules(deviceMatches(rules)));
}

export interface DeviceNumber {
  readonly type: "b" | "c";
  readonly major: number;
  readonly minor: number;
}

/** The access that the rules allow to a device: some of the letters of "rwm", or none. */
export function accessTo({ type, major, minor }: DeviceNumber, rules: readonly DeviceRule[]): string {
  const kind = type === "b" ? DEV_BLOCK : DEV_CHAR;
  const matches = deviceMatches(rules).filter((match) => match.type === undefined || match.type === kind);
  return lettersOf(allowedOn(matches, major, minor));
}

/** The config's rules, then those of every container, which therefore can't be denied. */
export function deviceMatches(rules: readonly DeviceRule[]): DeviceMatch[] {
  const matches: DeviceMatch[] = [];
  for (let index = 0; index < rules.length; index++) {
    const rule = rules[index];
    if (rule !== undefined) matches.push(toMatch(rule, index));
  }
  matches.push(...defaultRules());
  return matches;
}

/**
 * Allows mknod of any device (but not its use), the devices that every container has (config-linux.md, Default Devices), with
 * pseudo-terminals, and /dev/net/tun, which engines have always relied on.
 */
function defaultRules(): DeviceMatch[] {
  return [
    allowed(DEV_CHAR, undefined, undefined, ACCESS_MKNOD),
    allowed(DEV_BLOCK, undefined, undefined, ACCESS_MKNOD),
    allowed(DEV_CHAR, 10, 200), // /dev/net/tun
    allowed(DEV_CHAR, 5, 2), // /dev/ptmx
    allowed(DEV_CHAR, 5, 0), // /dev/tty
    allowed(DEV_CHAR, 136, undefined), // /dev/pts/*
    allowed(DEV_CHAR, 1, 7), // /dev/full
    allowed(DEV_CHAR, 1, 8), // /dev/random
    allowed(DEV_CHAR, 1, 5), // /dev/zero
    allowed(DEV_CHAR, 1, 9), // /dev/urandom
    allowed(DEV_CHAR, 1, 3), // /dev/null: last, as the program tests the last device first
  ];
}

function allowed(
  type: DeviceMatch["type"],
  major: number | undefined,
  minor: number | undefined,
  access: number = ACCESS_ALL,
): DeviceMatch {
  return { allow: true, type, major, minor, access };
}

/** Type "a" does not override the other fields: `{"type": "a", "major": 10}` is not a rule for all devices. */
function toMatch(rule: DeviceRule, index: number): DeviceMatch {
  return {
    allow: rule.allow,
    type: rule.type === "b" ? DEV_BLOCK : rule.type === "c" ? DEV_CHAR : undefined,
    major: deviceNumber(rule.major, index, "major"),
    minor: deviceNumber(rule.minor, index, "minor"),
    access: rule.access === undefined ? ACCESS_ALL : accessBits(rule.access, index),
  };
}

/** Absent is all, and so is -1, which engines send. The kernel's numbers have 32 bits. */
function deviceNumber(value: bigint | undefined, index: number, field: string): number | undefined {
  if (value === undefined || value === -1n) return undefined;
  if (value < 0n || value > 0xffffffffn)
    throw invalidResource(`${POINTER}/${index}/${field}`, `${value} is not a device number`);
  return Number(value);
}

function accessBits(access: string, index: number): number {
  let bits = 0;
  for (let at = 0; at < access.length; at++) {
    const letter = access.charAt(at);
    if (letter === "r") bits |= ACCESS_READ;
    else if (letter === "w") bits |= ACCESS_WRITE;
    else if (letter === "m") bits |= ACCESS_MKNOD;
    else
      throw invalidResource(
        `${POINTER}/${index}/access`,
        `${JSON.stringify(letter)} is not one of r, w and m`,
      );
  }
  return bits;
}

export function lettersOf(access: number): string {
  return [
    access & ACCESS_READ ? "r" : "",
    access & ACCESS_WRITE ? "w" : "",
    access & ACCESS_MKNOD ? "m" : "",
  ].join("");
}
