import { expect, it } from "vitest";
import { parseMountInfo } from "../../bindings/linux/mount-info.ts";
import { findResctrl } from "./mount.ts";

const OTHERS = [
  "22 28 0:21 / /sys rw,nosuid - sysfs sysfs rw",
  "23 28 0:22 / /sys/fs/resctrl ro - tmpfs resctrl rw",
].join("\n");

it("finds resctrl by its type, wherever it is mounted", () => {
  const line = "40 22 0:40 / /mnt/rdt\\040here rw,relatime shared:7 - resctrl resctrl rw,cdp";
  expect(findResctrl(parseMountInfo(`${OTHERS}\n${line}\n`))).toBe("/mnt/rdt here");
});

it("throws an error that names the property if there is none", () => {
  expect(() => findResctrl(parseMountInfo(OTHERS))).toThrow(
    "/linux/intelRdt: no resctrl file system is mounted on this host",
  );
});
