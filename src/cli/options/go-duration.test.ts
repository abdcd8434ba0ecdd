import { expect, it } from "vitest";
import { parseGoDuration } from "./go-duration.ts";

it.each([
  ["5s", 5000],
  ["1m30s", 90_000],
  ["100ms", 100],
  ["1h1m1s1ms", 3_661_001],
  ["1.5h", 5_400_000],
  [".5s", 500],
  ["5.s", 5000],
  ["2us", 0.002],
  ["2µs", 0.002],
  ["2μs", 0.002],
  ["3ns", 0.000003],
  ["+5s", 5000],
  ["-1s", -1000],
  ["0", 0],
  ["-0", 0],
  ["0s", 0],
])("takes %s for %d ms", (text, expected) => {
  expect(Math.abs((parseGoDuration(text) ?? Number.NaN) - expected)).toBeLessThan(1e-9);
});

it.each([
  "",
  "5",
  "s",
  ".s",
  "1x",
  "1s 2s",
  " 1s",
  "1S",
  "--1s",
  "1s-",
  "1,5s",
  "1e3s",
  "2562048h",
  "1.2.3s",
])("refuses %j", (text) => {
  expect(parseGoDuration(text)).toBeUndefined();
});
