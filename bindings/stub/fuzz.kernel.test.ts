import { expect, test } from "vitest";
import { fuzzing, Random } from "../random.test-support.ts";
import { SyscallError } from "../syscall-error.ts";
import { type Bench, describeBuilds, receiveBytes, sendBytes } from "./kernel.test-support.ts";
import { type Expected, StubModel, Unpredictable } from "./model.test-support.ts";
import {
  encodeMessage,
  HEADER_SIZE,
  kinds,
  NO_REGISTER,
  OPERATION_SIZE,
  type PartialMessage,
  type PartialOperation,
} from "./wire.test-support.ts";

/**
 * Random programs, with and without faults: the stub has to do what the model says. It must not run an operation after a fault, must not hang
 * (its channel has a time limit) and must not be killed by a signal.
 */

const { cases, seed } = fuzzing(1000);
/** The longest message that is sent; the stub takes longer ones. */
const MOST_BYTES = 1 << 16;
const MISSING = 0xfff0;
const CHANNEL = 3;
const calls = { missing: MISSING, channel: CHANNEL };

class Programs {
  readonly #random: Random;
  readonly #getpid: number;

  constructor(random: Random, getpid: number) {
    this.#random = random;
    this.#getpid = getpid;
  }

  message(): Uint8Array {
    const random = this.#random;
    const data = random.bytes(random.pick([0, 0, 1, 8, 9, 40]));
    const output = random.pick([0, 0, 1, 4, 16, 100]);
    const count = random.below(8);
    const body = OPERATION_SIZE * count + data.length;
    const operations = Array.from({ length: count }, () => this.#operation(body, output));
    const flags = random.chance(0.15) ? 1 : 0;
    return encodeMessage({ operations, data, header: { output, flags } });
  }

  #operation(body: number, output: number): PartialOperation {
    const random = this.#random;
    const unknown = [0x10006, 0x1ffff, 0xffffffff];
    const nr = random.pick([
      0x10000,
      0x10000,
      0x10002,
      0x10002,
      0x10003,
      0x10001,
      MISSING,
      this.#getpid,
      ...unknown,
    ]);
    const register = () => random.pick([0, 1, 2, 3, 4095, ...(random.chance(0.03) ? [4096, 0x7fff] : [])]);
    const args = Array.from({ length: 6 }, (_, position) => {
      const kind = nr === 0x10001 ? "CONSTANT" : random.pick(kinds);
      if (kind === "REGISTER") return [kind, register()] as const;
      if (kind === "ADDRESS") return [kind, this.#near(body)] as const;
      if (kind === "OUTPUT") return [kind, this.#near(output)] as const;
      const isWidth = (nr === 0x10000 && position === 2) || (nr === 0x10003 && position === 1);
      const value = nr === 0x10001 ? CHANNEL : isWidth ? random.pick([2, 4, 8, 4, 3]) : this.#constant();
      return [kind, value] as const;
    });
    return {
      nr,
      result: random.chance(0.3) ? NO_REGISTER : register(),
      guard: random.chance(0.6) ? 0 : random.below(random.chance(0.05) ? 256 : 5),
      guardRegister: register(),
      tolerated: random.chance(0.7) ? [255] : [random.pick([0, 22, 38]), random.pick([0, 22]), 0],
      args,
    };
  }

  /** An offset near the limit: the last allowed one or the first refused one. */
  #near(limit: number): number {
    const random = this.#random;
    return random.chance(0.02) ? limit + 1 + random.below(9) : Math.max(0, limit - random.below(limit + 1));
  }

  #constant(): bigint {
    const random = this.#random;
    const special = [
      0n,
      1n,
      -1n,
      -22n,
      -38n,
      -4095n,
      -4096n,
      2n ** 31n,
      2n ** 32n - 1n,
      -(2n ** 63n),
      2n ** 63n - 1n,
    ];
    return random.chance(0.8)
      ? random.pick(special)
      : BigInt(random.below(2 ** 31)) * BigInt(random.below(2 ** 31));
  }

  /** A message with some bytes changed; its length is that of its header, as far as that can be sent. */
  mutated(message: Uint8Array): Uint8Array {
    const random = this.#random;
    const bytes = message.slice();
    const fields = [
      0,
      4,
      8,
      10,
      12,
      16,
      20,
      ...Array.from({ length: 8 }, (_, i) => HEADER_SIZE + random.below(16) + 64 * i),
    ];
    for (let changes = 1 + random.below(4); changes > 0; changes--) {
      const at = random.chance(0.5) ? random.pick(fields) : random.below(bytes.length);
      if (at >= bytes.length) continue;
      bytes[at] = random.chance(0.5) ? random.below(256) : (bytes[at] ?? 0) ^ (1 << random.below(8));
    }
    const announced = new DataView(bytes.buffer).getUint32(0, true);
    const whole = new Uint8Array(HEADER_SIZE + Math.min(announced, MOST_BYTES));
    whole.set(bytes.subarray(0, whole.length));
    return whole;
  }
}

/** A stub and its model; both are replaced when the stub ends. */
class Comparison {
  readonly #bench: Bench;
  #model: StubModel;
  replies = 0;
  exits = 0;

