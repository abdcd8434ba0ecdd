import { describe, expect, it } from "vitest";
import { parseMountInfo } from "./mount-info.ts";

describe("parseMountInfo", () => {
  it("reads lines with and without optional fields", () => {
    const text = `36 35 98:0 /mnt1 /mnt2 rw,noatime shared:7 master:1 - ext3 /dev/root rw,errors=continue
40 36 0:22 / /proc ro - proc proc rw
`;
    expect(parseMountInfo(text)).toEqual([
      {
        id: 36,
        parent: 35,
        root: "/mnt1",
        point: "/mnt2",
        options: ["rw", "noatime"],
        propagation: ["shared:7", "master:1"],
        type: "ext3",
        source: "/dev/root",
        superOptions: ["rw", "errors=continue"],
      },
      {
        id: 40,
        parent: 36,
        root: "/",
        point: "/proc",
        options: ["ro"],
        propagation: [],
        type: "proc",
        source: "proc",
        superOptions: ["rw"],
      },
    ]);
  });

  it("reads names with spaces and other escaped characters", () => {
    const [mount] = parseMountInfo("1 2 0:1 /a\\040b /c\\134d\\011e rw - tmpfs a\\040b rw");
    expect(mount).toMatchObject({ root: "/a b", point: "/c\\d\te", source: "a b" });
  });
});
