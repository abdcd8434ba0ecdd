import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Program, RegisterAllocator } from "../../bindings/stub/program.ts";
import { decodeMessage } from "../../bindings/stub/wire.test-support.ts";

/** Numbers of stub.c. */
const COPY = 0x10002;
const AWAIT = 0x10004;

let directory = "";

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "runts-faults-"));
  vi.resetModules();
});

afterEach(() => rmSync(directory, { recursive: true }));

/** Loads the modules anew, as a separate program does, and arms the fault for operation number `at`. */
async function armed(at: number, mode: string) {
  const { armFrom, next } = await import("./injection.ts");
  const report = join(directory, "report");
  const argv = ["runts", "state", `--fault=${JSON.stringify({ at, mode, errno: 5, report })}`, "x"];
  armFrom(argv);
  const { encodeProgram } = await import("./encode.ts");
  return { argv, next, encodeProgram, report: () => JSON.parse(readFileSync(report, "utf8")) };
}

function threeOperations(): Program {
  const program = new Program(new RegisterAllocator());
  program.about("/hostname", "set the host name");
  program.do("copy", [1]);
  program.do("umask", [0]);
  program.do("sethostname", ["box", 3], { tolerate: ["EPERM"] });
  program.do("getpid", []);
  return program;
}

describe("an operation of a program for the stub", () => {
  test("mode fail: it fails in the stub with the errno, and is reported", async () => {
    const { encodeProgram, report, argv } = await armed(2, "fail");
    const program = threeOperations();
    const { operations } = decodeMessage(encodeProgram(program).message);
    expect(argv).toEqual(["runts", "state", "x"]);
    expect(operations).toHaveLength(4);
    expect(operations[2]).toMatchObject({ nr: COPY });
    expect(BigInt.asIntN(64, operations[2]?.args[0]?.value ?? 0n)).toBe(-5n);
    expect(report()).toMatchObject({
      at: 2,
      side: "stub",
      call: "sethostname",
      path: "box",
      pointer: "/hostname",
    });
    // The program that error messages are made from is unchanged.
    expect(program.operations[2]?.call).toBe("sethostname");
  });

  test("mode kill-stub: it reads from address 0", async () => {
    const { encodeProgram } = await armed(1, "kill-stub");
    const { operations } = decodeMessage(encodeProgram(threeOperations()).message);
    expect(operations[1]).toMatchObject({ nr: AWAIT });
    expect(operations[1]?.args[0]?.value).toBe(0n);
  });

  test("after a warm start: counting starts again with the arguments of the new process", async () => {
    const { encodeProgram, next, report } = await armed(2, "fail");
    const { armFrom } = await import("./injection.ts");
    next(() => ({ side: "runtime", call: "read", path: "" }));
    armFrom(["warm"]);
    const unarmed = decodeMessage(encodeProgram(threeOperations()).message).operations;
    expect(unarmed.map(({ nr }) => nr)).not.toContain(AWAIT);
    const again = JSON.stringify({ at: 1, mode: "kill-stub", errno: 5, report: join(directory, "report") });
    armFrom([`--fault=${again}`]);
    expect(decodeMessage(encodeProgram(threeOperations()).message).operations[1]).toMatchObject({
      nr: AWAIT,
    });
    expect(report()).toMatchObject({ at: 1, call: "umask" });
  });

  test("any other operation is unchanged", async () => {
    const { encodeProgram } = await armed(4, "fail");
    const { encodeProgram: real } = await import("../../bindings/stub/encode.ts");
    const operationsOf = (encode: typeof real) => decodeMessage(encode(threeOperations()).message).operations;
    expect(operationsOf(encodeProgram)).toEqual(operationsOf(real));
  });
});
