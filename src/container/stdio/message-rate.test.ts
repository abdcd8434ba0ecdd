import { expect, it } from "vitest";
import { MessageRate } from "./message-rate.ts";

/** Returns how many messages pass in so much time, from senders that never stop. */
function passed(rate: MessageRate, from: number, until: number): number {
  let count = 0;
  for (let now = from; now <= until; ) {
    const wait = rate.waitMs(now);
    now += wait;
    if (wait > 0) continue;
    rate.count();
    count += 1;
  }
  return count;
}

it("lets a burst pass at once, and holds back what exceeds it", () => {
  const rate = new MessageRate(1000);
  expect(passed(rate, 1000, 1000)).toBe(100);
  expect(rate.waitMs(1000)).toBe(10);
});

it("holds a flood to its rate, for however long", () => {
  const rate = new MessageRate(0);
  expect(passed(rate, 0, 60_000)).toBe(100 + 60 * 100);
});

it("lets no more than a burst pass after a long silence", () => {
  const rate = new MessageRate(0);
  passed(rate, 0, 0);
  expect(passed(rate, 3_600_000, 3_600_000)).toBe(100);
});

it("never makes a sender of ten messages a second wait", () => {
  const rate = new MessageRate(0);
  for (let now = 0; now < 60_000; now += 100) {
    expect(rate.waitMs(now)).toBe(0);
    rate.count();
  }
});
