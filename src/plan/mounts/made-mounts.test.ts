import { describe, expect, it } from "vitest";
import { O_DIRECTORY, RESOLVE_BENEATH, RESOLVE_IN_ROOT } from "../../../bindings/abi/fcntl.ts";
import { statx as statxLayout } from "../../../bindings/abi/layouts.ts";
import { RuntsError } from "../../errors.ts";
import type { Config, Mount } from "../../spec/types.ts";
import { howOf, only, summary, type TestPlanOptions, testPlan } from "../plan.test-support.ts";
import { basesOf, openFrom, openTarget, verifyMountPoints } from "./made-mounts.ts";
import { maskPaths, protectReadonlyPaths } from "./masked-paths.ts";
import { makeMounts, openBindSources } from "./mounts.ts";
import { mountRequests } from "./requests.ts";

const PROC: Mount = { destination: "/proc", type: "proc", source: "proc" };
const SYS: Mount = { destination: "/sys", type: "sysfs", source: "sysfs" };
const DATA: Mount = { destination: "/data", source: "/src", options: ["rbind"] };

function planned(config: Partial<Config>, options: TestPlanOptions = {}) {
  const { program, plan } = testPlan(config, options);
  const requests = mountRequests(plan);
  openBindSources(program, requests);
  makeMounts(program, plan, requests, []);
  const before = program.operations.length;
  return { program, plan, operations: () => program.operations.slice(before) };
}

function mountOf({ plan }: ReturnType<typeof planned>, destination: string) {
  return plan.made.find((made) => made.destination === destination)?.mount;
}

describe("which mounts stay open", () => {
  it("only those below which something is masked, mounted or made later", () => {
    const mounts = [PROC, SYS, DATA, { destination: "/dev", type: "tmpfs" }];
    const cgroup = { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup" };
    const { plan } = planned({
      mounts: [...mounts, cgroup, { destination: "/tmp", type: "tmpfs", options: ["ro"] }],
      linux: { maskedPaths: ["/proc/kcore"], readonlyPaths: ["/database"] },
    });
    expect(plan.made.flatMap(({ destination, mount }) => (mount ? [destination] : []))).toEqual([
      "/proc",
      "/sys",
      "/dev",
      "/tmp",
    ]);
  });

  it("none in a running container, where each mount is finished before the next", () => {
    const { program, plan } = planned(
      { mounts: [PROC], linux: { maskedPaths: ["/proc/kcore"] } },
      { isLive: true },
    );
    expect(plan.made).toMatchObject([{ destination: "/proc", mount: undefined }]);
    const mount = only(program, "fsmount")[0]?.into;
    expect(only(program, "close").map(({ args }) => args[0])).toContain(mount);
  });
});

describe("where a path is opened from", () => {
  const hidden = { maskedPaths: ["/proc/kcore", "/data/x"], readonlyPaths: ["/sys", "/proc/a/b"] };
  const made = () => planned({ mounts: [PROC, SYS, DATA], linux: hidden });

  it("below a file system of the kernel: from that only", () => {
    const one = made();
    expect(basesOf(one.plan, "/proc/../proc//kcore")).toEqual([
      { from: mountOf(one, "/proc"), within: "proc", path: "kcore", beneath: false },
    ]);
  });

  it("below a mount with files of others: beneath it, then from the root, to which its links may lead", () => {
    const one = made();
    expect(basesOf(one.plan, "/data/x")).toEqual([
      { from: mountOf(one, "/data"), within: "data", path: "x", beneath: true },
      { from: one.plan.root, within: "", path: "data/x", beneath: false },
    ]);
  });

  it("below no mount: from the root, even if a mount's name is a prefix of the path", () => {
    const one = made();
    for (const path of ["/etc/passwd", "/procs"])
      expect(basesOf(one.plan, path)).toMatchObject([{ from: one.plan.root, path: path.slice(1) }]);
  });

  it("below two mounts of one place: from the last one, which covers the other", () => {
    const again = { destination: "/proc", type: "tmpfs", source: "tmpfs" };
    const one = planned({
      mounts: [SYS, { ...again, destination: "/sys/inner" }, SYS],
      linux: { maskedPaths: ["/sys/inner/x"] },
    });
    expect(basesOf(one.plan, "/sys/inner/x")).toMatchObject([
      { from: one.plan.made.at(-1)?.mount, path: "inner/x" },
    ]);
  });

  it("the mount itself: by its descriptor, which may be a file", () => {
    const one = made();
    const [base] = basesOf(one.plan, "/sys");
    openFrom(one.program, base, "/sys", {});
    openFrom(one.program, base, "/sys", { flags: O_DIRECTORY });
    expect(one.operations()).toMatchObject(
      [
        { call: "open_tree", args: [mountOf(one, "/sys"), "", {}] },
        { call: "openat2", args: [mountOf(one, "/sys"), ".", {}, {}] },
      ].map(({ call, args }) => ({ call, args: expect.arrayContaining(args.slice(0, 2)) })),
    );
  });
});

describe("masked and read-only paths", () => {
  it("below a file system of the kernel are found in it, however the directories of the root are renamed", () => {
    const one = planned({
      mounts: [PROC],
      linux: { maskedPaths: ["/proc/kcore"], readonlyPaths: ["/proc/sys"] },
    });
    protectReadonlyPaths(one.program, one.plan);
    maskPaths(one.program, one.plan, one.plan.hostProc);
    const opened = one.operations().filter(({ call }) => call === "openat2");
    expect(opened.map(({ args }) => args.slice(0, 2))).toEqual([
      [mountOf(one, "/proc"), "sys"],
      [mountOf(one, "/proc"), "kcore"],
      [mountOf(one, "/proc"), "kcore"],
    ]);
    expect(opened.map(({ path }) => path)).toEqual(["/proc/sys", "/proc/kcore", "/proc/kcore"]);
  });

  it("below a volume are looked up beneath it, and from the root if they are not found", () => {
    const one = planned({ mounts: [DATA], linux: { maskedPaths: ["/data/x"] } });
    maskPaths(one.program, one.plan, one.plan.hostProc);
    const opened = one.operations().filter(({ call }) => call === "openat2");
    expect(
      opened.map((operation) => [
        operation.args[1],
        howOf(operation).resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT),
      ]),
    ).toEqual([
      ["x", RESOLVE_BENEATH],
      ["x", RESOLVE_BENEATH],
      ["data/x", RESOLVE_IN_ROOT],
      ["data/x", RESOLVE_IN_ROOT],
    ]);
    const [, beneath, fromRoot] = opened;
    expect(fromRoot?.guard).toEqual({ on: beneath?.into, is: "failed" });
    expect(beneath?.tolerate).toContain("EXDEV");
  });
});

