import { describe, expect, test } from "vitest";
import { judge } from "./aims.mjs";

describe("judge", () => {
  const verdict = (samples: Parameters<typeof judge>[0]): boolean[] => judge(samples).map(({ met }) => met);

  test("a command is compared with both peers", () => {
    expect(verdict({ run: { warm: [3], crun: [2], runc: [4] } })).toEqual([true, true]);
    expect(verdict({ run: { warm: [3], crun: [1], runc: [3] } })).toEqual([false, false]);
  });

  test("more runs a second are better", () => {
    expect(verdict({ "run, 4 workers": { warm: [150] } })).toEqual([true]);
    expect(verdict({ "run, 4 workers": { warm: [80] } })).toEqual([false]);
  });
});
