import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { freshCgroup, skipReason } from "../cgroup/kernel.test-support.ts";
import { pauseContainer, resumeContainer } from "./pause.ts";
import { processStat } from "./process/process-status.ts";
import { contextWith, freshDirectory } from "./record/status.test-support.ts";

const alive = { pid: process.pid, startTime: processStat(process.pid)?.startTime ?? "" };

/** Files in place of a cgroup's. The kernel would change cgroup.events by itself: here it says that all stand still. */
function cgroupFiles(freeze: string): string {
  const cgroup = freshDirectory();
  writeFileSync(`${cgroup}/cgroup.freeze`, freeze);
  writeFileSync(`${cgroup}/cgroup.events`, "populated 1\nfrozen 1\n");
  return cgroup;
}

const freezer = (cgroup: string) => readFileSync(`${cgroup}/cgroup.freeze`, "utf8").trim();

describe("pause and resume", () => {
  if (skipReason === false) {
    it("write the freezer of the container's cgroup", () => {
      const cgroup = freshCgroup();
      mkdirSync(cgroup);
      try {
        const context = contextWith({ ...alive, cgroup });
        pauseContainer(context, "box");
        expect(freezer(cgroup)).toBe("1");
        resumeContainer(context, "box");
        expect(freezer(cgroup)).toBe("0");
      } finally {
        rmdirSync(cgroup);
      }
    });

    it("name the file that can't be written", () => {
      expect(() => pauseContainer(contextWith({ ...alive, cgroup: freshCgroup() }), "box")).toThrow(
        /^cannot write cgroup.freeze of cgroup .*\(ENOENT\)$/,
      );
    });
  } else it.skip(`write the freezer: skipped: ${skipReason}`);

  it("refuse a directory that is not a cgroup, and write nothing", () => {
    const files = cgroupFiles("0");
    expect(() => pauseContainer(contextWith({ ...alive, cgroup: files }), "box")).toThrow(
      `${files} is not a cgroup below /sys/fs/cgroup`,
    );
    expect(freezer(files)).toBe("0");
  });

  it("refuse a container of another status, and change nothing", () => {
    const paused = cgroupFiles("1");
    expect(() => pauseContainer(contextWith({ ...alive, cgroup: paused }), "box")).toThrow(
      /^container not running$/,
    );
    expect(freezer(paused)).toBe("1");
    const running = cgroupFiles("0");
    expect(() => resumeContainer(contextWith({ ...alive, cgroup: running }), "box")).toThrow(
      /^container not paused$/,
    );
    expect(freezer(running)).toBe("0");
  });

  it("refuse a container that has stopped, or is being created", () => {
    const cgroup = cgroupFiles("0");
    for (const saved of [{ cgroup }, { ...alive, cgroup, creator: alive }]) {
      expect(() => pauseContainer(contextWith(saved), "box")).toThrow("container not running");
      expect(() => resumeContainer(contextWith(saved), "box")).toThrow("container not paused");
    }
  });

  it("name the lack of a cgroup", () => {
    expect(() => pauseContainer(contextWith(alive), "box")).toThrow(
      "container box has no cgroup: without one it can't be paused",
    );
  });

  it("refuse an unknown container", () => {
    const context = contextWith({});
    mkdirSync(`${context.root}/unfinished`);
    for (const id of ["none", "unfinished"]) {
      expect(() => pauseContainer(context, id)).toThrow("container does not exist");
      expect(() => resumeContainer(context, id)).toThrow("container does not exist");
    }
    expect(() => pauseContainer(context, "../box")).toThrow("invalid container ID format");
  });
});
