import { expect, it } from "vitest";
import { outerId, parseIdMap } from "./id-map.ts";

it("parseIdMap reads each line of a map", () => {
  expect(parseIdMap("         0     100000       1000\n      1000       5000          1\n")).toEqual([
    { containerID: 0, hostID: 100_000, size: 1000 },
    { containerID: 1000, hostID: 5000, size: 1 },
  ]);
  expect(parseIdMap("")).toEqual([]);
});

it("outerId translates mapped ids, and is undefined for others", () => {
  const map = parseIdMap("0 100000 1000\n1000 5000 1\n");
  expect([0, 999, 1000, 1001].map((id) => outerId(id, map))).toEqual([100_000, 100_999, 5000, undefined]);
  expect(outerId(0, [])).toBeUndefined();
});
