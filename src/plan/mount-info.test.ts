import { describe, expect, it } from "vitest";
import { parseMountInfo } from "./mount-info.ts";

describe("parseMountInfo", () => {
  it("reads lines with and without optional fields", () => {
    const text = `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
40 36 0:22 / /proc rw - proc proc rw
`;
    expect(parseMountInfo(text)).toEqual([
      { id: 36, root: "/mnt1", point: "/mnt2", type: "ext3" },
      { id: 40, root: "/", point: "/proc", type: "proc" },
    ]);
  });

  it("reads names with spaces and other escaped characters", () => {
    const [mount] = parseMountInfo("1 2 0:1 /a\\040b /c\\134d\\011e rw - tmpfs tmpfs rw");
    expect(mount).toMatchObject({ root: "/a b", point: "/c\\d\te" });
  });
});
