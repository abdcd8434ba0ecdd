import { mkdirSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { openLog } from "../../log.ts";
import { processStat } from "../process/process-status.ts";
import { writeState } from "./saved-state.ts";
import { freshDirectory, savedState } from "./status.test-support.ts";
import { listContainers, readContainerState, stateOf, statusOf } from "./status.ts";

const alive = { pid: process.pid, startTime: processStat(process.pid)?.startTime ?? "" };
const ended = { pid: process.pid, startTime: "1" };

describe("statusOf", () => {
  it("is creating while the creator lives, whatever the rest of the record says", () => {
    const directory = freshDirectory();
    expect(statusOf(directory, savedState({ creator: alive }))).toBe("creating");
    expect(statusOf(directory, savedState({ creator: alive, ...alive }))).toBe("creating");
  });

  it("is stopped if the creator ended before it was done", () => {
    expect(statusOf(freshDirectory(), savedState({ creator: ended, ...alive }))).toBe("stopped");
  });

  it("is stopped once init has ended, also before start", () => {
    const directory = freshDirectory();
    expect(statusOf(directory, savedState(ended))).toBe("stopped");
    writeFileSync(`${directory}/start.sock`, "");
    expect(statusOf(directory, savedState(ended))).toBe("stopped");
    expect(statusOf(directory, savedState())).toBe("stopped");
  });

  it("is running once init has executed the program, even if a killed start has left the socket", () => {
    const directory = freshDirectory();
    expect(statusOf(directory, savedState(alive))).toBe("running");
    writeFileSync(`${directory}/start.sock`, "");
    expect(statusOf(directory, savedState(alive))).toBe("running");
  });

  it.each([
    ["1\n", "paused"],
    ["0\n", "running"],
  ])("with cgroup.freeze %j is %s", (content, status) => {
    const cgroup = freshDirectory();
    writeFileSync(`${cgroup}/cgroup.freeze`, content);
    expect(statusOf(freshDirectory(), savedState({ ...alive, cgroup }))).toBe(status);
  });

  it("is paused, not created, if the container was paused before its start", () => {
    const cgroup = freshDirectory();
    writeFileSync(`${cgroup}/cgroup.freeze`, "1\n");
    const directory = freshDirectory();
    writeFileSync(`${directory}/start.sock`, "");
    expect(statusOf(directory, savedState({ ...alive, cgroup }))).toBe("paused");
  });

  it("is running if the cgroup is gone", () => {
    expect(statusOf(freshDirectory(), savedState({ ...alive, cgroup: "/nowhere" }))).toBe("running");
  });
});

describe("stateOf", () => {
  it("has the properties of runtime.md, and those that runc adds", () => {
    const state = stateOf(freshDirectory(), savedState({ ...alive, annotations: { a: "b" } }));
    expect(state).toMatchObject({
      id: "box",
      pid: process.pid,
      status: "running",
      bundle: "/bundle",
      rootfs: "/bundle/rootfs",
      created: "2026-01-01T00:00:00Z",
      annotations: { a: "b" },
      owner: "root",
    });
    expect(state.ociVersion).toMatch(/^1\./);
  });

  it("has pid 0 when stopped, no empty annotations, and a number for an owner without a name", () => {
    const state = stateOf(freshDirectory(), savedState({ ...ended, ownerUid: 3_999_999_999 }));
    expect(state).toMatchObject({ pid: 0, status: "stopped", owner: "#3999999999" });
    expect(state).not.toHaveProperty("annotations");
  });
});

describe("by root directory", () => {
  const contextOf = (root: string) =>
    ({ root, rootless: "auto", log: openLog({ format: "text", debug: false }) }) as const;

  it("lists containers by id, without directories that have no record", () => {
    const root = freshDirectory();
    for (const id of ["b", "a"]) {
      mkdirSync(`${root}/${id}`);
      writeState(`${root}/${id}`, savedState({ id }));
    }
    mkdirSync(`${root}/unfinished`);
    writeFileSync(`${root}/file`, "");
    expect(listContainers(contextOf(root)).map(({ id }) => id)).toEqual(["a", "b"]);
  });

  it("lists none if the root does not exist", () => {
    expect(listContainers(contextOf(`${freshDirectory()}/missing`))).toEqual([]);
  });

  it("reads the state of a container, and refuses an unknown id", () => {
    const root = freshDirectory();
    mkdirSync(`${root}/box`);
    expect(() => readContainerState(contextOf(root), "box")).toThrow("container does not exist");
    writeState(`${root}/box`, savedState());
    expect(readContainerState(contextOf(root), "box")).toMatchObject({ id: "box", status: "stopped" });
    expect(() => readContainerState(contextOf(root), "../box")).toThrow("invalid container ID format");
  });
});
