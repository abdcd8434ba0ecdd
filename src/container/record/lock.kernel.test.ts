import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, symlinkSync, writeFileSync } from "node:fs";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { lockContainer, withLockedContainer } from "./lock.ts";
import { freshDirectory } from "./status.test-support.ts";

const skipReason = spawnSync("flock", ["--version"]).status === 0 ? false : "needs flock(1)";

/** Another process, which holds the lock while it runs a shell command. Returns once it has the lock. */
async function holdWhile(directory: string, command: string): Promise<void> {
  const holder = spawn("flock", [directory, "sh", "-c", `echo; ${command}`], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  onTestFinished(() => void holder.kill("SIGKILL"));
  await once(holder.stdout, "data");
}

/** Waits, in the shell of the other process, until this one has opened the directory: now it waits for the lock. */
function untilOpened(directory: string): string {
  return `until ls -l /proc/${process.pid}/fd | grep -q -- '-> ${directory}$'; do sleep 0.01; done`;
}

function canLock(directory: string): boolean {
  return spawnSync("flock", ["--nonblock", directory, "true"]).status === 0;
}

describe.skipIf(skipReason !== false)("lockContainer", () => {
  it("excludes other processes until it is released", () => {
    const directory = freshDirectory();
    const lock = lockContainer(directory, "box");
    expect(canLock(directory)).toBe(false);
    lock?.release();
    expect(canLock(directory)).toBe(true);
  });

  it("waits for another process", async () => {
    const directory = freshDirectory();
    await holdWhile(directory, `${untilOpened(directory)}; sleep 0.1; : > ${directory}/ended`);
    const lock = lockContainer(directory, "box");
    expect(lock).toBeDefined();
    expect(existsSync(`${directory}/ended`)).toBe(true);
    lock?.release();
  });

  it("gives up after its time, whatever the wall clock is set to meanwhile", async () => {
    const directory = freshDirectory();
    await holdWhile(directory, "sleep 60");
    vi.spyOn(Date, "now").mockReturnValue(0);
    const began = performance.now();
    vi.spyOn(performance, "now")
      .mockReturnValueOnce(began)
      .mockReturnValue(began + 31_000);
    onTestFinished(() => void vi.restoreAllMocks());
    expect(() => lockContainer(directory, "box")).toThrow(
      "container box: another operation on it has not ended for 30 s",
    );
  });

  it("gets the lock once its holder was killed", async () => {
    const directory = freshDirectory();
    await holdWhile(directory, "kill -KILL $PPID; kill -KILL $$");
    const lock = lockContainer(directory, "box");
    expect(lock).toBeDefined();
    lock?.release();
  });

  it("returns undefined if the directory was deleted while it waited", async () => {
    const directory = freshDirectory();
    await holdWhile(directory, `${untilOpened(directory)}; rmdir ${directory}`);
    expect(lockContainer(directory, "box")).toBeUndefined();
  });

  it("returns undefined if the directory was made anew while it waited", async () => {
    const directory = freshDirectory();
    await holdWhile(directory, `${untilOpened(directory)}; rmdir ${directory}; mkdir ${directory}`);
    expect(lockContainer(directory, "box")).toBeUndefined();
  });

  it("returns undefined if there is no directory", () => {
    const directory = freshDirectory();
    writeFileSync(`${directory}/file`, "");
    expect(lockContainer(`${directory}/file`, "box")).toBeUndefined();
    expect(lockContainer(`${directory}/missing`, "box")).toBeUndefined();
  });
});

describe("withLockedContainer", () => {
  const missing = () => "missing";

  it("takes a container without a directory for a missing one", () => {
    expect(withLockedContainer({ root: freshDirectory() }, "box", () => "there", { missing })).toBe(
      "missing",
    );
  });

  // So `delete --force` doesn't say that it has deleted a container which the caller may not look at. This error comes to root, too.
  it("throws if the directory can't be looked up, since the container may exist", () => {
    const root = `${freshDirectory()}/loop`;
    symlinkSync("loop", root);
    expect(() => withLockedContainer({ root }, "box", () => "there", { missing })).toThrow("ELOOP");
  });
});
