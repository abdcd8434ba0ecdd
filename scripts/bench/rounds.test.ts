import { describe, expect, test } from "vitest";
import { alternate, median, pairedRatio } from "./rounds.mjs";

describe("alternate", () => {
  test("each subject once a round, the first rounds not counted", () => {
    let turn = 0;
    const count = (): { turn: number } => ({ turn: turn++ });
    const { turn: samples } = alternate({ a: count, b: count }, 10, 2);
    expect(samples?.a).toHaveLength(10);
    const rounds = samples?.a?.map((value, round) =>
      [value, samples.b?.[round] ?? NaN].sort((a, b) => a - b),
    );
    expect(rounds).toEqual(Array.from({ length: 10 }, (_, round) => [2 * round + 4, 2 * round + 5]));
  });

  test("a figure of one subject alone has no samples of the others", () => {
    const samples = alternate({ a: () => ({ one: 1 }), b: () => ({ two: 2 }) }, 2);
    expect(samples).toEqual({ one: { a: [1, 1] }, two: { b: [2, 2] } });
  });
});

describe("median", () => {
  test.each([
    [[3, 1, 2], 2],
    [[4, 1, 3, 2], 2.5],
    [[7], 7],
  ])("of %j is %d", (values, expected) => {
    expect(median(values)).toBe(expected);
  });
});

describe("pairedRatio", () => {
  test("what slows one round down falls on both, and so not on the ratio", () => {
    expect(pairedRatio([2, 20, 2], [1, 10, 1])).toEqual({ value: 2, low: 2, high: 2 });
  });

  test("the quartiles of the rounds' ratios", () => {
    expect(pairedRatio([1, 2, 3, 4, 5], [1, 1, 1, 1, 1])).toEqual({ value: 3, low: 2, high: 4 });
  });
});