  constructor(bench: Bench) {
    this.#bench = bench;
    this.#model = this.#newModel();
  }

  #newModel(): StubModel {
    return new StubModel({ ...calls, getpid: this.#bench.target.numbers.getpid });
  }

  /** Undefined if a test must not run the program. */
  predict(message: Uint8Array): Expected | undefined {
    const model = this.#model.copy();
    try {
      const expected = model.receive(message);
      this.#model = model;
      return expected;
    } catch (error) {
      if (error instanceof Unpredictable) return undefined;
      throw error;
    }
  }

  async exchange(message: Uint8Array): Promise<void> {
    const expected = this.predict(message);
    if (expected === undefined) return;
    this.send(message);
    if (expected.exit !== undefined) return this.expectExit(expected.exit, message);
    if (expected.reply === undefined) return;
    const { ran, error, bytes } = expected.reply;
    const head = new Uint32Array(receiveBytes(this.#bench.stub.fd, 8).slice().buffer);
    expect([...head], hex(message)).toEqual([ran, error]);
    const got = [...receiveBytes(this.#bench.stub.fd, bytes.length)];
    expect(
      got.map((byte, index) => (bytes[index] === undefined ? undefined : byte)),
      hex(message),
    ).toEqual(bytes);
    this.replies++;
  }

  /** Sends a part of a message, then the end of the stream: nothing is run. */
  async cutOff(message: Uint8Array, length: number): Promise<void> {
    const before = this.#model.end(length);
    this.send(message.subarray(0, length));
    this.#bench.stub.hangUp();
    await this.expectExit(before, message.subarray(0, length));
  }

  async expectExit(code: number, message: Uint8Array): Promise<void> {
    expect(await this.#bench.stub.ended, hex(message)).toBe(code);
    this.exits++;
    await this.restart();
  }

  async restart(): Promise<void> {
    await this.#bench.restart();
    this.#model = this.#newModel();
  }

  /** Ignores errors: the stub may have ended before it has read everything. */
  send(message: Uint8Array): void {
    try {
      sendBytes(this.#bench.stub.fd, message);
    } catch (error) {
      if (!(error instanceof SyscallError && ["EPIPE", "ECONNRESET"].includes(error.errno))) throw error;
    }
  }
}

/** Complete, and small enough to send and compare; the largest messages have their own test. */
function isShort(message: Uint8Array): boolean {
  const output = new DataView(message.buffer).getUint32(16, true);
  return message.length < HEADER_SIZE + MOST_BYTES && (output <= MOST_BYTES || output > 1 << 24);
}

function hex(message: Uint8Array): string {
  return Buffer.from(message.subarray(0, 1024)).toString("hex");
}

describeBuilds("fuzzing", (bench) => {
  /** Stubs start slowly in an emulator or with sanitizers. */
  const share = /qemu|sanitizers/.test(bench.target.name) ? 10 : 1;
  const timeout = 120_000;

  test(`${cases / share} programs of seed ${seed}: the same results as the model's`, {
    timeout,
  }, async () => {
    const random = new Random(seed);
    const programs = new Programs(random, bench.target.numbers.getpid);
    const comparison = new Comparison(bench);
    for (let i = 0; i < cases / share; i++) {
      await comparison.exchange(programs.message());
      if (random.chance(0.05)) await comparison.restart();
    }
    expect(comparison.replies).toBeGreaterThan(cases / share / 3);
  });

  test(`${cases / share} programs of seed ${seed} with faults: refused as the model says`, {
    timeout,
  }, async () => {
    const random = new Random(seed + 1);
    const programs = new Programs(random, bench.target.numbers.getpid);
    const comparison = new Comparison(bench);
    for (let i = 0; i < cases / share; i++) {
      const message = programs.mutated(programs.message());
      if (isShort(message)) await comparison.exchange(message);
      const next = random.below(10);
      if (next === 0) await comparison.cutOff(message, random.below(Math.min(message.length, 500)));
      else if (next === 1) await comparison.restart();
    }
    expect([comparison.replies, comparison.exits].map((count) => count > cases / share / 12)).toEqual([
      true,
      true,
    ]);
  });

  test(`${cases / share} messages of seed ${seed} of random bytes: the end with EPROTO, or a refusal`, {
    timeout,
  }, async () => {
    const random = new Random(seed + 2);
    const comparison = new Comparison(bench);
    for (let i = 0; i < cases / share; i++) {
      const header: PartialMessage["header"] = {
        body: random.pick([0, 64, 100, 640]),
        ops: random.pick([0, 1, 2, 10, 2 ** 32 - 1, random.below(2 ** 32)]),
        output: random.pick([0, 5, 2 ** 24 + 1 + random.below(2 ** 31)]),
        flags: random.below(2 ** 32),
        reserved: random.below(2 ** 32),
        fdFirst: random.pick([0, random.below(65_536)]),
      };
      await comparison.exchange(encodeMessage({ data: random.bytes(header.body ?? 0), header }));
      if (random.chance(0.1)) await comparison.restart();
    }
    expect(comparison.exits).toBeGreaterThan(cases / share / 4);
  });
});
