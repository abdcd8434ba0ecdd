import { release } from "node:os";
import { afterEach, expect, test } from "vitest";
import { errnoNumber } from "../abi/errno.ts";
import { substituteKernel } from "../ffi/syscall.ts";
import { channelPair, keepOnExec, openStubImage, spawnStub } from "../stub/client.ts";
import { closeSync } from "./files.ts";
import { pidfdOpen, pidfdSendSignal, reapedStatus } from "./pidfd.ts";
import { waitReadable } from "./poll.ts";
import { killAndReap } from "./reap.ts";

const PID = 4242;

afterEach(() => substituteKernel(undefined));

test.each(["ESRCH", "ENOENT", "EINVAL"])("pidfd_open gives %s: there is no such process", (errno) => {
  substituteKernel(() => -errnoNumber(errno));
  expect(pidfdOpen(PID)).toBeUndefined();
});

test("pidfd_open gives EMFILE: that is an error", () => {
  substituteKernel(() => -errnoNumber("EMFILE"));
  expect(() => pidfdOpen(PID)).toThrow("pidfd_open 4242: EMFILE");
});

const KILLED = 9;

test("reapedStatus is undefined for a zombie, and the wait status once it is reaped", (context) => {
  const image = openStubImage();
  const [ours, theirs] = channelPair();
  keepOnExec(theirs);
  const pid = spawnStub(image, theirs);
  const pidfd = pidfdOpen(pid) ?? -1;
  try {
    expect(reapedStatus(pidfd)).toBeUndefined();
    pidfdSendSignal(pidfd, KILLED);
    expect(waitReadable(pidfd, 10_000)).toBe(true);
    expect(reapedStatus(pidfd)).toBeUndefined();
    killAndReap(pid);
    const [major = 0, minor = 0] = release().split(".").map(Number.parseFloat);
    if (major < 6 || (major === 6 && minor < 15))
      context.skip("Linux before 6.15 does not tell the exit code of a reaped process");
    expect(reapedStatus(pidfd)).toBe(KILLED);
  } finally {
    killAndReap(pid);
    for (const fd of [image, ours, theirs, pidfd]) closeSync(fd);
  }
});

test.each(["ENOTTY", "EINVAL", "ESRCH"])("PIDFD_GET_INFO gives %s: the status is unknown", (errno) => {
  substituteKernel(() => -errnoNumber(errno));
  expect(reapedStatus(3)).toBeUndefined();
});

test("PIDFD_GET_INFO gives EBADF: that is an error", () => {
  substituteKernel(() => -errnoNumber("EBADF"));
  expect(() => reapedStatus(3)).toThrow("ioctl PIDFD_GET_INFO: EBADF");
});
