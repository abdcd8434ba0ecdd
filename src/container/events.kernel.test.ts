import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { openLog } from "../log.ts";
import { reportEvents, reportStats } from "./events.ts";
import { processStat } from "./process/process-status.ts";
import { writeState } from "./record/saved-state.ts";
import { freshDirectory, savedState } from "./record/status.test-support.ts";

const log = openLog({ format: "text", debug: false });

/** A container whose init is a process of this test, and whose cgroup is a folder of plain files. */
function container(): { context: Parameters<typeof reportEvents>[0]; cgroup: string; init: ChildProcess } {
  const root = freshDirectory();
  const cgroup = join(root, "cgroup");
  mkdirSync(cgroup);
  mkdirSync(join(root, "box"));
  const init = spawn("sleep", ["1000"], { stdio: "ignore" });
  onTestFinished(() => void init.kill("SIGKILL"));
  const pid = init.pid ?? 0;
  const startTime = processStat(pid)?.startTime ?? "";
  writeState(join(root, "box"), savedState({ pid, startTime, cgroup }));
  return { context: { root, rootless: "auto", log }, cgroup, init };
}

const memoryEvents = (kills: number, max = 0) =>
  `low 0\nhigh 0\nmax ${max}\noom ${kills}\noom_kill ${kills}\noom_group_kill 0\n`;

describe("reportEvents", () => {
  it("reports at each interval, and ends with init", () => {
    const { context, cgroup, init } = container();
    writeFileSync(join(cgroup, "pids.current"), "1\n");
    const events: { readonly type: string }[] = [];
    reportEvents(context, "box", 5, (event) => {
      events.push(event);
      if (events.length === 3) init.kill("SIGKILL");
    });
    expect(events.length).toBeGreaterThanOrEqual(3);
    expect(events[0]).toMatchObject({ type: "stats", id: "box", data: { pids: { current: 1n } } });
    expect(new Set(events.map(({ type }) => type))).toEqual(new Set(["stats"]));
  });

  it("reports each OOM kill once, and no other change of memory.events", () => {
    const { context, cgroup, init } = container();
    const file = join(cgroup, "memory.events");
    writeFileSync(file, memoryEvents(2));
    const types: string[] = [];
    // Written in place, as by the kernel: a new file would not be the one that is watched.
    const steps = [
      () => writeFileSync(file, memoryEvents(2, 7), { flag: "r+" }),
      () => writeFileSync(file, memoryEvents(3, 7), { flag: "r+" }),
      () => writeFileSync(file, memoryEvents(5, 7), { flag: "r+" }),
      () => undefined,
      () => init.kill("SIGKILL"),
    ];
    reportEvents(context, "box", 20, ({ type }) => {
      types.push(type);
      steps.shift()?.();
    });
    // Between the two kills the next report may be due.
    expect(types.slice(0, 3)).toEqual(["stats", "stats", "oom"]);
    expect(types.filter((type) => type === "oom")).toHaveLength(2);
  });

  it("reports the OOM kill of init before it ends", () => {
    const { context, cgroup, init } = container();
    writeFileSync(join(cgroup, "memory.events"), memoryEvents(0));
    const types: string[] = [];
    reportEvents(context, "box", 10, ({ type }) => {
      if (types.push(type) > 1) return;
      writeFileSync(join(cgroup, "memory.events"), memoryEvents(1), { flag: "r+" });
      init.kill("SIGKILL");
    });
    expect(types.slice(0, 2)).toEqual(["stats", "oom"]);
  });

  it("refuses a container that has stopped, has no cgroup, or isn't there", () => {
    const { context } = container();
    const report = (id: string) => () => reportEvents(context, id, 1, () => undefined);
    mkdirSync(join(context.root, "stopped"));
    writeState(join(context.root, "stopped"), savedState({ id: "stopped", pid: 4194304 }));
    expect(report("stopped")).toThrow("container with id stopped is not running");
    mkdirSync(join(context.root, "bare"));
    const startTime = processStat(process.pid)?.startTime ?? "";
    writeState(join(context.root, "bare"), savedState({ id: "bare", pid: process.pid, startTime }));
    expect(report("bare")).toThrow("container bare has no cgroup");
    expect(report("unknown")).toThrow("container does not exist");
    expect(report("..")).toThrow("invalid container ID format");
  });
});

it("reportStats reports once, whatever happens", () => {
  const { context, cgroup } = container();
  writeFileSync(join(cgroup, "memory.events"), memoryEvents(1));
  const types: string[] = [];
  reportStats(context, "box", ({ type }) => void types.push(type));
  expect(types).toEqual(["stats"]);
});
