import { mkdirSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { processStat } from "./process/process-status.ts";
import { listProcesses } from "./ps.ts";
import { contextWith, freshDirectory } from "./record/status.test-support.ts";

const alive = { pid: process.pid, startTime: processStat(process.pid)?.startTime ?? "" };

/** A container `box` with this record, below a root of its own. */
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
    const context = contextWith({ ...alive, ownPidNamespace: false });
    expect(() => listProcesses(context, "box")).toThrow(
      "container box has neither a cgroup nor a pid namespace",
    );
    expect(() => listProcesses(context, "none")).toThrow("container does not exist");
  });

  it("finds the processes of the pid namespace if there is no cgroup", () => {
    expect(listProcesses(contextWith({ ...alive, ownPidNamespace: true }), "box")).toContain(process.pid);
  });
});
