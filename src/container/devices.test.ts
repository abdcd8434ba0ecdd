import { expect, it } from "vitest";
import { parseConfig } from "../spec/config.ts";
import { deviceEntries, parseDeviceWord } from "./devices.ts";
import type { SavedDevice } from "./record/saved-state.ts";

it.each([
  ["/dev/fuse", { source: "/dev/fuse", path: "/dev/fuse", access: "rwm" }],
  ["/dev/fuse:r", { source: "/dev/fuse", path: "/dev/fuse", access: "r" }],
  ["/dev/fuse:mwr", { source: "/dev/fuse", path: "/dev/fuse", access: "rwm" }],
  ["/dev/sda:/dev/data", { source: "/dev/sda", path: "/dev/data", access: "rwm" }],
  ["/dev/sda:/dev//x/../data/:wr", { source: "/dev/sda", path: "/dev/data", access: "rw" }],
])("parseDeviceWord(%j)", (word, expected) => {
  expect(parseDeviceWord(word)).toEqual(expected);
});

it.each([
  ["", '"" must be an absolute path'],
  ["fuse", '"fuse" must be an absolute path'],
  ["/dev/fuse:", '"" must be a path in the container, or some of the letters r, w and m'],
  ["/dev/fuse:rr", '"rr" must be a path'],
  ["/dev/fuse:x", '"x" must be a path'],
  ["/dev/a:/dev/b:/dev/c", "must be PATH[:PATH][:rwm]"],
  ["/dev/a:b:rw", '"b" must be an absolute path'],
])("parseDeviceWord(%j) throws EINVAL", (word, message) => {
  expect(() => parseDeviceWord(word)).toThrow(expect.objectContaining({ errno: "EINVAL" }));
  expect(() => parseDeviceWord(word)).toThrow(message);
});

const added: SavedDevice = {
  path: "/dev/added",
  source: "/dev/fuse",
  type: "c",
  major: 10,
  minor: 229,
  access: "r",
  made: "node",
  directories: [],
};

function configOf(parts: object) {
  return parseConfig(JSON.stringify({ ociVersion: "1.2.0", root: { path: "rootfs" }, ...parts }), "config");
}

it("deviceEntries: default devices, listed ones but FIFOs, then added ones, with what the rules allow", () => {
  const devices = [
    { type: "b", path: "/dev/disk", major: 7, minor: 1 },
    { type: "u", path: "/dev/null", major: 1, minor: 3 },
    { type: "p", path: "/dev/pipe" },
  ];
  const resources = { devices: [{ allow: true, type: "b", major: 7, access: "w" }] };
  const entries = deviceEntries(configOf({ linux: { devices, resources } }), [added]);
  expect(entries.map(({ path, access, origin }) => [path, access, origin])).toEqual([
    ["/dev/zero", "rwm", "default"],
    ["/dev/full", "rwm", "default"],
    ["/dev/random", "rwm", "default"],
    ["/dev/urandom", "rwm", "default"],
    ["/dev/tty", "rwm", "default"],
    ["/dev/disk", "wm", "config"],
    ["/dev/null", "rwm", "config"],
    ["/dev/added", "rm", "added"],
  ]);
  expect(entries.at(-1)).toEqual({
    path: "/dev/added",
    type: "c",
    major: 10,
    minor: 229,
    access: "rm",
    origin: "added",
    source: "/dev/fuse",
  });
});

it("deviceEntries: only added devices where /dev is a bind mount, in which runts makes nothing", () => {
  const mounts = [{ destination: "/dev/", source: "/dev", type: "bind", options: ["rbind"] }];
  expect(deviceEntries(configOf({ mounts }), [added]).map(({ path }) => path)).toEqual(["/dev/added"]);
});

it("deviceEntries: an added device takes the place of the config's at its path", () => {
  const entries = deviceEntries(configOf({}), [{ ...added, path: "/dev/null", major: 1, minor: 3 }]);
  expect(entries.filter(({ path }) => path === "/dev/null").map(({ origin }) => origin)).toEqual(["added"]);
});
