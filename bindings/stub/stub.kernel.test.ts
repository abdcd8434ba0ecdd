import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { syscall } from "../ffi/syscall.ts";
import { StubChannel } from "./client.ts";
import {
  boundedPair,
  isSilent,
  receiveBytes,
  receiveReply,
  type Stub,
  startStub,
  targets,
} from "./kernel.test-support.ts";
import { at, data, type Guard, type Program, type Register } from "./program.ts";

const EPERM = 1;
const ENOENT = 2;
const EBADF = 9;
const ECANCELED = 125;
const [SEEK_SET, SEEK_END] = [0, 2];
/** All that the stub passes to the kernel is checked by what the kernel does with it: a file shows most. */
const CONTENT = "0123456789abcdef";

describe.each(targets)("stub: $name", ({ name, skipReason, numbers, prepare }) => {
  if (skipReason !== false) {
    test.skip(`skipped: ${skipReason}`, () => {});
    return;
  }
  const directory = mkdtempSync(join(tmpdir(), "runts-stub-"));
  let command: readonly string[] = [];
  let stub: Stub;
  let file = "";
  let fd = -1;

  beforeAll(() => {
    command = prepare(directory);
  });

  afterAll(() => {
    rmSync(directory, { recursive: true, force: true });
  });

  beforeEach(() => {
    stub = startStub(command, numbers);
    file = join(directory, "größe");
    writeFileSync(file, CONTENT);
    fd = openSync(file, "r+");
  });

  afterEach(async () => {
    await stub.dispose();
    closeSync(fd);
  });

  function run(program: Program) {
    return stub.channel.run(program);
  }

  /** Results of a program that is expected to succeed. */
  function results(build: (program: Program) => void): readonly number[] {
    const program = stub.channel.program();
    build(program);
    const reply = run(program);
    expect(reply.failure).toBeUndefined();
    return reply.results;
  }

  /** A program that gets a register with the value, which may be what a failure looks like. */
  function withValue(value: number): readonly [Program, Register] {
    const program = stub.channel.program();
    return [program, program.call("copy", [value], { tolerate: ["any"] })];
  }

  describe("arguments", () => {
    test("numbers of 64 bits, positive and negative", () => {
      const offset = 0x12_3456_789a;
      const program = stub.channel.program();
      const file = program.descriptor(fd);
      program.do("lseek", [file, offset, SEEK_SET]);
      program.do("lseek", [file, BigInt(offset), SEEK_SET]);
      program.do("lseek", [file, -6, SEEK_END]);
      program.do("copy", [-5_000_000_000]);
      program.do("copy", [0x7fff_ffff_ffff_f000n]);
      expect(run(program).results).toEqual([
        offset,
        offset,
        10,
        -5_000_000_000,
        Number(0x7fff_ffff_ffff_f000n),
      ]);
    });

    test("a string", () => {
      const program = stub.channel.program();
      const opened = program.call("openat", [-100, file, 0, 0]);
      const content = program.output(4);
      program.do("read", [opened, content, 4]);
      const reply = run(program);
      expect(reply.results).toEqual([expect.any(Number), 4]);
      expect(Buffer.from(reply.outputs[0] ?? []).toString()).toBe("0123");
    });

    test("data, from its start and from an offset", () => {
      const bytes = data(Buffer.from("WXYZ"));
      results((program) => {
        const file = program.descriptor(fd);
        program.do("pwrite64", [file, bytes, 4, 0]);
        program.do("pwrite64", [file, at(bytes, 3), 1, 15]);
      });
      expect(readFileSync(file, "utf8")).toBe("WXYZ456789abcdeZ");
    });

    test("registers, also of a program before, and the last of them", () => {
      const program = stub.channel.program();
      const opened = program.descriptor(fd);
      const length = program.call("lseek", [opened, 0, SEEK_END]);
      program.do("copy", [length], { into: { register: 4095 } });
      run(program);
      expect(results((later) => later.do("lseek", [opened, length, SEEK_SET]))).toEqual([16]);
      expect(results((later) => later.do("copy", [{ register: 4095 }]))).toEqual([16]);
    });

    test("outputs, from the start and from an offset; zero where nothing was written", () => {
      const program = stub.channel.program();
      const [first, second] = [program.output(3), program.output(9)];
      const opened = program.descriptor(fd);
      program.do("pread64", [opened, first, 3, 10]);
      program.do("pread64", [opened, at(second, 2), 6, 0]);
      const { outputs } = run(program);
      expect(outputs.map((bytes) => Buffer.from(bytes).toString())).toEqual(["abc", "\0\u0000012345\0"]);
    });

    test("all six of them, in their places", () => {
      const [from, to] = [data(new Uint8Array(8)), data(new Uint8Array(8))];
      new DataView(from.bytes.buffer).setBigUint64(0, 10n, true);
      const copy = (flags: number) => {
        const program = stub.channel.program();
        const opened = program.descriptor(fd);
        program.do("copy_file_range", [opened, from, opened, to, 3, flags], { tolerate: ["EINVAL"] });
        return run(program).results;
      };
      expect(copy(0)).toEqual([3]);
      expect(readFileSync(file, "utf8")).toBe("abc3456789abcdef");
      expect(copy(1)).toEqual([-22]);
    });
  });

  describe("guards", () => {
    const cases: readonly (readonly [value: number, holds: readonly Guard[]])[] = [
      [5, ["ok", "positive"]],
      [0, ["ok", "zero"]],
      [-EBADF, ["failed"]],
      [-5000, ["failed"]],
    ];
    test.each(cases)("for the value %i", (value, holds) => {
      for (const guard of ["ok", "failed", "zero", "positive"] as const) {
        const [program, on] = withValue(value);
        const into = program.call("copy", [7], { if: [on, guard] });
        program.do("copy", [into]);
        const ran = holds.includes(guard) ? 7 : 0;
        expect(run(program), guard).toEqual({ results: [value, ran, ran], outputs: [], failure: undefined });
      }
    });

    test("an operation that is skipped leaves its register alone, and fails with nothing", () => {
      const program = stub.channel.program();
      const value = program.call("copy", [3]);
      program.do("close", [-1], { into: value, if: [value, "zero"] });
      program.do("copy", [value]);
      expect(run(program).results).toEqual([3, 0, 3]);
    });
  });

  describe("failures", () => {
    test("an error stops the program, and the results up to it are there", () => {
      const program = stub.channel.program();
      program.do("copy", [1]);
      program.do("openat", [-100, join(directory, "missing"), 0, 0]);
      program.do("copy", [2]);
      expect(run(program)).toEqual({
        results: [1, -ENOENT],
        outputs: [],
        failure: { index: 1, errno: ENOENT },
      });
    });

    test("the index does not count what descriptors need", () => {
      const program = stub.channel.program();
      program.descriptor(fd);
      program.descriptor(fd);
      program.do("copy", [1]);
      program.do("close", [-1]);
      expect(run(program)).toMatchObject({ results: [1, -EBADF], failure: { index: 1, errno: EBADF } });
    });

    test.each([[["EBADF"]], [["EPERM", "EBADF"]], [["EPERM", "ENOENT", "EBADF"]], [["any"]]])(
      "%j: the program goes on after EBADF",
      (tolerate) => {
        const [program, on] = [stub.channel.program(), { register: 77 }];
        program.do("close", [-1], { tolerate, into: on });
        program.do("copy", [1], { if: [on, "failed"] });
        expect(run(program)).toMatchObject({ results: [-EBADF, 1], failure: undefined });
      },
    );

    test("an error that is not listed stops the program", () => {
      const program = stub.channel.program();
      program.do("close", [-1], { tolerate: ["EPERM", "ENOENT", "EHWPOISON"] });
      expect(run(program)).toMatchObject({ results: [-EBADF], failure: { index: 0, errno: EBADF } });
    });

    test("a listed error is told from one that is larger by 256", () => {
      const [program] = [stub.channel.program()];
      program.do("copy", [-(256 + EBADF)], { tolerate: ["EBADF"] });
      expect(run(program).failure).toEqual({ index: 0, errno: 256 + EBADF });
    });

    test.each([
      [-1, EPERM],
      [-4095, 4095],
      [-4096, undefined],
    ])("the result %i is errno %s", (value, errno) => {
      const program = stub.channel.program();
      program.do("copy", [value]);
      expect(run(program).failure?.errno).toBe(errno);
    });

    test("programs after a failed one are answered by ECANCELED and not run", () => {
      const program = stub.channel.program();
      const opened = program.descriptor(fd);
      program.do("close", [-1]);
      stub.channel.send(program);
      for (let round = 0; round < 2; round++) {
        const later = stub.channel.program();
        later.descriptor(fd);
        later.output(8);
        later.do("pwrite64", [opened, data(Buffer.from("!")), 1, 0]);
        stub.channel.send(later);
      }
      expect(stub.channel.waiting).toBe(3);
      expect(stub.channel.receive().failure?.errno).toBe(EBADF);
      for (let round = 0; round < 2; round++) {
        const reply = stub.channel.receive();
        expect(reply).toMatchObject({ results: [], failure: { errno: ECANCELED } });
        expect(reply.failure?.index).toBeLessThan(0);
      }
      expect(readFileSync(file, "utf8")).toBe(CONTENT);
    });

    test("a quiet program after a failed one is not run, and ends the stub", async () => {
      const program = stub.channel.program();
      program.do("close", [-1]);
      run(program);
      const later = stub.channel.program();
      later.quiet = true;
      later.do("copy", [1]);
      stub.channel.send(later);
      expect(receiveReply(stub.fd)).toEqual({ ran: 0, error: ECANCELED, results: [] });
      expect(await stub.ended).toBe(127);
    });
  });

  describe("operations of the stub", () => {
    test("store puts 4 and 8 bytes into data", () => {
      const bytes = data(new Uint8Array(16).fill(0xee));
      results((program) => {
        const opened = program.descriptor(fd);
        program.store(bytes, 0x1122334455667788n, 8);
        program.store(at(bytes, 9), -2, 4);
        program.do("pwrite64", [opened, bytes, 16, 0]);
      });
      expect(readFileSync(file, "hex")).toBe("8877665544332211eefeffffffeeeeee");
    });

    test("store puts addresses and registers into data: a string array, a result", () => {
      const program = stub.channel.program();
      const opened = program.descriptor(fd);
      const length = program.call("lseek", [opened, 0, SEEK_END]);
      const text = data(Buffer.from("vector"));
      const vector = data(new Uint8Array(16));
      program.store(vector, text, 8);
      program.store(at(vector, 8), 6, 8);
      program.do("writev", [opened, vector, 1]);
      const value = program.output(8);
      program.store(at(value, 4), length, 4);
      expect(run(program)).toMatchObject({
        results: [16, 0, 0, 6, 0],
        outputs: [Uint8Array.of(0, 0, 0, 0, 16, 0, 0, 0)],
      });
      expect(readFileSync(file, "utf8")).toBe(`${CONTENT}vector`);
    });

    test("store that is skipped changes nothing", () => {
      const [program, on] = withValue(1);
      const value = program.output(8);
      program.store(value, 1, 8, { if: [on, "zero"] });
      expect(run(program).outputs).toEqual([new Uint8Array(8)]);
    });

    test("load takes 2 and 4 bytes without a sign, from data and from outputs", () => {
      const bytes = data(Uint8Array.of(0x11, 0xfe, 0xff, 0xff, 0xff, 0x22));
      const program = stub.channel.program();
      const output = program.output(4);
      program.do("pread64", [program.descriptor(fd), output, 4, 0]);
      program.do("load", [at(bytes, 1), 2]);
      program.do("load", [at(bytes, 1), 4]);
      program.do("load", [at(output, 2), 2]);
      expect(run(program).results).toEqual([4, 0xfffe, 0xfffffffe, 0x3332]);
    });

    test("copy takes constants and registers", () => {
      const program = stub.channel.program();
      const value = program.call("copy", [2 ** 40]);
      program.do("copy", [value]);
      expect(run(program).results).toEqual([2 ** 40, 2 ** 40]);
    });

    test("set-channel: the reply to the program and all that follows go over the other socket", async () => {
      const [ours, theirs] = boundedPair();
      const other = new StubChannel(ours, numbers);
      const program = stub.channel.program();
      program.do("set-channel", [program.descriptor(theirs)]);
      stub.channel.send(program);
      closeSync(theirs);
      expect(other.receiveFromClone(program)).toMatchObject({ results: [0], failure: undefined });
      const later = other.program();
      later.do("copy", [8]);
      expect(other.run(later).results).toEqual([8]);
      expect(isSilent(stub.fd)).toBe(true);
      other.close();
      expect(await stub.ended).toBe(0);
    });
  });

  describe("quiet programs", () => {
    test("have no reply when they succeed", () => {
      const quiet = stub.channel.program();
      quiet.quiet = true;
      quiet.do("pwrite64", [quiet.descriptor(fd), data(Buffer.from("quiet")), 5, 0]);
      stub.channel.send(quiet);
      expect(stub.channel.waiting).toBe(0);
      expect(results((program) => program.do("copy", [9]))).toEqual([9]);
      expect(readFileSync(file, "utf8").startsWith("quiet")).toBe(true);
      expect(isSilent(stub.fd)).toBe(true);
    });

    test("have one when they fail, and end the stub", async () => {
      const quiet = stub.channel.program();
      quiet.quiet = true;
      quiet.do("copy", [1]);
      quiet.do("close", [-1]);
      stub.channel.send(quiet);
      expect(receiveReply(stub.fd)).toEqual({ ran: 2, error: EBADF, results: [1n, -9n] });
      expect(receiveBytes(stub.fd, 1)).toHaveLength(0);
      expect(await stub.ended).toBe(127);
    });
  });

  describe("descriptors", () => {
    test("arrive close-on-exec, as many as one message takes", () => {
      const program = stub.channel.program();
      const F_GETFD = 1;
      const registers = Array.from({ length: 253 }, () => program.descriptor(fd));
      for (const register of registers) program.do("fcntl", [register, F_GETFD]);
      for (const register of registers) program.do("copy", [register]);
      const { results: values } = run(program);
      expect(values.slice(0, 253)).toEqual(registers.map(() => 1));
      expect(new Set(values.slice(253)).size).toBe(253);
    });

    test("land in no register that holds a result", () => {
      const program = stub.channel.program();
      const values = Array.from({ length: 3500 }, (_, index) => program.call("copy", [index]));
      run(program);
      const later = stub.channel.program();
      for (let count = 0; count < 253; count++) later.descriptor(fd);
      for (const value of values) later.do("copy", [value]);
      expect(run(later).results).toEqual(values.map((_, index) => index));
    });
  });

  describe("the stream", () => {
    test("its end ends the stub with 0", async () => {
      results((program) => program.do("copy", [1]));
      stub.hangUp();
      expect(await stub.ended).toBe(0);
    });

    test("an empty program has an empty reply", () => {
      expect(results(() => {})).toEqual([]);
    });

    test("programs and replies may be larger than the socket's buffers", () => {
      const program = stub.channel.program();
      const length = 2 << 20;
      const bytes = data(new Uint8Array(length).fill(0x5a));
      const opened = program.descriptor(fd);
      const output = program.output(length);
      program.do("pwrite64", [opened, bytes, length, 0]);
      program.do("pread64", [opened, output, length, 0]);
      const reply = run(program);
      expect(reply.results).toEqual([length, length]);
      expect(Buffer.compare(reply.outputs[0] ?? new Uint8Array(0), bytes.bytes)).toBe(0);
    });

    test("replies come in the order of the programs", () => {
      for (let value = 0; value < 100; value++) {
        const program = stub.channel.program();
        program.do("copy", [value]);
        stub.channel.send(program);
      }
      const values = Array.from({ length: 100 }, () => stub.channel.receive().results[0]);
      expect(values).toEqual(Array.from({ length: 100 }, (_, index) => index));
    });

    test("a stub that is gone is an error of its own", async () => {
      const program = stub.channel.program();
      program.do("exit_group", [3]);
      expect(() => run(program)).toThrow("EPIPE");
      expect(await stub.ended).toBe(3);
    });

    // An emulator and a libc have threads and mappings of their own.
    test.skipIf(name.includes(" "))("a stub has one thread and nothing but its image", () => {
      const program = stub.channel.program();
      program.do("getpid", []);
      const [pid = 0] = run(program).results;
      expect(readFileSync(`/proc/${pid}/status`, "utf8")).toContain("Threads:\t1\n");
      const maps = readFileSync(`/proc/${pid}/maps`, "utf8").trim().split("\n");
      const names = maps.map((line) => line.split(/\s+/)[5] ?? "").filter((entry) => entry !== "");
      expect(names.filter((entry) => !entry.startsWith("["))).toEqual(
        names.filter((entry) => entry === join(directory, "stub")),
      );
      expect(syscall("kill", [pid, 0])).toBe(0);
    });
  });
});
