import { describe, expect, it } from "vitest";
import { CLOSE_RANGE_CLOEXEC, O_CLOEXEC } from "../../../bindings/abi/fcntl.ts";
import type { Process } from "../../spec/types.ts";
import { bytesOf, only, summary, testPlan } from "../plan.test-support.ts";
import { type ExecProgramOptions, execProgram, setUmask } from "./exec.ts";

const sh: Process = { cwd: "/work", args: ["sh", "-c", "true"] };

it.each([
  [undefined, 0o022],
  [{ umask: 0 }, 0],
  [{ umask: 0o077 }, 0o077],
])("the umask of %j", (user, umask) => {
  const { program } = testPlan({});
  setUmask(program, { ...sh, ...(user !== undefined && { user }) });
  expect(program.operations).toMatchObject([{ call: "umask", args: [umask] }]);
});

describe("the last program", () => {
  function planned(changes: Partial<ExecProgramOptions> = {}, process: Process = sh) {
    const { program, plan } = testPlan({});
    execProgram(program, process, {
      listener: plan.root,
      path: "/bin/sh",
      env: ["A=1"],
      keepFds: 2,
      gaps: [],
      inheritedNofile: undefined,
      seccomp: undefined,
      ...changes,
    });
    return program;
  }
  const seccomp = { filter: new Uint8Array(24), flags: 4, listener: undefined };
  const hard = 4096n;

  it("makes only the execve after the filter, and is quiet", () => {
    const program = planned({ seccomp });
    expect(program.quiet).toBe(true);
    expect(summary(program.operations).filter((line) => line !== "store")).toEqual([
      "dup3 the start socket",
      "close_range",
      "accept4",
      "set-channel",
      "close_range",
      "seccomp",
      "execve /bin/sh",
    ]);
    expect(program.operations.at(-2)).toMatchObject({ call: "seccomp", pointer: "/linux/seccomp" });
    const header = bytesOf(only(program, "seccomp")[0], 2);
    expect(new DataView(header.buffer).getUint16(0, true)).toBe(3);
    expect(only(program, "seccomp")[0]?.args[1]).toBe(4);
  });

  it("under an init: dies with the runtime, and leaves pid 1 behind its own filter, right before the execve", () => {
    const calls = planned({ seccomp, underInit: true }).operations.map(({ call }) => call);
    expect(calls.indexOf("prctl")).toBeLessThan(calls.indexOf("accept4"));
    expect(calls.slice(-3)).toEqual(["seccomp", "init", "execve"]);
    expect(planned({ seccomp }).operations.map(({ call }) => call)).not.toContain("init");
  });

  it("closes the gaps and all descriptors after the kept ones at execve", () => {
    const gaps = [
      { first: 3, last: 8 },
      { first: 10, last: 39 },
    ];
    const ranges = only(planned({ listener: undefined, keepFds: 38, gaps }), "close_range");
    expect(ranges.map(({ args }) => args)).toEqual([
      [3, 8, CLOSE_RANGE_CLOEXEC],
      [10, 39, CLOSE_RANGE_CLOEXEC],
      [41, 0xffffffff, CLOSE_RANGE_CLOEXEC],
    ]);
  });

  it.each([true, false])(
    "makes no system call between a filter with a listener and execve, dumpable %s",
    (dumpable) => {
      const program = planned({ seccomp: { ...seccomp, listener: { dumpable } } });
      expect(
        summary(program.operations)
          .filter((line) => line !== "store")
          .slice(4),
      ).toEqual(["close_range", "mmap", "seccomp", "await", "execve /bin/sh"]);
      const [mapped] = only(program, "mmap");
      expect(only(program, "await")[0]?.args).toEqual([mapped?.into]);
    },
  );

  it("waits with nothing open but stdio, the kept descriptors and the start socket", () => {
    const program = planned();
    const [moved, closed, , , marked] = program.operations.filter(({ call }) => call !== "store");
    expect(moved?.args.slice(1)).toEqual([5, O_CLOEXEC]);
    expect(closed?.args).toEqual([6, 0xffffffff, 0]);
    expect(marked?.args).toEqual([5, 0xffffffff, CLOSE_RANGE_CLOEXEC]);
  });

  it("passes the arguments and the environment", () => {
    const program = planned();
    const strings = only(program, "store").map((store) =>
      Buffer.from(bytesOf(store, 1)).toString().replace(/\0$/, ""),
    );
    expect(strings).toEqual(["sh", "-c", "true", "A=1"]);
    expect(program.operations.at(-1)).toMatchObject({ pointer: "/process/args/0", purpose: 'exec: "sh"' });
  });

  it("sets the limits after start, and the caller's limit of open files if the config has none", () => {
    const rlimits = [{ type: "RLIMIT_CORE", soft: 1n, hard: 2n }] as const;
    const inheritedNofile = { soft: 1024n, hard };
    const limits = only(planned({ inheritedNofile }, { ...sh, rlimits }), "prlimit64");
    expect(limits.map(({ args, pointer }) => [args[1], pointer])).toEqual([
      [4, "/process/rlimits/0"],
      [7, ""],
    ]);
    expect(limits.map((limit) => [...new BigUint64Array(bytesOf(limit, 2).buffer)])).toEqual([
      [1n, 2n],
      [1024n, hard],
    ]);
    const own = [{ type: "RLIMIT_NOFILE", soft: 5n, hard: 5n }] as const;
    const ownLimits = only(planned({ inheritedNofile }, { ...sh, rlimits: own }), "prlimit64");
    expect(ownLimits.map(({ pointer }) => pointer)).toEqual(["/process/rlimits/0"]);
  });
});
