import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Program, RegisterAllocator } from "../../bindings/stub/program.ts";
import { decodeMessage } from "../../bindings/stub/wire.test-support.ts";

/** stub.c's numbers. */
const COPY = 0x10002;
const AWAIT = 0x10004;

let directory = "";

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "runts-faults-"));
  vi.resetModules();
});

afterEach(() => rmSync(directory, { recursive: true }));

/** The modules as a program of their own has them, whose operation `at` goes wrong. */
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
  test("that fails does so in the stub, with the errno, and is reported", async () => {
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
    // What errors are told from stays as it was.
    expect(program.operations[2]?.call).toBe("sethostname");
  });

  test("that kills the stub reads from nowhere", async () => {
    const { encodeProgram } = await armed(1, "kill-stub");
    const { operations } = decodeMessage(encodeProgram(threeOperations()).message);
    expect(operations[1]).toMatchObject({ nr: AWAIT });
    expect(operations[1]?.args[0]?.value).toBe(0n);
  });

  test("of a process that goes on from memory is counted from its own arguments on", async () => {
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

  test("of another number is as it is", async () => {
    const { encodeProgram } = await armed(4, "fail");
    const { encodeProgram: real } = await import("../../bindings/stub/encode.ts");
    const operationsOf = (encode: typeof real) => decodeMessage(encode(threeOperations()).message).operations;
    expect(operationsOf(encodeProgram)).toEqual(operationsOf(real));
  });
});