describe("openTarget", () => {
  it("creates missing entries inside kernel and runtime mounts; errors show the full path", () => {
    const mounts = [{ destination: "/dev", type: "tmpfs", source: "tmpfs" }];
    const one = planned({ mounts });
    openTarget(one.program, one.plan, "/dev/pts", "directory");
    const dev = mountOf(one, "/dev");
    expect(
      one
        .operations()
        .filter(({ call }) => call !== "copy")
        .map(({ call, args, path }) => [call, args[0], args[1], path]),
    ).toEqual([
      ["openat2", dev, "pts", "/dev/pts"],
      ["mkdirat", dev, "pts", "dev/pts"],
      ["openat2", dev, "pts", "/dev/pts"],
    ]);
  });

  it("opens what exists beneath a volume, and creates what is missing from the root", () => {
    const one = planned({ mounts: [DATA], linux: { maskedPaths: ["/data/x"] } });
    openTarget(one.program, one.plan, "/data/x", "directory");
    expect(summary(one.operations()).slice(0, 2)).toEqual(["openat2 /data/x", "openat2 /data/x ?failed"]);
    const [beneath, fromRoot] = one.operations();
    expect(beneath?.args.slice(0, 2)).toEqual([mountOf(one, "/data"), "x"]);
    expect(fromRoot?.args.slice(0, 2)).toEqual([one.plan.root, "data/x"]);
    expect(fromRoot?.into).toEqual(beneath?.into);
  });
});

describe("verifyMountPoints", () => {
  function stat(mount: bigint): Uint8Array {
    const bytes = new Uint8Array(statxLayout.size);
    new DataView(bytes.buffer).setBigUint64(statxLayout.stx_mnt_id, mount, true);
    return bytes;
  }

  function outcome(...numbers: bigint[]): unknown {
    const one = planned({ mounts: [PROC], linux: { maskedPaths: ["/proc/kcore"] } });
    const [check] = verifyMountPoints(one.program, one.plan);
    const outputs: Uint8Array[] = one.program.outputs.map(() => new Uint8Array(statxLayout.size));
    outputs.splice(-numbers.length, numbers.length, ...numbers.map(stat));
    try {
      check?.({ results: [], outputs, failure: undefined });
      return "in its place";
    } catch (error) {
      return error instanceof RuntsError ? [error.pointer, error.errno] : error;
    }
  }

  it("fails if the path leads to another mount, or to nothing", () => {
    expect(outcome(7n, 7n)).toBe("in its place");
    expect(outcome(7n, 8n)).toEqual(["/mounts/0", "ESTALE"]);
    expect(outcome(0n, 0n)).toEqual(["/mounts/0", "ESTALE"]);
  });

  it("leaves out mounts that are covered by another mount or masked themselves", () => {
    const one = planned({ mounts: [PROC, SYS, SYS], linux: { maskedPaths: ["/proc", "/sys/x"] } });
    expect(verifyMountPoints(one.program, one.plan)).toHaveLength(1);
  });
});
