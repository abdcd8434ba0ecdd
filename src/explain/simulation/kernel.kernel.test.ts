import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { errnoNumber } from "../../../bindings/abi/errno.ts";
import { O_WRONLY } from "../../../bindings/abi/fcntl.ts";
import { SIGCHLD } from "../../../bindings/abi/signal.ts";
import { substituteKernel, trySyscall } from "../../../bindings/ffi/syscall.ts";
import { mkdirSync, readdirSync, rmdirSync } from "../../../bindings/linux/directories.ts";
import { statfsSync } from "../../../bindings/linux/file-status.ts";
import { closeSync, openSync, readFileSync, writeSync } from "../../../bindings/linux/files.ts";
import { pidfdOpen } from "../../../bindings/linux/pidfd.ts";
import { waitReady } from "../../../bindings/linux/poll.ts";
import { allSignalsExcept, openSignalfd, readSignalfd } from "../../../bindings/linux/signalfd.ts";
import { writeCgroupFile } from "../../cgroup/files.ts";
import { Names } from "../names.ts";
import { SimulatedKernel } from "./kernel.ts";

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

  it("keeps the controllers that the host has enabled", () => {
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

  it("does not report a limit of the calling process", () => {
    substituteKernel(kernel.call);
    const limit = new Uint8Array(16);
    for (const pid of [0, 2_000_000_000]) expect(trySyscall("prlimit64", pid, 8, limit, null)).toBe(0);
    expect(observed).toEqual(["prlimit64"]);
  });

  it("shows the processes and the state of a cgroup in its files", () => {
    const names = new Names();
    kernel = new SimulatedKernel(names, () => undefined, true);
    kernel.files.assumesCgroups = true;
    const pid = names.process("init");
    const cgroup = "/sys/fs/cgroup/made-here";
    const contentOf = (file: string) => readFileSync(`${cgroup}/${file}`, "latin1");
    substituteKernel(kernel.call);
    mkdirSync(cgroup);
    mkdirSync(`${cgroup}/below`);
    kernel.files.enterCgroup(pid, cgroup);
    writeCgroupFile(cgroup, "cgroup.freeze", "1");
    expect(contentOf("cgroup.procs")).toBe(`${pid}\n`);
    expect(contentOf("cgroup.events")).toBe("populated 1\nfrozen 1\n");
    expect(() => rmdirSync(cgroup)).toThrow("ENOTEMPTY");
    expect(readdirSync(cgroup).sort()).toEqual(["below", "cgroup.freeze"]);
    writeCgroupFile(cgroup, "cgroup.kill", "1");
    expect(contentOf("cgroup.events")).toBe("populated 0\nfrozen 1\n");
    expect(pidfdOpen(pid)).toBeUndefined();
    rmdirSync(`${cgroup}/below`);
    rmdirSync(cgroup);
    expect(() => statfsSync(cgroup)).toThrow("ENOENT");
  });

  it("delivers SIGCHLD once, before the child's pidfd becomes readable", () => {
    const names = new Names();
    kernel = new SimulatedKernel(names, () => undefined, true);
    substituteKernel(kernel.call);
    const pidfd = pidfdOpen(names.process("init")) ?? -1;
    const signals = openSignalfd(allSignalsExcept([]));
    expect(waitReady([pidfd, signals], [])).toEqual([signals]);
    expect(readSignalfd(signals)).toEqual([SIGCHLD]);
    expect(waitReady([pidfd, signals], [])).toContain(pidfd);
  });
});
