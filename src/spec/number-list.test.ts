import { describe, expect, it } from "vitest";
import { numberListIssue, parseNumberList } from "./number-list.ts";

describe("a list of CPUs or memory nodes", () => {
  it.each([
    ["0", [[0, 0]]],
    [
      "0-3,7",
      [
        [0, 3],
        [7, 7],
      ],
    ],
    [
      " 1 , 2-2,",
      [
        [1, 1],
        [2, 2],
      ],
    ],
    ["65535", [[65535, 65535]]],
    ["", []],
    [",", []],
  ])("%j is valid", (text, ranges) => {
    expect(parseNumberList(text)).toEqual(ranges);
  });

  it.each(["3-1", "1-", "-1", "1--2", "1-2-3", "1 2", "65536", "0-99999", "123456", "a", "0x1"])(
    "%j is invalid",
    (text) => {
      expect(parseNumberList(text)).toBeUndefined();
    },
  );

  it.each(["", " ", "0", "0-1"])("%j has no issue", (text) => {
    expect(numberListIssue(text)).toBeUndefined();
  });

  it.each([",", "2-1"])("%j has an issue", (text) => {
    expect(numberListIssue(text)).toMatch(/list of numbers/);
  });
});
