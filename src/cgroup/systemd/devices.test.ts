import { describe, expect, it } from "vitest";
import type { DeviceRule } from "../../spec/types.ts";
import { deviceProperties } from "./devices.ts";

const DENY_ALL: DeviceRule = { allow: false, access: "rwm" };
const DEFAULTS = [
  ["char-*", "m"],
  ["block-*", "m"],
  ["/dev/char/10:200", "rwm"],
  ["/dev/char/5:2", "rwm"],
  ["/dev/char/5:0", "rwm"],
  ["char-136", "rwm"],
  ["/dev/char/1:7", "rwm"],
  ["/dev/char/1:8", "rwm"],
  ["/dev/char/1:5", "rwm"],
  ["/dev/char/1:9", "rwm"],
  ["/dev/char/1:3", "rwm"],
];

function strict(value: unknown[]): unknown[] {
  return [
    ["DeviceAllow", []],
    ["DevicePolicy", "strict"],
    ["DeviceAllow", value],
  ];
}

describe("deviceProperties", () => {
  it.each<[string, DeviceRule[], unknown[]]>([
    ["no rules", [], strict(DEFAULTS)],
    ["deny all", [DENY_ALL], strict(DEFAULTS)],
    [
      "allow all",
      [{ allow: true, access: "rwm" }],
      [
        ["DeviceAllow", []],
        ["DevicePolicy", "auto"],
      ],
    ],
    ["allow all, then deny all", [{ allow: true, access: "rwm" }, DENY_ALL], strict(DEFAULTS)],
    [
      "one device",
      [DENY_ALL, { allow: true, type: "b", major: 8n, minor: 1n, access: "r" }],
      strict([["/dev/block/8:1", "r"], ...DEFAULTS]),
    ],
    [
      "a major number",
      [{ allow: true, type: "c", major: 4n, access: "rw" }],
      strict([["char-4", "rw"], ...DEFAULTS]),
    ],
    [
      "a denial that covers an earlier rule",
      [
        { allow: true, type: "c", major: 4n, minor: 1n, access: "rw" },
        { allow: false, type: "c", major: 4n, access: "w" },
      ],
      strict([["/dev/char/4:1", "r"], ...DEFAULTS]),
    ],
    [
      "a denial within an earlier rule, which systemd can't express: allows more",
      [
        { allow: true, type: "c", major: 4n, access: "rw" },
        { allow: false, type: "c", major: 4n, minor: 1n, access: "w" },
      ],
      strict([["char-4", "rw"], ...DEFAULTS]),
    ],
    [
      "a minor number alone, which systemd can't express: allows more",
      [{ allow: true, type: "b", minor: 3n, access: "r" }],
      strict([["block-*", "rm"], ...DEFAULTS.filter(([name]) => name !== "block-*")]),
    ],
  ])("%s", (_name, rules, expected) => {
    expect(deviceProperties(rules).map(({ name, value }) => [name, value])).toEqual(expected);
  });
});
