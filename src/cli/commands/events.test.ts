import { beforeEach, expect, it, vi } from "vitest";
import type { ContainerEvent } from "../../container/events.ts";
import { parsed } from "../parsed.test-support.ts";
import { forgetWritten, written } from "../written.test-support.ts";
import { eventsCommand, parseInterval, printEvent } from "./events.ts";

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
])("%j: reports every %s ms", (argv, interval) => {
  const { options } = parsed(eventsCommand, ...argv, "box");
  expect([parseInterval(options.interval), options.stats]).toEqual([interval, false]);
});

it("--stats: reports once", () => {
  expect(parsed(eventsCommand, "--stats", "--interval=1s", "box").options.stats).toBe(true);
});

it.each(["0", "0s", "-1s"])("--interval %s is refused in runc's words", (interval) => {
  expect(() => parseInterval(interval)).toThrow(/^duration interval must be greater than 0$/);
});

it.each(["5", ""])("--interval %j is not a duration", (interval) => {
  expect(() => parseInterval(interval)).toThrow(
    `invalid value ${JSON.stringify(interval)} for flag -interval: parse error`,
  );
});

it("prints a line of JSON for each event, 64-bit integers in full", () => {
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
  printEvent(stats);
  printEvent({ type: "oom", id: "box" });
  expect(written.out).toBe(
    '{"type":"stats","id":"box","data":{"cpu":{},"cpuset":{},"memory":{"usage":{"limit":18446744073709551615,"failcnt":0}},' +
      '"pids":{"current":9007199254740993},"blkio":{},"hugetlb":{},"intel_rdt":{},"network_interfaces":null}}\n' +
      '{"type":"oom","id":"box"}\n',
  );
});
