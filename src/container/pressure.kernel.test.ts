import { readFileSync, writeFileSync } from "node:fs";
import { expect, it, onTestFinished } from "vitest";
import { openLog } from "../log.ts";
import { PressureWatch } from "./pressure.ts";
import { freshDirectory } from "./record/status.test-support.ts";

/** Plain files in place of the kernel's: what the kernel does with a trigger is tested on real containers. */

const log = openLog({ format: "text", debug: false });
const THRESHOLD = {
  text: "some:cpu:1s/2s",
  kind: "some",
  resource: "cpu",
  stallUs: 1_000_000,
  windowUs: 2_000_000,
} as const;

function pressure(some: number, full = 0): string {
  const averages = "avg10=1.50 avg60=0.00 avg300=0.00";
  return `some ${averages} total=${some}\nfull ${averages} total=${full}\n`;
}

function watched(cgroup: string, kind: "some" | "full" = "some"): PressureWatch {
  const watch = new PressureWatch("box", cgroup, [{ ...THRESHOLD, kind }], log);
  onTestFinished(() => watch.close());
  return watch;
}

it("writes the trigger as the kernel takes it", () => {
  const cgroup = freshDirectory();
  writeFileSync(`${cgroup}/cpu.pressure`, "");
  watched(cgroup);
  expect(readFileSync(`${cgroup}/cpu.pressure`, "utf8")).toBe("some 1000000 2000000");
});

it.each([
  ["some", pressure(5_000_000), pressure(5_400_000, 9_000_000), 0],
  ["some", pressure(5_000_000), pressure(5_500_000), 1],
  ["full", pressure(0, 5_000_000), pressure(9_000_000, 5_400_000), 0],
  ["full", pressure(0, 5_000_000), pressure(9_000_000, 6_000_000), 1],
] as const)(
  "an event of %s whose stall was before the trigger is false (%#)",
  (kind, before, after, count) => {
    const cgroup = freshDirectory();
    writeFileSync(`${cgroup}/cpu.pressure`, before);
    const watch = watched(cgroup, kind);
    writeFileSync(`${cgroup}/cpu.pressure`, after);
    const events = watch.take({ ready: watch.descriptors(), failed: [] });
    expect(events).toHaveLength(count);
    for (const event of events)
      expect(event).toMatchObject({
        type: "psi",
        id: "box",
        data: { trigger: THRESHOLD.text, psi: { some: { avg10: 1.5 } } },
      });
    expect(watch.take({ ready: [], failed: [] })).toEqual([]);
  },
);

it("drops a trigger that the kernel has ended, once", () => {
  const cgroup = freshDirectory();
  writeFileSync(`${cgroup}/cpu.pressure`, pressure(0));
  const watch = watched(cgroup);
  const failed = watch.descriptors();
  expect(watch.dropFailed({ ready: [], failed })).toEqual([THRESHOLD.text]);
  expect(watch.descriptors()).toEqual([]);
  expect(watch.dropFailed({ ready: [], failed })).toEqual([]);
});

it("a kernel without pressure: an error that names the option and psi=1", () => {
  expect(() => watched(freshDirectory())).toThrow(
    /^--psi some:cpu:1s\/2s: \S+\/cpu\.pressure: this kernel does not count pressure: it has to be booted with psi=1$/,
  );
});

it("cgroup.pressure is 0: an error that says so", () => {
  const cgroup = freshDirectory();
  writeFileSync(`${cgroup}/cgroup.pressure`, "0\n");
  expect(() => watched(cgroup)).toThrow(/: the cgroup does not count pressure: its cgroup\.pressure is 0$/);
});
