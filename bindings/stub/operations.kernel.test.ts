import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { EBADF, ECANCELED, ENOENT, EPERM } from "../abi/errno.ts";
import { CONTENT, contentFile, describeBuilds, receiveReply, resultsIn } from "./kernel.test-support.ts";
import { at, data, type Guard, type Program, type Register } from "./program.ts";

const [SEEK_SET, SEEK_END] = [0, 2];
describeBuilds("operations", (bench) => {
  const file = contentFile(bench);

  function run(program: Program) {
    return bench.stub.channel.run(program);
  }

  function results(build: (program: Program) => void): readonly number[] {
    return resultsIn(bench, build);
  }

  /** A program with the value in a register; the value may look like a failure. */
  function withValue(value: number): readonly [Program, Register] {
    const program = bench.stub.channel.program();
    return [program, program.call("copy", [value], { tolerate: ["any"] })];
  }

  describe("arguments", () => {
    test("numbers of 64 bits, positive and negative", () => {
      const offset = 0x12_3456_789a;
      const program = bench.stub.channel.program();
      const opened = program.descriptor(file.fd);
      program.do("lseek", [opened, offset, SEEK_SET]);
      program.do("lseek", [opened, BigInt(offset), SEEK_SET]);
      program.do("lseek", [opened, -6, SEEK_END]);
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
      const program = bench.stub.channel.program();
      const opened = program.call("openat", [-100, file.path, 0, 0]);
      const content = program.output(4);
      program.do("read", [opened, content, 4]);
      const reply = run(program);
      expect(reply.results).toEqual([expect.any(Number), 4]);
      expect(Buffer.from(reply.outputs[0] ?? []).toString()).toBe("0123");
    });

    test("data, from its start and from an offset", () => {
      const bytes = data(Buffer.from("WXYZ"));
      results((program) => {
        const opened = program.descriptor(file.fd);
        program.do("pwrite64", [opened, bytes, 4, 0]);
        program.do("pwrite64", [opened, at(bytes, 3), 1, 15]);
      });
      expect(readFileSync(file.path, "utf8")).toBe("WXYZ456789abcdeZ");
    });

    test("registers, including those of an earlier program, and the last one", () => {
      const program = bench.stub.channel.program();
      const opened = program.descriptor(file.fd);
      const length = program.call("lseek", [opened, 0, SEEK_END]);
      program.do("copy", [length], { into: { register: 4095 } });
      run(program);
      expect(results((later) => later.do("lseek", [opened, length, SEEK_SET]))).toEqual([16]);
      expect(results((later) => later.do("copy", [{ register: 4095 }]))).toEqual([16]);
    });

    test("outputs, from the start and from an offset; zero if nothing was written", () => {
      const program = bench.stub.channel.program();
      const [first, second] = [program.output(3), program.output(9)];
      const opened = program.descriptor(file.fd);
      program.do("pread64", [opened, first, 3, 10]);
      program.do("pread64", [opened, at(second, 2), 6, 0]);
      const { outputs } = run(program);
      expect(outputs.map((bytes) => Buffer.from(bytes).toString())).toEqual(["abc", "\0\u0000012345\0"]);
    });

    test("all six, in their order", () => {
      const [from, to] = [data(new Uint8Array(8)), data(new Uint8Array(8))];
      new DataView(from.bytes.buffer).setBigUint64(0, 10n, true);
      const copy = (flags: number) => {
        const program = bench.stub.channel.program();
        const opened = program.descriptor(file.fd);
        program.do("copy_file_range", [opened, from, opened, to, 3, flags], { tolerate: ["EINVAL"] });
        return run(program).results;
      };
      expect(copy(0)).toEqual([3]);
      expect(readFileSync(file.path, "utf8")).toBe("abc3456789abcdef");
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

    test("a skipped operation keeps its register, and can't fail", () => {
      const program = bench.stub.channel.program();
      const value = program.call("copy", [3]);
      program.do("close", [-1], { into: value, if: [value, "zero"] });
      program.do("copy", [value]);
      expect(run(program).results).toEqual([3, 0, 3]);
    });
  });

  describe("failures", () => {
    test("an error stops the program; the results up to it are sent", () => {
      const program = bench.stub.channel.program();
      program.do("copy", [1]);
      program.do("openat", [-100, join(bench.directory, "missing"), 0, 0]);
      program.do("copy", [2]);
      expect(run(program)).toEqual({
        results: [1, -ENOENT],
        outputs: [],
        failure: { index: 1, errno: ENOENT },
      });
    });

    test("the index does not count the operations that take descriptors", () => {
      const program = bench.stub.channel.program();
      program.descriptor(file.fd);
      program.descriptor(file.fd);
      program.do("copy", [1]);
      program.do("close", [-1]);
      expect(run(program)).toMatchObject({ results: [1, -EBADF], failure: { index: 1, errno: EBADF } });
    });

    test.each([[["EBADF"]], [["EPERM", "EBADF"]], [["EPERM", "ENOENT", "EBADF"]], [["any"]]])(
      "%j: the program goes on after EBADF",
      (tolerate) => {
        const [program, on] = [bench.stub.channel.program(), { register: 77 }];
        program.do("close", [-1], { tolerate, into: on });
        program.do("copy", [1], { if: [on, "failed"] });
        expect(run(program)).toMatchObject({ results: [-EBADF, 1], failure: undefined });
      },
    );

    test("an error that is not listed stops the program", () => {
      const program = bench.stub.channel.program();
      program.do("close", [-1], { tolerate: ["EPERM", "ENOENT", "EHWPOISON"] });
      expect(run(program)).toMatchObject({ results: [-EBADF], failure: { index: 0, errno: EBADF } });
    });

    test("a listed error is distinguished from one that is larger by 256", () => {
      const program = bench.stub.channel.program();
      program.do("copy", [-(256 + EBADF)], { tolerate: ["EBADF"] });
      expect(run(program).failure).toEqual({ index: 0, errno: 256 + EBADF });
    });

    test.each([
      [-1, EPERM],
      [-4095, 4095],
      [-4096, undefined],
    ])("the result %i is errno %s", (value, errno) => {
      const program = bench.stub.channel.program();
      program.do("copy", [value]);
      expect(run(program).failure?.errno).toBe(errno);
    });

    test("programs after a failed one are not run, and get ECANCELED", () => {
      const program = bench.stub.channel.program();
      const opened = program.descriptor(file.fd);
      program.do("close", [-1]);
      bench.stub.channel.send(program);
      for (let round = 0; round < 2; round++) {
        const later = bench.stub.channel.program();
        later.descriptor(file.fd);
        later.output(8);
        later.do("pwrite64", [opened, data(Buffer.from("!")), 1, 0]);
        bench.stub.channel.send(later);
      }
      expect(bench.stub.channel.waiting).toBe(3);
      expect(bench.stub.channel.receive().failure?.errno).toBe(EBADF);
      for (let round = 0; round < 2; round++) {
        const reply = bench.stub.channel.receive();
        expect(reply).toMatchObject({ results: [], failure: { errno: ECANCELED } });
        expect(reply.failure?.index).toBeLessThan(0);
      }
      expect(readFileSync(file.path, "utf8")).toBe(CONTENT);
    });

    test("a quiet program after a failed one is not run, and the stub ends with 127", async () => {
      const program = bench.stub.channel.program();
      program.do("close", [-1]);
      run(program);
      const later = bench.stub.channel.program();
      later.quiet = true;
      later.do("copy", [1]);
      bench.stub.channel.send(later);
      expect(receiveReply(bench.stub.fd)).toEqual({ ran: 0, error: ECANCELED, results: [] });
      bench.stub.hangUp();
      expect(await bench.stub.ended).toBe(127);
    });
  });
});
