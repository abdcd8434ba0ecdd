import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { errnoNumber } from "../../bindings/abi/errno.ts";
import { O_WRONLY } from "../../bindings/abi/fcntl.ts";
import { substituteKernel, trySyscall } from "../../bindings/ffi/syscall.ts";
import { closeSync, openSync, writeSync } from "../../bindings/linux/files.ts";
import { Names } from "./names.ts";
import { SimulatedKernel } from "./simulated-kernel.ts";

describe("SimulatedKernel", () => {
  const observed: string[] = [];
  let kernel: SimulatedKernel;
  let directory: string;

  beforeEach(() => {
    observed.length = 0;
    directory = mkdtempSync(join(tmpdir(), "runts-simulated-"));
    kernel = new SimulatedKernel(new Names(), (call) => observed.push(call), true);
  });
  afterEach(() => {
    substituteKernel(undefined);
    rmSync(directory, { recursive: true });
  });

  it("enables controllers beside those that the host has enabled", () => {
    const file = join(directory, "cgroup.subtree_control");
    writeFileSync(file, "cpu memory\n");
    substituteKernel(kernel.call);
    const fd = openSync(file, O_WRONLY);
    writeSync(fd, "+pids -cpu");
    closeSync(fd);
    expect(kernel.files.get(file)?.content).toBe("memory pids\n");
    expect(observed).toEqual(["openat", "write"]);
  });

  it("denies device programs to a caller without rights on the host", () => {
    kernel.deniesBpf = true;
    substituteKernel(kernel.call);
    expect(trySyscall("bpf", 5, new Uint8Array(48), 48)).toBe(-errnoNumber("EPERM"));
    expect(observed).toEqual([]);
  });

  it("does not tell of a limit of the caller's own", () => {
    substituteKernel(kernel.call);
    const limit = new Uint8Array(16);
    for (const pid of [0, 2_000_000_000]) expect(trySyscall("prlimit64", pid, 8, limit, null)).toBe(0);
    expect(observed).toEqual(["prlimit64"]);
  });
});
