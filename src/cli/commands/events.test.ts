import { beforeEach, expect, it, vi } from "vitest";
import type { ContainerEvent } from "../../container/events.ts";
import { recordingOperations } from "../capture.test-support.ts";
import { runCommandLine } from "../command-line.ts";
import { forgetWritten, written } from "../written.test-support.ts";

vi.mock("../../../bindings/linux/files.ts", async (original) => {
  const { capturingFiles } = await import("../written.test-support.ts");
  return capturingFiles(original);
});

beforeEach(forgetWritten);

it.each([
  [[], 5000],
  [["--interval", "1m30s"], 90_000],
  [["-interval=100ms"], 100],
  [["--interval=1ns"], 1],
  [["--stats"], undefined],
  [["--stats", "--interval=1s"], undefined],
] as const)("%j: reports every %s ms", async (argv, interval) => {
  const { operations, calls } = recordingOperations();
  expect(await runCommandLine(["events", ...argv, "box"], operations)).toBe(0);
  expect(calls).toEqual([["events", "box", interval, expect.any(Function)]]);
});

it.each(["0", "0s", "-1s"])("--interval %s is refused in runc's words", async (interval) => {
  const { operations, calls } = recordingOperations();
  expect(await runCommandLine(["events", "--interval", interval, "box"], operations)).toBe(1);
  expect({ calls, err: written.err }).toEqual({
    calls: [],
    err: "runts: duration interval must be greater than 0\n",
  });
});

it("prints a line of JSON for each event, 64-bit integers in full", async () => {
  const { operations } = recordingOperations();
  const stats: ContainerEvent = {
    type: "stats",
    id: "box",
    data: {
      cpu: {},
      cpuset: {},
      memory: { usage: { limit: 18446744073709551615n, failcnt: 0n } },
      pids: { current: 9007199254740993n },
      blkio: {},
      hugetlb: {},
      intel_rdt: {},
      network_interfaces: null,
    },
  };
  const events: typeof operations.events = (_context, id, _interval, emit) => {
    emit(stats);
    emit({ type: "oom", id });
  };
  expect(await runCommandLine(["events", "box"], { ...operations, events })).toBe(0);
  expect(written.out).toBe(
    '{"type":"stats","id":"box","data":{"cpu":{},"cpuset":{},"memory":{"usage":{"limit":18446744073709551615,"failcnt":0}},' +
      '"pids":{"current":9007199254740993},"blkio":{},"hugetlb":{},"intel_rdt":{},"network_interfaces":null}}\n' +
      '{"type":"oom","id":"box"}\n',
  );
});
