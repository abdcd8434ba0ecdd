import { readdirSync, statSync, writeFileSync } from "node:fs";
import { expect, it } from "vitest";
import {
  containerDirectory,
  doesNotExist,
  startSocketPath,
  tryReadState,
  writeState,
} from "./saved-state.ts";
import { freshDirectory, savedState } from "./state.test-support.ts";

it("reads what was written last, and leaves no other file", () => {
  const directory = freshDirectory();
  writeState(directory, savedState());
  const state = savedState({ pid: 7, startTime: "18446744073709551615", annotations: { "a/b": "é" } });
  writeState(directory, state);
  expect(tryReadState(directory)).toEqual(state);
  expect(readdirSync(directory)).toEqual(["state.json"]);
  expect(statSync(`${directory}/state.json`).mode & 0o777).toBe(0o600);
});

it("finds none where there is none", () => {
  const directory = freshDirectory();
  expect(tryReadState(directory)).toBeUndefined();
  expect(tryReadState(`${directory}/missing`)).toBeUndefined();
  writeFileSync(`${directory}/file`, "");
  expect(tryReadState(`${directory}/file`)).toBeUndefined();
});

it("says which record is damaged", () => {
  const directory = freshDirectory();
  writeFileSync(`${directory}/state.json`, '{"id":"bo');
  expect(() => tryReadState(directory)).toThrow(`${directory}/state.json is damaged`);
});

it("knows where things are", () => {
  expect(containerDirectory("/run/runts", "box")).toBe("/run/runts/box");
  expect(startSocketPath("/run/runts/box")).toBe("/run/runts/box/start.sock");
});

it("has the words that containerd's shim looks for", () => {
  expect(doesNotExist("box")).toMatchObject({ message: "container does not exist", path: "box" });
});
