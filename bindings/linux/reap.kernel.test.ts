import { closeSync, existsSync } from "node:fs";
import { expect, test } from "vitest";
import { EMFILE } from "../abi/errno.ts";
import { callKernel, substituteKernel } from "../ffi/syscall.ts";
import { channelPair, keepOnExec, openStubImage, spawnStub } from "../stub/client.ts";
import { pidfdOpen } from "./pidfd.ts";
import { waitReadable } from "./poll.ts";
import { isChild, killAndReap, reapOtherChildren } from "./reap.ts";

test("kills and reaps a child even if no descriptor is left", () => {
  const image = openStubImage();
  const [ours, theirs] = channelPair();
  try {
    keepOnExec(theirs);
    const pid = spawnStub(image, theirs);
    substituteKernel((name, args) => (name === "pidfd_open" ? -EMFILE : callKernel(name, args)));
    killAndReap(pid);
    substituteKernel(undefined);
    expect(pidfdOpen(pid)).toBeUndefined();
  } finally {
    substituteKernel(undefined);
    for (const fd of [image, ours, theirs]) closeSync(fd);
  }
});

test.each([0, -1, -2, 1.5, 2 ** 31, 2 ** 32 - 1, Number.NaN])("%d is not a pid: nothing is killed", (pid) => {
  const killing: string[] = [];
  substituteKernel((name) => {
    killing.push(name);
    return 0;
  });
  try {
    expect(() => killAndReap(pid)).toThrow("EINVAL");
    expect(isChild(pid)).toBe(false);
  } finally {
    substituteKernel(undefined);
  }
  expect(killing).toEqual([]);
});

test("isChild is true for a child until it is reaped, and for no other process", () => {
  const image = openStubImage();
  const [ours, theirs] = channelPair();
  try {
    keepOnExec(theirs);
    const pid = spawnStub(image, theirs);
    expect(isChild(pid)).toBe(true);
    killAndReap(pid);
    expect([pid, process.pid, process.ppid, 1].map(isChild)).toEqual([false, false, false, false]);
  } finally {
    for (const fd of [image, ours, theirs]) closeSync(fd);
  }
});

test("a killed child is reaped, and killing it again does no harm", () => {
  const image = openStubImage();
  const [ours, theirs] = channelPair();
  try {
    keepOnExec(theirs);
    const pid = spawnStub(image, theirs);
    const pidfd = pidfdOpen(pid) ?? -1;
    expect(pidfd).toBeGreaterThan(2);
    closeSync(pidfd);
    killAndReap(pid);
    expect(pidfdOpen(pid)).toBeUndefined();
    expect(() => killAndReap(pid)).not.toThrow();
  } finally {
    for (const fd of [image, ours, theirs]) closeSync(fd);
  }
});

test("a call reaps a limited number of children", () => {
  const image = openStubImage();
  const [ours, theirs] = channelPair();
  keepOnExec(theirs);
  const children = Array.from({ length: 70 }, () => spawnStub(image, theirs));
  try {
    closeSync(theirs);
    // The stubs exit when their channel is closed.
    closeSync(ours);
    for (const child of children) expect(waitForEnd(child)).toBe(true);
    expect(reapOtherChildren(0)).toBe(true);
    expect(children.filter((child) => existsSync(`/proc/${child}`))).toHaveLength(6);
    expect(reapOtherChildren(0)).toBe(false);
    expect(children.filter((child) => existsSync(`/proc/${child}`))).toEqual([]);
  } finally {
    closeSync(image);
    for (const child of children) killAndReap(child);
  }
});

/** Leaves a zombie. */
function waitForEnd(pid: number): boolean {
  const pidfd = pidfdOpen(pid) ?? -1;
  try {
    return waitReadable(pidfd, 10_000);
  } finally {
    closeSync(pidfd);
  }
}
