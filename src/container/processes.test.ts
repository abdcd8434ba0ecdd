import { mkdirSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { openLog } from "../log.ts";
import { processStat } from "./process-status.ts";
import { listProcesses } from "./processes.ts";
import { type SavedState, writeState } from "./saved-state.ts";
import { freshDirectory, savedState } from "./state.test-support.ts";

const alive = { pid: process.pid, startTime: processStat(process.pid)?.startTime ?? "" };

/** A container `box` whose record says this, below a root of its own. */
function contextWith(saved: Partial<SavedState>) {
  const root = freshDirectory();
  mkdirSync(`${root}/box`);
  writeState(`${root}/box`, savedState(saved));
  return { root, rootless: "auto", log: openLog({ format: "text", debug: false }) } as const;
}

describe("listProcesses", () => {
  it("reads the cgroup and those below it, without processes of other pid namespaces", () => {
    const cgroup = freshDirectory();
    mkdirSync(`${cgroup}/inner/most`, { recursive: true });
    writeFileSync(`${cgroup}/cgroup.procs`, "12\n0\n13\n");
    writeFileSync(`${cgroup}/inner/most/cgroup.procs`, "14\n");
    expect(listProcesses(contextWith({ ...alive, cgroup }), "box")).toEqual([12, 13, 14]);
  });

  it("gives none when the cgroup is gone, or when there was none and init has ended", () => {
    expect(listProcesses(contextWith({ ...alive, cgroup: "/nowhere" }), "box")).toEqual([]);
    expect(listProcesses(contextWith({}), "box")).toEqual([]);
  });

  it("names the lack of a cgroup, and an unknown container", () => {
    expect(() => listProcesses(contextWith(alive), "box")).toThrow("container box has no cgroup");
    expect(() => listProcesses(contextWith(alive), "none")).toThrow("container does not exist");
  });
});
