import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { expect, it } from "vitest";
import { readConfig, readValidConfig } from "../../spec/config.ts";
import { thrown } from "../../spec/thrown.test-support.ts";
import { version } from "../../version.ts";
import {
  checkId,
  containerDirectory,
  doesNotExist,
  NewerFormatError,
  replaceConfig,
  startSocketPath,
  tryReadState,
  writeState,
} from "./saved-state.ts";
import { freshDirectory, savedState, stateDirectory } from "./status.test-support.ts";

it("writeState and tryReadState: the last record is read, and no other file is left", () => {
  const directory = stateDirectory();
  writeState(directory, savedState());
  const state = savedState({ pid: 7, startTime: "18446744073709551615", annotations: { "a/b": "é" } });
  writeState(directory, state);
  expect(tryReadState(directory)).toEqual({ ...state, formatVersion: 1, writtenBy: version });
  expect(readdirSync(directory)).toEqual(["state.json"]);
  expect(statSync(`${directory}/state.json`).mode & 0o777).toBe(0o600);
});

it("tryReadState returns undefined if there is no record", () => {
  const directory = stateDirectory();
  expect(tryReadState(directory)).toBeUndefined();
  expect(tryReadState(`${directory}/missing`)).toBeUndefined();
  writeFileSync(`${directory}/file`, "");
  expect(tryReadState(`${directory}/file`)).toBeUndefined();
});

const { hasProcess: _hasProcess, hasListener: _hasListener, ...older } = savedState();

it("tryReadState reads a record of an older version, which lacks newer fields", () => {
  const directory = stateDirectory();
  writeFileSync(`${directory}/state.json`, JSON.stringify(older));
  expect(tryReadState(directory)).toEqual(older);
});

it("tryReadState reads the record that runts 0.1.0 wrote, which has no format", () => {
  const directory = stateDirectory();
  const recorded = readFileSync(
    new URL("../../../spec-tests/state/recorded/state-0.1.0.json", import.meta.url),
    "utf8",
  );
  writeFileSync(`${directory}/state.json`, recorded);
  expect(recorded).not.toContain("formatVersion");
  expect(tryReadState(directory)).toEqual(JSON.parse(recorded));
});

it("writeState gives a record of an older version the present format", () => {
  const directory = stateDirectory();
  const record = { ...savedState(), formatVersion: 0, writtenBy: "0.0.1" };
  writeState(directory, record);
  expect(tryReadState(directory)).toMatchObject({ formatVersion: 1, writtenBy: version });
});

const device = {
  path: "/dev/added",
  source: "/dev/fuse",
  type: "c",
  major: 10,
  minor: 229,
  access: "rw",
  made: "node",
  directories: ["/dev/sub"],
} as const;

it("writeState gives a record the format 2 only while it has added devices", () => {
  const directory = stateDirectory();
  writeState(directory, savedState({ devices: [device] }));
  expect(tryReadState(directory)).toMatchObject({ formatVersion: 2, devices: [device] });
  writeState(directory, savedState({ devices: [] }));
  expect(tryReadState(directory)).toMatchObject({ formatVersion: 1 });
});

it.each([
  [{ path: 1 }],
  [{ type: "p" }],
  [{ major: -1 }],
  [{ minor: "7" }],
  [{ access: undefined }],
  [{ made: "all" }],
  [{ directories: "/dev" }],
  [{ directories: [7] }],
])("tryReadState refuses a record whose added device has %j", (wrong) => {
  const directory = stateDirectory();
  const record = { ...savedState(), devices: [{ ...device, ...wrong }] };
  writeFileSync(`${directory}/state.json`, JSON.stringify(record));
  expect(() => tryReadState(directory)).toThrow(/is damaged/);
});

