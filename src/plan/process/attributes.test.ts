import { describe, expect, it } from "vitest";
import { sched_attr } from "../../../bindings/abi/layouts.ts";
import * as sched from "../../../bindings/abi/sched.ts";
import type { Process, Scheduler } from "../../spec/types.ts";
import { bytesOf, minimalConfig, only, testPlan } from "../plan.test-support.ts";
import {
  cpuAffinity,
  numberMask,
  scheduleItself,
  schedulingCalls,
  setMemoryPolicy,
  setPersonality,
} from "./attributes.ts";

const base: Process = { cwd: "/", args: ["sh"] };

describe("masks", () => {
  it.each([
    ["0", 8, [0]],
    ["63", 8, [63]],
    ["64", 16, [64]],
    ["0-3,7,1024-1025", 136, [0, 1, 2, 3, 7, 1024, 1025]],
    ["65535", 8192, [65535]],
    ["", 0, []],
  ] as const)("of %j have %i bytes", (list, length, members) => {
    const mask = numberMask(list);
    const bits: number[] = [];
    mask.forEach((byte, index) => {
      for (let bit = 0; bit < 8; bit++) if (byte & (1 << bit)) bits.push(8 * index + bit);
    });
    expect({ length: mask.length, bits }).toEqual({ length, bits: members });
  });
});

function attributes(scheduler: Scheduler) {
  const [call] = schedulingCalls({ ...base, scheduler });
  const [pid, bytes, flags] = call?.args(12) ?? [];
  if (!(bytes instanceof Uint8Array)) throw new Error("no struct");
  const view = new DataView(bytes.buffer);
  const { sched_flags, sched_nice, sched_priority, sched_runtime, sched_deadline, sched_period } = sched_attr;
  return {
    pid,
    flags,
    size: view.getUint32(0, true),
    policy: view.getUint32(sched_attr.sched_policy, true),
    bits: Number(view.getBigUint64(sched_flags, true)),
    nice: view.getInt32(sched_nice, true),
    priority: view.getUint32(sched_priority, true),
    times: [sched_runtime, sched_deadline, sched_period].map((at) => view.getBigUint64(at, true)),
    clamps: [sched_attr.sched_util_min, sched_attr.sched_util_max].map((at) => view.getInt32(at, true)),
  };
}

const ZERO = {
  pid: 12,
  flags: 0,
  size: 56,
  bits: 0,
  nice: 0,
  priority: 0,
  times: [0n, 0n, 0n],
  clamps: [0, 0],
};

describe("sched_setattr", () => {
  const WANTED: readonly (readonly [Scheduler, object])[] = [
    [
      { policy: "SCHED_OTHER", nice: -5 },
      { policy: 0, nice: -5 },
    ],
    [
      { policy: "SCHED_FIFO", priority: 99 },
      { policy: 1, priority: 99 },
    ],
    [
      { policy: "SCHED_RR", priority: 1 },
      { policy: 2, priority: 1 },
    ],
    [{ policy: "SCHED_BATCH" }, { policy: 3 }],
    [{ policy: "SCHED_ISO" }, { policy: 4 }],
    [{ policy: "SCHED_IDLE" }, { policy: 5 }],
    [
      { policy: "SCHED_DEADLINE", runtime: 2n ** 40n, deadline: 2n ** 41n, period: 2n ** 62n },
      { policy: 6, times: [2n ** 40n, 2n ** 41n, 2n ** 62n] },
    ],
  ];

  for (const [scheduler, expected] of WANTED) {
    it(`has the attributes of ${scheduler.policy}`, () => {
      expect(attributes(scheduler)).toEqual({ ...ZERO, ...expected });
    });
  }

  it.each([
    ["RESET_ON_FORK", 0x1],
    ["RECLAIM", 0x2],
    ["DL_OVERRUN", 0x4],
    ["KEEP_POLICY", 0x8],
    ["KEEP_PARAMS", 0x10],
  ])("has the bit of SCHED_FLAG_%s", (name, bits) => {
    expect(attributes({ policy: "SCHED_OTHER", flags: [`SCHED_FLAG_${name}`] })).toEqual({
      ...ZERO,
      policy: 0,
      bits,
    });
  });

  it("resets each clamp whose flag is set", () => {
    const of = (name: string) => {
      const { bits, clamps } = attributes({ policy: "SCHED_OTHER", flags: [name] });
      return [bits, ...clamps];
    };
    expect(of("SCHED_FLAG_UTIL_CLAMP_MIN")).toEqual([0x20, -1, 0]);
    expect(of("SCHED_FLAG_UTIL_CLAMP_MAX")).toEqual([0x40, 0, -1]);
  });
});

it("ioprio_set gets class and priority, for one process", () => {
  const calls = schedulingCalls({ ...base, ioPriority: { class: "IOPRIO_CLASS_IDLE", priority: 7 } });
  expect(calls.map(({ call, args }) => [call, ...args(9)])).toEqual([["ioprio_set", 1, 9, (3 << 13) | 7]]);
});

it("a process sets its own scheduling with pid 0", () => {
  const { program } = testPlan({});
  const scheduler = { policy: "SCHED_BATCH", nice: 3 } as const;
  const ioPriority = { class: "IOPRIO_CLASS_BE", priority: 2 } as const;
  scheduleItself(program, schedulingCalls({ ...base, scheduler, ioPriority }));
  expect(only(program, "sched_setattr")[0]?.args[0]).toBe(0);
  expect(bytesOf(only(program, "sched_setattr")[0], 1)).toHaveLength(sched_attr.size);
  expect(only(program, "ioprio_set")[0]?.args).toEqual([sched.IOPRIO_WHO_PROCESS, 0, (2 << 13) | 2]);
});

describe("set_mempolicy", () => {
  it("gets mode, flags, and a mask, with one more than the number of its bits", () => {
    const { program } = testPlan({});
    setMemoryPolicy(program, { mode: "MPOL_INTERLEAVE", nodes: "0,64", flags: ["MPOL_F_STATIC_NODES"] });
    const [call] = only(program, "set_mempolicy");
    expect([call?.args[0], call?.args[2]]).toEqual([0x8003, 129]);
    expect(bytesOf(call, 1)).toEqual(numberMask("0,64"));
  });

  it("gets no mask without nodes", () => {
    const { program } = testPlan({});
    setMemoryPolicy(program, { mode: "MPOL_LOCAL", nodes: " " });
    expect(only(program, "set_mempolicy")[0]?.args).toEqual([4, 0, 0]);
  });
});

it("personality gets the domain", () => {
  const { program } = testPlan(minimalConfig);
  setPersonality(program, { domain: "LINUX32" });
  setPersonality(program, { domain: "LINUX" });
  expect(only(program, "personality").map(({ args }) => args[0])).toEqual([8, 0]);
});

describe("the CPUs of exec", () => {
  it("have a step for each list that is not empty", () => {
    const { initial, final } = cpuAffinity({ initial: " ", final: "1" });
    expect(initial).toBeUndefined();
    const { program } = testPlan({});
    final?.(program);
    const [call] = only(program, "sched_setaffinity");
    expect([call?.args[0], call?.args[1], call?.pointer]).toEqual([0, 8, "/process/execCPUAffinity/final"]);
    expect([...bytesOf(call, 2)]).toEqual([2, 0, 0, 0, 0, 0, 0, 0]);
  });
});
