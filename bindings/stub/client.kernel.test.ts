import { closeSync, fstatSync, readFileSync, readlinkSync } from "node:fs";
import { afterEach, expect, test } from "vitest";
import * as fcntl from "../abi/fcntl.ts";
import { WNOHANG } from "../abi/signal.ts";
import { syscall, trySyscall } from "../ffi/syscall.ts";
import { keepOnExec, openStubImage, STUB_NAME, StubChannel, spawnStub } from "./client.ts";
import { boundedPair } from "./kernel.test-support.ts";

const open = new Set<number>();

function owned(fd: number): number {
  open.add(fd);
  return fd;
}

afterEach(() => {
  for (const fd of open) closeSync(fd);
  open.clear();
});

/** Exit code of a child. */
function exitCode(pid: number): number {
  const status = new Int32Array(1);
  for (const deadline = Date.now() + 20_000; Date.now() < deadline; ) {
    const ended = syscall("wait4", [pid, new Uint8Array(status.buffer), WNOHANG, null]);
    if (ended === pid) return ((status[0] ?? 0) >> 8) & 0xff;
  }
  throw new Error(`process ${pid} does not end`);
}

test("the image is sealed against every change", () => {
  const image = owned(openStubImage());
  const seals = trySyscall("fcntl", image, fcntl.F_GET_SEALS);
  const wanted =
    fcntl.F_SEAL_SEAL |
    fcntl.F_SEAL_SHRINK |
    fcntl.F_SEAL_GROW |
    fcntl.F_SEAL_WRITE |
    fcntl.F_SEAL_FUTURE_WRITE;
  expect(seals & wanted).toBe(wanted);
  expect(trySyscall("pwrite64", image, Buffer.from("!"), 1, 0)).toBe(-1);
  expect(trySyscall("ftruncate", image, 0)).toBe(-1);
  expect(trySyscall("fcntl", image, fcntl.F_GETFD)).toBe(fcntl.FD_CLOEXEC);
  expect(fstatSync(image).size).toBeLessThan(4096);
});

test("a spawned stub has its name, no environment, and serves the channel", () => {
  const image = owned(openStubImage());
  const [ours, theirs] = boundedPair();
  keepOnExec(theirs);
  const pid = spawnStub(image, theirs);
  closeSync(theirs);
  const channel = new StubChannel(ours);
  const program = channel.program();
  program.do("getpid", []);
  expect(channel.run(program).results).toEqual([pid]);
  expect(readlinkSync(`/proc/${pid}/exe`)).toBe(`/memfd:${STUB_NAME} (deleted)`);
  expect(readFileSync(`/proc/${pid}/cmdline`, "utf8")).toBe(`${STUB_NAME}\0${theirs}\0`);
  expect(readFileSync(`/proc/${pid}/environ`, "utf8")).toBe("");
  channel.close();
  expect(exitCode(pid)).toBe(0);
});

test("both ends of a channel are close-on-exec until one is kept", () => {
  const [ours, theirs] = boundedPair().map(owned);
  const flags = () => [ours, theirs].map((fd) => trySyscall("fcntl", fd ?? -1, fcntl.F_GETFD));
  expect(flags()).toEqual([1, 1]);
  keepOnExec(theirs ?? -1);
  expect(flags()).toEqual([1, 0]);
});

test("receive without a sent program is an error", () => {
  const [ours] = boundedPair().map(owned);
  const channel = new StubChannel(ours ?? -1);
  expect(() => channel.receive()).toThrow("no program is waiting for a reply");
});

test("a descriptor that is not open can't be sent", () => {
  const [ours] = boundedPair().map(owned);
  const channel = new StubChannel(ours ?? -1);
  const program = channel.program();
  program.descriptor(1_000_000);
  expect(() => channel.send(program)).toThrow("EBADF");
});