it("tryReadState refuses a record of a newer format, whatever else is in it", () => {
  const directory = stateDirectory();
  const path = `${directory}/state.json`;
  const refusal = (record: object) => {
    writeFileSync(path, JSON.stringify(record));
    const error = thrown(() => tryReadState(directory));
    expect(error).toBeInstanceOf(NewerFormatError);
    return error.message;
  };
  const thisVersion = `this is runts ${version}, which knows formats up to 2`;
  const remedy = "install the newer version, or delete the container with it";
  expect(refusal({ formatVersion: 3, writtenBy: "2.0.0" })).toBe(
    `${path} has format 3, written by runts 2.0.0; ${thisVersion}: ${remedy}`,
  );
  expect(refusal({ ...savedState(), formatVersion: 3, writtenBy: 7 })).toBe(
    `${path} has format 3, written by a newer version of runts; ${thisVersion}: ${remedy}`,
  );
});

it.each([
  "",
  '{"id":"bo',
  "null",
  "[]",
  "1",
  '"box"',
  "{}",
  ...[
    { formatVersion: "2" },
    { formatVersion: 1.5 },
    { id: "other" },
    { id: 1 },
    { pid: "1" },
    { pid: -1 },
    { pid: 1.5 },
    { startTime: 1 },
    { creator: {} },
    { creator: undefined },
    { creator: { pid: 1 } },
    { criu: null },
    { criu: { pid: 1 } },
    { bundle: null },
    { rootfs: [] },
    { created: 1 },
    { ownerUid: "0" },
    { annotations: [] },
    { annotations: null },
    { hostMount: "" },
    { cgroup: null },
    { cgroup: ["/x"] },
    { scope: "x" },
    { resctrl: [] },
    { ownPidNamespace: 1 },
    { hasPoststop: "true" },
    { lastOperations: {} },
    { lastOperations: [1] },
  ].map((change) => JSON.stringify({ ...savedState(), ...change })),
])("tryReadState calls the record %s damaged", (text) => {
  const directory = stateDirectory();
  writeFileSync(`${directory}/state.json`, text);
  expect(() => tryReadState(directory)).toThrow(
    `${directory}/state.json is damaged: the container can only be deleted, with --force`,
  );
});

it("tryReadState says that a record is not a file", () => {
  const directory = stateDirectory();
  mkdirSync(`${directory}/state.json`);
  expect(() => tryReadState(directory)).toThrow(`open ${directory}/state.json: not a regular file`);
});

it("containerDirectory and startSocketPath: the paths of the state directory", () => {
  expect(containerDirectory("/run/runts", "box")).toBe("/run/runts/box");
  expect(startSocketPath("/run/runts/box")).toBe("/run/runts/box/start.sock");
});

it("doesNotExist has the words that containerd's shim looks for", () => {
  expect(doesNotExist("box")).toMatchObject({ message: "container does not exist", path: "box" });
});

it.each(["a", "0", "box-1_2.3+4", "...", "-x", "x".repeat(255)])("checkId takes %j", (id) => {
  expect(() => checkId(id)).not.toThrow();
});

it.each([".", "..", "a/b", "/", "a b", "a,b", "a\n", "ä", "a\0", "x".repeat(256)])(
  "checkId refuses %j",
  (id) => {
    expect(() => checkId(id)).toThrow(`invalid container ID format: ${JSON.stringify(id)}`);
  },
);

it("checkId has a message of its own for an empty id", () => {
  expect(() => checkId("")).toThrow("container id cannot be empty");
});

it("replaceConfig keeps everything: wide integers, annotations and unknown properties", () => {
  const directory = freshDirectory();
  writeFileSync(
    `${directory}/config.json`,
    `{ "ociVersion": "1.2.0", "root": { "path": "r\\"\\u00e9" }, "process": { "cwd": "/", "args": ["a", ""] },
      "annotations": { "b": "2" }, "future": [1.5, 18446744073709551615, true, {}],
      "linux": { "resources": { "hugepageLimits": [{ "pageSize": "2MB", "limit": 18446744073709551615 }],
        "memory": { "limit": -1, "disableOOMKiller": false } } } }`,
  );
  const before = readConfig(directory);
  replaceConfig(directory, before);
  expect(readConfig(directory)).toEqual(before);
  expect(readValidConfig(directory)).toEqual(before);
  expect(before.linux?.resources?.hugepageLimits?.[0]?.limit).toBe(0xffffffffffffffffn);
  expect(readdirSync(directory)).toEqual(["config.json"]);
});
