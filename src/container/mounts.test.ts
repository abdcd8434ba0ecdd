import { expect, it } from "vitest";
import { parseMountInfo } from "../../bindings/linux/mount-info.ts";
import { listedMount } from "./mounts.ts";

it("listedMount gives destinations, types, sources and the options of mount, file system and propagation", () => {
  const text = [
    "31 28 0:26 / /proc/sys ro,nosuid - proc proc rw",
    "40 31 254:0 /srv/a\\040b /mnt/a\\040b rw,noexec shared:7 master:3 - ext4 /dev/vda rw,errors=remount-ro",
    "41 31 0:30 / /tmp rw unbindable - tmpfs none rw,size=64k",
    "",
  ].join("\n");
  expect(parseMountInfo(text).map(listedMount)).toEqual([
    { id: 31, destination: "/proc/sys", type: "proc", source: "proc", options: ["ro", "nosuid"] },
    {
      id: 40,
      destination: "/mnt/a b",
      type: "ext4",
      source: "/dev/vda",
      root: "/srv/a b",
      options: ["rw", "noexec", "errors=remount-ro", "shared", "slave"],
    },
    {
      id: 41,
      destination: "/tmp",
      type: "tmpfs",
      source: "none",
      options: ["rw", "size=64k", "unbindable"],
    },
  ]);
});
