import { describe, expect, it } from "vitest";
import { matchesSchemata, schemaWrites } from "./schemata.ts";

describe("schemaWrites", () => {
  it("has the L3 cache first, then the bandwidth, then the lines of schemata", () => {
    const rdt = { schemata: ["L2:0=1", "MB:0=50"], memBwSchema: "MB:0=20", l3CacheSchema: "L3:0=f" };
    expect(schemaWrites(rdt)).toEqual([
      { value: "L3:0=f", pointer: "/linux/intelRdt/l3CacheSchema" },
      { value: "MB:0=20", pointer: "/linux/intelRdt/memBwSchema" },
      { value: "L2:0=1", pointer: "/linux/intelRdt/schemata/0" },
      { value: "MB:0=50", pointer: "/linux/intelRdt/schemata/1" },
    ]);
  });

  it("is empty without limits", () => {
    expect(schemaWrites({ closID: "a", l3CacheSchema: "", memBwSchema: "", schemata: [] })).toEqual([]);
  });
});

describe("matchesSchemata", () => {
  const PRESENT = "    L3:0=007ff;1=1f\n    MB:0=  20;1=100\n";

  it.each([
    ["L3:0=7ff;1=1f", true],
    ["L3:1=1F;0=0x7ff", true],
    ["L3:0=7ff", true],
    ["L3:0=7ff\nMB:1=100", true],
    ["MB:0=20;1=100;", true],
    ["MB:0=11;1=95", true],
    ["MB:0=21", false],
    ["MB:0=200", false],
    ["L3:0=7fe", false],
    ["L3:0=7ff;1=1f;2=1", false],
    ["L2:0=f", false],
    ["L3:0=7ff\nMB:1=10", false],
  ])("%j: %s", (value, expected) => {
    expect(matchesSchemata(value, PRESENT, 10)).toBe(expected);
  });
});
