import { readdirSync } from "node:fs";
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { NativeArgument } from "../../bindings/ffi/koffi.ts";
import { numbers, trySyscall } from "../../bindings/ffi/syscall.ts";
import { usersCommands, usualCommands } from "./commands.ts";
import { warmUp } from "./warm-up.ts";

/** The numbers of real system calls, and the prototypes of other C functions, that were called. */
const { called } = vi.hoisted(() => ({ called: [] as unknown[] }));

vi.mock("../../bindings/ffi/koffi.ts", async (original) => {
  const koffi = await original<typeof import("../../bindings/ffi/koffi.ts")>();
  return {
    ...koffi,
    loadLibrary: (name: string | null) => {
      const library = koffi.loadLibrary(name);
      return {
        func: (prototype: string) => {
          const call = library.func(prototype);
          const told = (...args: readonly (NativeArgument | string)[]) => {
            called.push(prototype.startsWith("int64_t syscall(") ? args[0] : prototype);
            return call(...args);
          };
          return Object.assign(told, { async: call.async });
        },
      };
    },
  };
});

/** The descriptors of this process, except the one that lists them. */
function openDescriptors(): string[] {
  return readdirSync("/proc/self/fd").slice(0, -1);
}

describe("warmUp", () => {
  beforeEach(() => {
    called.length = 0;
  });

  it("makes a single system call each time, to load the code that makes them", async () => {
    await warmUp();
    await warmUp();
    expect(called).toEqual([numbers.gettid, numbers.gettid]);
  });

  it("leaves no descriptor open, and restores the real kernel", async () => {
    await warmUp();
    const before = openDescriptors();
    await warmUp();
    expect(openDescriptors()).toEqual(before);
    expect(trySyscall("getpid")).toBe(process.pid);
  });

  it("writes neither results nor errors", async () => {
    const write = vi.spyOn(process.getBuiltinModule("node:fs"), "writeSync");
    await warmUp();
    expect(write).not.toHaveBeenCalled();
  });

  it("runs all commands that engines call", () => {
    const names = [...usualCommands(), ...usersCommands()].flatMap(({ argv }) => argv);
    const commands = ["create", "start", "state", "run", "exec", "kill", "pause", "resume", "delete", "list"];
    for (const name of [...commands, "ps", "update", "events", "features", "spec", "--version"])
      expect(names).toContain(name);
  });
});
