import { describe, expect, it } from "vitest";
import {
  MOUNT_ATTR_NOATIME,
  MOUNT_ATTR_NODIRATIME,
  MOUNT_ATTR_RDONLY,
  MOUNT_ATTR_STRICTATIME,
} from "../../../bindings/abi/mount.ts";
import { parseMountInfo } from "../../../bindings/linux/mount-info.ts";
import { obstacleText, obstacleTo } from "./revealing.ts";

/** Lines of mountinfo: a root, /proc and /sys, and then these. */
function mounts(lines: readonly string[] = [], proc = "rw,nosuid,relatime", superOptions = "rw") {
  return parseMountInfo(
    [
      "1 0 0:1 / / rw - ext4 /dev/vda rw",
      `2 1 0:2 / /proc ${proc} - proc proc ${superOptions}`,
      "3 1 0:3 / /sys rw,relatime - sysfs sysfs rw",
      ...lines,
    ].join("\n"),
  );
}

function over(id: number, parent: number, point: string, type = "tmpfs", root = "/"): string {
  return `${id} ${parent} 0:${id} ${root} ${point} rw,relatime - ${type} ${type} rw`;
}

describe("obstacleTo", () => {
  it("finds none where nothing covers /proc and /sys", () => {
    expect(obstacleTo("proc", 0, mounts())).toBeUndefined();
    expect(obstacleTo("sysfs", 0, mounts())).toBeUndefined();
  });

  it("finds none where mounts cover permanently empty directories only, whatever is mounted on those", () => {
    const usual = [
      over(4, 2, "/proc/sys/fs/binfmt_misc", "autofs"),
      over(5, 4, "/proc/sys/fs/binfmt_misc", "binfmt_misc"),
      over(6, 3, "/sys/fs/cgroup", "cgroup2"),
      over(7, 3, "/sys/kernel/debug", "debugfs"),
      over(8, 7, "/sys/kernel/debug/tracing", "tracefs"),
    ];
    expect(obstacleTo("proc", 0, mounts(usual))).toBeUndefined();
    expect(obstacleTo("sysfs", 0, mounts(usual))).toBeUndefined();
  });

  it("names the mounts that cover parts of it", () => {
    const masks = [
      over(4, 2, "/proc/keys", "tmpfs", "/null"),
      over(5, 2, "/proc/acpi"),
      over(6, 3, "/sys/firmware"),
    ];
    expect(obstacleTo("proc", 0, mounts(masks))).toEqual({
      kind: "covered",
      place: "/proc",
      points: ["/proc/keys", "/proc/acpi"],
    });
    expect(obstacleTo("sysfs", 0, mounts(masks))).toEqual({
      kind: "covered",
      place: "/sys",
      points: ["/sys/firmware"],
    });
  });

  it("names a mount that covers the whole", () => {
    expect(obstacleTo("proc", 0, mounts([over(4, 2, "/proc")]))).toMatchObject({ points: ["/proc"] });
  });

  it("finds none where another mount of the whole is visible, and names the least covered one otherwise", () => {
    const covered = [over(4, 2, "/proc/keys"), over(5, 2, "/proc/acpi"), over(6, 1, "/mnt/p", "proc")];
    expect(obstacleTo("proc", 0, mounts(covered))).toBeUndefined();
    expect(obstacleTo("proc", 0, mounts([...covered, over(7, 6, "/mnt/p/keys")]))).toMatchObject({
      place: "/mnt/p",
      points: ["/mnt/p/keys"],
    });
  });

  it("names the mounts on the upper one of two at one place", () => {
    const upper = [over(4, 2, "/proc", "proc"), over(5, 4, "/proc/keys"), over(6, 4, "/proc/acpi")];
    expect(obstacleTo("proc", 0, mounts(upper))).toMatchObject({ points: ["/proc/keys", "/proc/acpi"] });
  });

  it("does not count a mount of a part of it", () => {
    const part = [over(4, 2, "/proc/keys"), over(5, 1, "/mnt", "proc", "/sys")];
    expect(obstacleTo("proc", 0, mounts(part))).toMatchObject({ kind: "covered", place: "/proc" });
    expect(obstacleTo("proc", 0, parseMountInfo(over(5, 1, "/mnt", "proc", "/sys")))).toEqual({
      kind: "absent",
    });
  });

  it.each([
    ["rw,relatime", "rw", 0, undefined],
    ["ro,relatime", "rw", 0, ["ro"]],
    ["rw,relatime", "ro", 0, ["ro"]],
    ["ro,relatime", "rw", MOUNT_ATTR_RDONLY, undefined],
    ["rw,relatime", "rw", MOUNT_ATTR_RDONLY, undefined],
    ["rw,noatime", "rw", 0, ["noatime"]],
    ["rw,noatime", "rw", MOUNT_ATTR_NOATIME, undefined],
    ["rw,relatime", "rw", MOUNT_ATTR_NOATIME, ["relatime"]],
    ["rw", "rw", 0, ["strictatime"]],
    ["rw", "rw", MOUNT_ATTR_STRICTATIME, undefined],
    ["ro,nodiratime,relatime", "rw", 0, ["ro", "nodiratime", "relatime"]],
    ["rw,nodiratime,relatime", "rw", MOUNT_ATTR_NODIRATIME, undefined],
  ])(
    "where /proc is mounted %s (file system: %s), a new one with attributes %i lacks %j",
    (mount, superOptions, attributes, options) => {
      expect(obstacleTo("proc", attributes, mounts([], mount, superOptions))).toEqual(
        options === undefined ? undefined : { kind: "options", place: "/proc", options },
      );
    },
  );
});

describe("obstacleText", () => {
  it("names at most four mounts", () => {
    const points = ["/proc/a", "/proc/b", "/proc/c", "/proc/d", "/proc/e", "/proc/f"];
    const { reason } = obstacleText("proc", { kind: "covered", place: "/proc", points });
    expect(reason).toBe(
      "a new proc would reveal what mounts hide at /proc/a, /proc/b, /proc/c, /proc/d and 2 more",
    );
  });
});
