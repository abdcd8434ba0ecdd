import { describe, expect, test } from "vitest";
import { NUMBERS } from "./call-record.ts";
import { REGISTERS, runRecorder, TASK } from "./recorder-interpreter.test-support.ts";
import {
  assembleRecorder,
  CALLS_SIZE,
  COMPAT,
  LOST_VALUE,
  machines,
  NATIVE,
  OTHER_NUMBER,
  X32,
} from "./recorder-program.ts";

const EXECVE = 59;
const SOCKET = 41;
const CLONE = 56;
const GETPID = 39;
const STUB = "runts-init";
const LIMIT = 3;

/** A recorder for a machine, and what it has noted. */
function recorder(machine: keyof typeof machines = "x64") {
  const program = assembleRecorder({
    machine: machines[machine],
    maps: { cgroup: 5, calls: 6, values: 7 },
    stub: STUB,
    execve: EXECVE,
    watched: [
      { number: SOCKET, index: 0, mask: 0xffff_ffff_ffff_ffffn },
      { number: CLONE, index: 1, mask: 0xf0n },
    ],
  });
  const maps = { calls: new Uint8Array(CALLS_SIZE), values: new Set<string>(), valuesLimit: LIMIT };
  const make = (
    number: number | bigint,
    given: { comm?: string; inCgroup?: boolean; memory?: readonly (readonly [bigint, bigint])[] } = {},
  ): void => {
    const { comm = "sh", inCgroup = true, memory = [] } = given;
    runRecorder(program, { comm, inCgroup, number: BigInt(number), memory: new Map(memory) }, maps);
  };
  const noted = () => [...maps.calls.keys()].filter((index) => maps.calls[index] === 1);
  return { make, noted, maps };
}

const DI = REGISTERS + 112n;
const SI = REGISTERS + 104n;
const STATUS = TASK + 16n;
const TS_COMPAT = 2n;

describe("processes", () => {
  test("one outside of the cgroup is not recorded", () => {
    const { make, noted } = recorder();
    make(GETPID, { inCgroup: false });
    expect(noted()).toEqual([]);
    make(GETPID);
    expect(noted()).toEqual([NATIVE * NUMBERS + GETPID]);
  });

  test("of the stub, only the execve is recorded", () => {
    const { make, noted } = recorder();
    for (const number of [GETPID, SOCKET, CLONE]) make(number, { comm: STUB });
    expect(noted()).toEqual([]);
    make(EXECVE, { comm: STUB });
    expect(noted()).toEqual([EXECVE]);
  });

  test.each(["runts-in", "runts-init2", "runts-initial-p", "unts-init", ""])("%j is no stub", (comm) => {
    const { make, noted } = recorder();
    make(GETPID, { comm });
    expect(noted()).toEqual([GETPID]);
  });
});

describe("numbers", () => {
  test("32-bit and x32 calls have their own places", () => {
    const { make, noted } = recorder();
    make(GETPID, { memory: [[STATUS, TS_COMPAT]] });
    make(0x40000000 + GETPID);
    expect(noted()).toEqual([COMPAT * NUMBERS + GETPID, X32 * NUMBERS + GETPID]);
  });

  test("arm64 tells 32-bit calls by the mode of the processor", () => {
    const { make, noted } = recorder("arm64");
    make(GETPID, { memory: [[STATUS, TS_COMPAT]] });
    make(GETPID, { memory: [[REGISTERS + 264n, 0x10n]] });
    make(0x40000000 + GETPID);
    expect(noted()).toEqual([GETPID, COMPAT * NUMBERS + GETPID, OTHER_NUMBER]);
  });

  test.each([-1n, 1024n, 0x7fffffffn, 0x40000000n + 1024n, 1n << 40n])(
    "%d, which no call has, has a place of its own",
    (number) => {
      const { make, noted } = recorder();
      make(number);
      expect(noted()).toEqual([OTHER_NUMBER]);
    },
  );

  test("the last number that has a place", () => {
    const { make, noted } = recorder();
    make(NUMBERS - 1);
    make(NUMBERS - 1, { memory: [[STATUS, TS_COMPAT]] });
    expect(noted()).toEqual([NUMBERS - 1, 2 * NUMBERS - 1]);
  });
});

describe("values", () => {
  test("of watched arguments are noted, with the bits that count", () => {
    const { make, maps } = recorder();
    make(SOCKET, { memory: [[DI, 10n]] });
    make(CLONE, { memory: [[SI, 0x1f5n]] });
    make(GETPID, { memory: [[DI, 3n]] });
    expect([...maps.values]).toEqual([`${SOCKET} 10`, `${CLONE} ${0xf0}`]);
  });

  test("of 32-bit and x32 calls are not", () => {
    const { make, maps } = recorder();
    make(SOCKET, { memory: [[STATUS, TS_COMPAT]] });
    make(0x40000000 + SOCKET);
    expect([...maps.values]).toEqual([]);
  });

  test("arm64 has the first argument in orig_x0", () => {
    const { make, maps } = recorder("arm64");
    make(SOCKET, {
      memory: [
        [REGISTERS, 7n],
        [REGISTERS + 272n, 16n],
      ],
    });
    expect([...maps.values]).toEqual([`${SOCKET} 16`]);
  });

  test("without room are noted as lost, but not those that are there already", () => {
    const { make, noted, maps } = recorder();
    for (const value of [1n, 2n, 3n, 3n, 1n]) make(SOCKET, { memory: [[DI, value]] });
    expect(noted()).toEqual([SOCKET]);
    make(SOCKET, { memory: [[DI, 4n]] });
    expect(noted()).toEqual([SOCKET, LOST_VALUE]);
    expect(maps.values.size).toBe(LIMIT);
  });
});
