import { expect, test } from "vitest";
import { randomNumber } from "./random.ts";

test("random numbers have 64 bits and differ", () => {
  const numbers = Array.from({ length: 1000 }, randomNumber);
  expect(new Set(numbers).size).toBe(numbers.length);
  expect(numbers.reduce((bits, number) => bits | number)).toBe(2n ** 64n - 1n);
});
