import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, writeFileSync } from "node:fs";
import { expect, it, onTestFinished } from "vitest";
import { EACCES } from "../../../bindings/abi/errno.ts";
import { callKernel, substituteKernel } from "../../../bindings/ffi/syscall.ts";
import { pidfdOpen, pidfdSendSignal } from "../../../bindings/linux/pidfd.ts";
import { waitReadable } from "../../../bindings/linux/poll.ts";
import { killAndReap } from "../../../bindings/linux/reap.ts";
import { channelPair, keepOnExec, openStubImage, spawnStub } from "../../../bindings/stub/client.ts";
import { freshDirectory } from "../record/status.test-support.ts";
import { isAlive, processStat, unreapedStatus } from "./process-status.ts";

const skipReason = spawnSync("gcc", ["--version"]).status === 0 ? false : "needs gcc";

/** A process whose first thread has ended, and in which each other thread ends as soon as it has made the next one. */
const CHAIN = `
#define _GNU_SOURCE
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
enum { STACKS = 16384, SIZE = 2048 };
static char stacks[STACKS][SIZE] __attribute__((aligned(16)));
static int next(void *number) {
  long own = (long)number, after = (own + 1) % STACKS;
  if (own == 0) write(1, "round\\n", 6);
  int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
  clone(next, stacks[after] + SIZE, flags, (void *)after);
  syscall(SYS_exit, 0);
}
int main(void) { return next((void *)0); }`;

it.skipIf(skipReason !== false)(
  "isAlive is true for a process in which one thread follows the other",
  async () => {
    const directory = freshDirectory();
    writeFileSync(`${directory}/chain.c`, CHAIN);
    execFileSync("gcc", ["-static", "-o", `${directory}/chain`, `${directory}/chain.c`]);
    const chain = spawn(`${directory}/chain`, { stdio: ["ignore", "pipe", "ignore"] });
    onTestFinished(() => void chain.kill("SIGKILL"));
    await once(chain.stdout, "data");
    chain.stdout.resume();
    const { pid = 0 } = chain;
    const startTime = processStat(pid)?.startTime ?? "";
    for (let look = 0; look < 5000; look++) expect(isAlive(pid, startTime)).toBe(true);
  },
);

const KILLED = 9;

it("unreapedStatus is the wait status of a zombie, unless the caller may not know it", () => {
  const image = openStubImage();
  const [ours, theirs] = channelPair();
  keepOnExec(theirs);
  const pid = spawnStub(image, theirs);
  const pidfd = pidfdOpen(pid) ?? -1;
  const startTime = processStat(pid)?.startTime ?? "";
  try {
    expect(unreapedStatus(pid, startTime)).toBeUndefined();
    pidfdSendSignal(pidfd, KILLED);
    expect(waitReadable(pidfd, 10_000)).toBe(true);
    expect(unreapedStatus(pid, startTime)).toBe(KILLED);
    expect(unreapedStatus(pid, "1")).toBeUndefined();
    substituteKernel((name, args) => (name === "readlinkat" ? -EACCES : callKernel(name, args)));
    expect(unreapedStatus(pid, startTime)).toBeUndefined();
    substituteKernel(undefined);
    killAndReap(pid);
    expect(unreapedStatus(pid, startTime)).toBeUndefined();
  } finally {
    substituteKernel(undefined);
    killAndReap(pid);
    for (const fd of [image, ours, theirs, pidfd]) closeSync(fd);
  }
});
