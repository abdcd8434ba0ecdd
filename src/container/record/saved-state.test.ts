import { mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { expect, it } from "vitest";
import {
  containerDirectory,
  doesNotExist,
  startSocketPath,
  tryReadState,
  writeState,
} from "./saved-state.ts";
import { savedState, stateDirectory } from "./status.test-support.ts";

it("reads what was written last, and leaves no other file", () => {
  const directory = stateDirectory();
  writeState(directory, savedState());
  const state = savedState({ pid: 7, startTime: "18446744073709551615", annotations: { "a/b": "é" } });
  writeState(directory, state);
  expect(tryReadState(directory)).toEqual(state);
  expect(readdirSync(directory)).toEqual(["state.json"]);
  expect(statSync(`${directory}/state.json`).mode & 0o777).toBe(0o600);
});

it("finds none where there is none", () => {
  const directory = stateDirectory();
  expect(tryReadState(directory)).toBeUndefined();
  expect(tryReadState(`${directory}/missing`)).toBeUndefined();
  writeFileSync(`${directory}/file`, "");
  expect(tryReadState(`${directory}/file`)).toBeUndefined();
});

const { hasProcess: _hasProcess, hasListener: _hasListener, ...older } = savedState();

it("reads a record of an older version, without what that did not know", () => {
  const directory = stateDirectory();
  writeFileSync(`${directory}/state.json`, JSON.stringify(older));
  expect(tryReadState(directory)).toEqual(older);
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
    { id: "other" },
    { id: 1 },
    { pid: "1" },
    { pid: -1 },
    { pid: 1.5 },
    { startTime: 1 },
    { creator: {} },
    { creator: undefined },
    { creator: { pid: 1 } },
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
])("says that the record %s is damaged", (text) => {
  const directory = stateDirectory();
  writeFileSync(`${directory}/state.json`, text);
  expect(() => tryReadState(directory)).toThrow(
    `${directory}/state.json is damaged: the container can only be deleted, with --force`,
  );
});

it("says that a record is no file", () => {
  const directory = stateDirectory();
  mkdirSync(`${directory}/state.json`);
  expect(() => tryReadState(directory)).toThrow(`open ${directory}/state.json: not a regular file`);
});

it("knows where things are", () => {
  expect(containerDirectory("/run/runts", "box")).toBe("/run/runts/box");
  expect(startSocketPath("/run/runts/box")).toBe("/run/runts/box/start.sock");
});

it("has the words that containerd's shim looks for", () => {
  expect(doesNotExist("box")).toMatchObject({ message: "container does not exist", path: "box" });
});
