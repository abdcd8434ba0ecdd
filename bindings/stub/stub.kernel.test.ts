import { closeSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { EBADF } from "../abi/errno.ts";
import { PROT_READ } from "../abi/mman.ts";
import { syscall } from "../ffi/syscall.ts";
import { revealSenders } from "../linux/socket-message.ts";
import { StubChannel } from "./client.ts";
import {
  boundedPair,
  CONTENT,
  contentFile,
  describeBuilds,
  isSilent,
  receiveReply,
  resultsIn,
} from "./kernel.test-support.ts";
import { at, data, type Program } from "./program.ts";

const SEEK_END = 2;
describeBuilds("stub", (bench) => {
  const file = contentFile(bench);

  function run(program: Program) {
    return bench.stub.channel.run(program);
  }

  function results(build: (program: Program) => void): readonly number[] {
    return resultsIn(bench, build);
  }

  describe("operations of the stub", () => {
    test("store writes 4 and 8 bytes into data", () => {
      const bytes = data(new Uint8Array(16).fill(0xee));
      results((program) => {
        const opened = program.descriptor(file.fd);
        program.store(bytes, 0x1122334455667788n, 8);
        program.store(at(bytes, 9), -2, 4);
        program.do("pwrite64", [opened, bytes, 16, 0]);
      });
      expect(readFileSync(file.path, "hex")).toBe("8877665544332211eefeffffffeeeeee");
    });

    test("store writes addresses and registers into data: a string array, a result", () => {
      const program = bench.stub.channel.program();
      const opened = program.descriptor(file.fd);
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
      expect(readFileSync(file.path, "utf8")).toBe(`${CONTENT}vector`);
    });

    test("a skipped store changes nothing", () => {
      const program = bench.stub.channel.program();
      const on = program.call("copy", [1]);
      const value = program.output(8);
      program.store(value, 1, 8, { if: [on, "zero"] });
      expect(run(program).outputs).toEqual([new Uint8Array(8)]);
    });

    test("load reads 2 and 4 unsigned bytes from data and from outputs", () => {
      const bytes = data(Uint8Array.of(0x11, 0xfe, 0xff, 0xff, 0xff, 0x22));
      const program = bench.stub.channel.program();
      const output = program.output(4);
      program.do("pread64", [program.descriptor(file.fd), output, 4, 0]);
      program.do("load", [at(bytes, 1), 2]);
      program.do("load", [at(bytes, 1), 4]);
      program.do("load", [at(output, 2), 2]);
      expect(run(program).results).toEqual([4, 0xfffe, 0xfffffffe, 0x3332]);
    });

    test("await returns if the word is not 0", () => {
      const program = bench.stub.channel.program();
      const word = data(new Uint8Array(8));
      program.store(word, 1, 4);
      program.do("await", [word]);
      program.do("copy", [7]);
      expect(run(program).results).toEqual([0, 0, 7]);
    });

    test("await waits until another process has written the word", () => {
      const MAP_SHARED = 1;
      writeFileSync(file.path, new Uint8Array(8));
      const program = bench.stub.channel.program();
      const mapped = program.call("mmap", [0, 8, PROT_READ, MAP_SHARED, program.descriptor(file.fd), 0]);
      program.do("await", [mapped]);
      program.do("copy", [7]);
      bench.stub.channel.send(program);
      expect(isSilent(bench.stub.fd)).toBe(true);
      writeSync(file.fd, Uint8Array.of(1), 0, 1, 0);
      expect(bench.stub.channel.receive().results.slice(1)).toEqual([0, 7]);
    });

    test.each([
      ["the child's exit code", (program: Program) => program.do("exit_group", [3]), 3],
      [
        "128 and the child's signal",
        (program: Program) => program.do("kill", [program.call("getpid", []), 15]),
        143,
      ],
    ])("init goes on in a child, and the parent exits with %s", async (_, end, code) => {
      const program = bench.stub.channel.program();
      program.do("init", []);
      end(program);
      bench.stub.channel.send(program);
      expect(await bench.stub.ended).toBe(code);
    });

    test("init passes a signal on to the child", async () => {
      const parent = bench.stub.pid;
      const program = bench.stub.channel.program();
      program.do("init", []);
      run(program);
      syscall("kill", [parent, 15]);
      expect(await bench.stub.ended).toBe(143);
    });

    test("init has closed all its descriptors before the child goes on", () => {
      const program = bench.stub.channel.program();
      // So many, if the limit allows it, that closing them takes longer than the next call of the child.
      for (let fd = 100; fd < 16_000; fd++) program.do("dup3", [0, fd, 0], { tolerate: ["EBADF"] });
      program.do("init", []);
      const directory = program.call("openat", [-1, `/proc/${bench.stub.pid}/fd`, 0, 0]);
      program.do("getdents64", [directory, data(new Uint8Array(512)), 512]);
      const { results, failure } = run(program);
      // The entries "." and "..", of 24 bytes each.
      expect([failure, results.at(-1)]).toEqual([undefined, 48]);
    });

    test("copy takes constants and registers", () => {
      const program = bench.stub.channel.program();
      const value = program.call("copy", [2 ** 40]);
      program.do("copy", [value]);
      expect(run(program).results).toEqual([2 ** 40, 2 ** 40]);
    });

    test("set-channel: the reply to the program and all later ones go over the new socket", async () => {
      const [ours, theirs] = boundedPair();
      const other = new StubChannel(ours, bench.target.numbers);
      revealSenders(ours);
      const program = bench.stub.channel.program();
      program.do("set-channel", [program.descriptor(theirs)]);
      bench.stub.channel.send(program);
      closeSync(theirs);
      expect(other.receiveFromClone(program, bench.stub.pid)).toMatchObject({
        results: [0],
        failure: undefined,
      });
      const later = other.program();
      later.do("copy", [8]);
      expect(other.run(later).results).toEqual([8]);
      expect(isSilent(bench.stub.fd)).toBe(true);
      other.close();
      expect(await bench.stub.ended).toBe(0);
    });
  });

  describe("quiet programs", () => {
    test("have no reply when they succeed", () => {
      const quiet = bench.stub.channel.program();
      quiet.quiet = true;
      quiet.do("pwrite64", [quiet.descriptor(file.fd), data(Buffer.from("quiet")), 5, 0]);
      bench.stub.channel.send(quiet);
      expect(bench.stub.channel.waiting).toBe(0);
      expect(results((program) => program.do("copy", [9]))).toEqual([9]);
      expect(readFileSync(file.path, "utf8").startsWith("quiet")).toBe(true);
      expect(isSilent(bench.stub.fd)).toBe(true);
    });

    test("have one when they fail; the stub still takes others, and exits with 127", async () => {
      const quiet = bench.stub.channel.program();
      quiet.quiet = true;
      quiet.do("copy", [1]);
      quiet.do("close", [-1]);
      bench.stub.channel.send(quiet);
      expect(receiveReply(bench.stub.fd)).toEqual({ ran: 2, error: EBADF, results: [1n, -9n] });
      expect(results((program) => program.do("copy", [9]))).toEqual([9]);
      bench.stub.hangUp();
      expect(await bench.stub.ended).toBe(127);
    });
  });

  describe("descriptors", () => {
    test("arrive close-on-exec, up to as many as a message can carry", () => {
      const program = bench.stub.channel.program();
      const F_GETFD = 1;
      const registers = Array.from({ length: 253 }, () => program.descriptor(file.fd));
      for (const register of registers) program.do("fcntl", [register, F_GETFD]);
      for (const register of registers) program.do("copy", [register]);
      const { results: values } = run(program);
      expect(values.slice(0, 253)).toEqual(registers.map(() => 1));
      expect(new Set(values.slice(253)).size).toBe(253);
    });

    test("arrive in no register that holds a result", () => {
      const program = bench.stub.channel.program();
      const values = Array.from({ length: 3500 }, (_, index) => program.call("copy", [index]));
      run(program);
      const later = bench.stub.channel.program();
      for (let count = 0; count < 253; count++) later.descriptor(file.fd);
      for (const value of values) later.do("copy", [value]);
      expect(run(later).results).toEqual(values.map((_, index) => index));
    });
  });

  describe("the stream", () => {
    test("at its end the stub exits with 0", async () => {
      results((program) => program.do("copy", [1]));
      bench.stub.hangUp();
      expect(await bench.stub.ended).toBe(0);
    });

    test("an empty program has an empty reply", () => {
      expect(results(() => {})).toEqual([]);
    });

    test("programs and replies may be larger than the socket's buffers", () => {
      const program = bench.stub.channel.program();
      const length = 2 << 20;
      const bytes = data(new Uint8Array(length).fill(0x5a));
      const opened = program.descriptor(file.fd);
      const output = program.output(length);
      program.do("pwrite64", [opened, bytes, length, 0]);
      program.do("pread64", [opened, output, length, 0]);
      const reply = run(program);
      expect(reply.results).toEqual([length, length]);
      expect(Buffer.compare(reply.outputs[0] ?? new Uint8Array(0), bytes.bytes)).toBe(0);
    });

    test("replies come in the order of the programs", () => {
      for (let value = 0; value < 100; value++) {
        const program = bench.stub.channel.program();
        program.do("copy", [value]);
        bench.stub.channel.send(program);
      }
      const values = Array.from({ length: 100 }, () => bench.stub.channel.receive().results[0]);
      expect(values).toEqual(Array.from({ length: 100 }, (_, index) => index));
    });

    test("a stub that has ended gives its own error", async () => {
      const program = bench.stub.channel.program();
      program.do("exit_group", [3]);
      expect(() => run(program)).toThrow("EPIPE");
      expect(await bench.stub.ended).toBe(3);
    });

    // An emulator or a libc would add threads and mappings.
    test.skipIf(bench.target.name !== process.arch)("a stub has one thread and nothing but its image", () => {
      const program = bench.stub.channel.program();
      program.do("getpid", []);
      const [pid = 0] = run(program).results;
      expect(readFileSync(`/proc/${pid}/status`, "utf8")).toContain("Threads:\t1\n");
      const maps = readFileSync(`/proc/${pid}/maps`, "utf8").trim().split("\n");
      const names = maps.map((line) => line.split(/\s+/)[5] ?? "").filter((entry) => entry !== "");
      expect(names.filter((entry) => !entry.startsWith("["))).toEqual(
        names.filter((entry) => entry === join(bench.directory, "stub")),
      );
      expect(syscall("kill", [pid, 0])).toBe(0);
    });
  });
});
