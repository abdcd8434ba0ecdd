import { describe, expect, it } from "vitest";
import { AT_RECURSIVE } from "../../../bindings/abi/fcntl.ts";
import * as abi from "../../../bindings/abi/mount.ts";
import type { Mount } from "../../spec/types.ts";
import {
  attributesOf,
  only,
  plannedMounts,
  summary,
  type TestPlanOptions,
  testPlan,
} from "../plan.test-support.ts";
import { makeMounts, openBindSources } from "./mounts.ts";
import { mountRequests } from "./requests.ts";

function refused(mount: Mount, options: TestPlanOptions = {}) {
  return () => plannedMounts([{ destination: "/other", type: "tmpfs" }, mount], options);
}

describe("refuses with a pointer", () => {
  it.each([
    [
      "a mount on the root",
      { destination: "/", type: "tmpfs" },
      "cover the root file system: name it in root.path",
    ],
    [
      "a mount on the root by another name",
      { destination: "/a/..", source: "/b", options: ["bind"] },
      "root.path",
    ],
    ["a remount of the root", { destination: "/", options: ["remount", "ro"] }, "root.readonly and"],
    ["a mount inside of /proc", { destination: "/proc/self", type: "tmpfs" }, "it is inside /proc"],
    ["/proc by another name", { destination: "//proc/./sys", type: "tmpfs" }, "it is inside /proc"],
    ["tmpfs on /proc", { destination: "/proc", type: "tmpfs" }, "only procfs"],
    ["a bind mount without a source", { destination: "/a", options: ["bind"] }, "needs a source"],
    ["a mount with neither type nor bind", { destination: "/a" }, "needs a type or the option bind"],
    [
      "tmpcopyup of a type other than tmpfs",
      { destination: "/a", type: "proc", options: ["tmpcopyup"] },
      "tmpcopyup",
    ],
    [
      "copy-symlink of a tmpfs",
      { destination: "/a", type: "tmpfs", options: ["copy-symlink"] },
      "of bind mounts",
    ],
    [
      "copy-symlink with src-nofollow",
      { destination: "/a", source: "/b", options: ["bind", "copy-symlink", "src-nofollow"] },
      "can't be combined",
    ],
    ["a remount with data", { destination: "/a", options: ["remount", "size=1k"] }, "remount takes no file"],
    ["a remount of the file system", { destination: "/a", options: ["remount", "sync"] }, "options: sync"],
    [
      "a cgroup mount with data",
      { destination: "/a", type: "cgroup", options: ["ro", "x=1"] },
      "options: x=1",
    ],
  ])("%s", (_title, mount, message) => {
    expect(refused(mount)).toThrow(message);
    expect(refused(mount)).toThrow(
      expect.objectContaining({ pointer: expect.stringMatching(/^\/mounts\/1(\/options|\/destination)?$/) }),
    );
  });

  it("a bind mount on /proc of another file system", () => {
    const mount = { destination: "/proc", source: "/fake", options: ["rbind"] };
    expect(refused(mount)).toThrow("only procfs may be mounted on /proc");
    expect(refused(mount, { facts: { isProcfs: (source) => source === "/fake" } })).not.toThrow();
  });

  it("a destination that a link of the rootfs leads into /proc", () => {
    const mount = { destination: "/link", type: "tmpfs" };
    expect(refused(mount, { facts: { followDanglingLinks: () => "/proc/self" } })).toThrow("inside /proc");
  });

  it("but not the files that lxcfs provides, nor a remount", () => {
    expect(
      refused({ destination: "/proc/meminfo", source: "/lxcfs/meminfo", options: ["bind"] }),
    ).not.toThrow();
    expect(refused({ destination: "/proc", options: ["remount", "ro"] })).not.toThrow();
  });
});

it("warns of data that a bind mount ignores", () => {
  const mount = { destination: "/a", source: "/src", options: ["bind", "mode=755", "uid=1"] };
  expect(plannedMounts([mount]).warnings).toEqual(["/mounts/0/options: a bind mount ignores mode=755,uid=1"]);
});

describe("bind", () => {
  it("copies the source, sets flags and recursive flags on the copy, attaches it by descriptor, then sets the propagation", () => {
    const { program } = plannedMounts([
      { destination: "/data", source: "/src", options: ["rbind", "ro", "rnoexec", "rslave", "shared"] },
    ]);
    const [source, copy] = only(program, "open_tree");
    expect(source?.args[1]).toBe("/src");
    expect(copy?.args[0]).toBe(source?.into);
    expect(Number(copy?.args[2]) & AT_RECURSIVE).toBe(AT_RECURSIVE);
    expect(only(program, "move_mount")[0]?.args[0]).toBe(copy?.into);
    const changes = only(program, "mount_setattr");
    expect(changes.map((change) => change.args[0])).toEqual(changes.map(() => copy?.into));
    const named = changes[1];
    expect(changes[0]).toMatchObject({ tolerate: ["EPERM"] });
    expect(named?.guard).toEqual({ on: changes[0]?.into, is: "failed" });
    expect(changes.map(attributesOf)).toMatchObject([
      { set: abi.MOUNT_ATTR_RDONLY, clear: expect.any(Number), propagation: 0 },
      { set: abi.MOUNT_ATTR_RDONLY, clear: 0, propagation: 0 },
      { set: abi.MOUNT_ATTR_NOEXEC, propagation: 0 },
      { set: 0, propagation: abi.MS_SLAVE },
      { set: 0, propagation: abi.MS_SHARED },
    ]);
    expect(changes.map((change) => (Number(change.args[2]) & AT_RECURSIVE) !== 0)).toEqual([
      false,
      false,
      true,
      true,
      false,
    ]);
    expect(summary(program.operations).filter((call) => /mount_setattr|move_mount/.test(call))).toEqual([
      "mount_setattr",
      "mount_setattr ?failed",
      "mount_setattr",
      "move_mount",
      "mount_setattr",
      "mount_setattr",
    ]);
  });

  it("changes no flag without options, and takes no submounts with bind", () => {
    const { program } = plannedMounts([{ destination: "/data", source: "/src", options: ["bind"] }]);
    expect(only(program, "mount_setattr")).toEqual([]);
    expect(only(program, "open_tree").map(({ args }) => Number(args[2]) & AT_RECURSIVE)).toEqual([0, 0]);
  });

  it("keeps the flags of a copy that was made outside of the user namespace, which the kernel doesn't lock", () => {
    const mount = { destination: "/host", source: "/", options: ["rbind", "nosuid"] };
    const { program, plan } = testPlan({ mounts: [mount], linux: { namespaces: [{ type: "user" }] } });
    const requests = mountRequests(plan);
    openBindSources(program, requests);
    makeMounts(program, plan, requests, []);
    expect(only(program, "mount_setattr").map(attributesOf)).toMatchObject([
      { set: abi.MOUNT_ATTR_NOSUID, clear: 0 },
    ]);
  });

  it("makes a file for a source that isn't a directory", () => {
    const mount = { destination: "/etc/hosts", source: "/hosts", options: ["bind"] };
    const { program } = plannedMounts([mount], { facts: { isDirectory: () => false } });
    expect(summary(program.operations)).toContain("openat etc/hosts ?failed");
  });

  it("resolves a relative source in the bundle", () => {
    const { requests } = plannedMounts([{ destination: "/a", source: "sub/dir", options: ["bind"] }]);
    expect(requests[0]?.source).toBe("/bundle/sub/dir");
  });

  it("opens all sources before the first mount is made", () => {
    const { program } = plannedMounts([
      { destination: "/a", type: "tmpfs" },
      { destination: "/b", source: "/src", options: ["bind"] },
    ]);
    expect(summary(program.operations)[0]).toBe("open_tree /src");
    expect(program.operations[0]?.pointer).toBe("/mounts/1");
    const made = program.operations.filter(({ call }) => call === "fsmount" || call === "open_tree");
    expect(made.map(({ pointer }) => pointer)).toEqual(["/mounts/1", "/mounts/0", "/mounts/1"]);
  });

  it.each(["/", "/bundle/", "/bundle/rootfs"])(
    "copies %s, which holds the rootfs, before any mount",
    (source) => {
      const { program } = plannedMounts([{ destination: "/host", source, options: ["rbind"] }]);
      const [copy, ...others] = only(program, "open_tree");
      expect(Number(copy?.args[2]) & abi.OPEN_TREE_CLONE).toBe(abi.OPEN_TREE_CLONE);
      expect(only(program, "move_mount")[0]?.args[0]).toBe(copy?.into);
      expect(others).toEqual([]);
    },
  );

  it("copies a sibling of the rootfs at its mount's turn", () => {
    const { program } = plannedMounts([{ destination: "/a", source: "/bundle/root", options: ["rbind"] }]);
    expect(only(program, "open_tree")).toHaveLength(2);
  });
});

describe("cgroup", () => {
  const mount = { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: ["ro"] };

  it("leaves out options of the whole hierarchy, with a warning", () => {
    const options = ["ro", "nsdelegate,memory_recursiveprot"];
    const { program, warnings } = plannedMounts([{ ...mount, options }], {}, ["cgroup"]);
    expect(warnings).toEqual([
      "/mounts/0/options: a container can't choose nsdelegate,memory_recursiveprot: the host sets it for the whole cgroup hierarchy",
    ]);
    const set = only(program, "fsconfig").map(({ args }) => args[2]);
    expect(set).not.toContain("nsdelegate");
    expect(() => plannedMounts([{ ...mount, options: [...options, "xattr"] }])).toThrow(
      "no file system options: xattr",
    );
    expect(() => plannedMounts([{ ...mount, options: ["remount", "nsdelegate"] }])).toThrow(
      "options: nsdelegate",
    );
  });

  it("without a cgroup namespace, binds the host's whole hierarchy, read-only before it is attached", () => {
    const { program } = plannedMounts([mount]);
    expect(only(program, "fsopen")).toEqual([]);
    expect(only(program, "open_tree")[0]?.args[1]).toBe("/sys/fs/cgroup");
    const calls = program.operations.map(({ call }) => call);
    expect(calls.indexOf("mount_setattr")).toBeLessThan(calls.indexOf("move_mount"));
    expect(attributesOf(only(program, "mount_setattr")[0])).toMatchObject({ set: abi.MOUNT_ATTR_RDONLY });
  });

  it("without a cgroup namespace, shows an empty directory to a container that has no cgroup", () => {
    for (const options of [["rw"], []]) {
      const { program } = plannedMounts([{ ...mount, options }], { facts: { cgroup: undefined } });
      expect(only(program, "fsopen").map(({ args }) => args[0])).toEqual(["tmpfs"]);
      expect(only(program, "open_tree")).toEqual([]);
    }
  });

  it("with a cgroup namespace, mounts cgroup2, or binds the cgroup if the kernel refuses", () => {
    const { program } = plannedMounts([{ ...mount, type: "cgroup2" }], {}, ["cgroup"]);
    const created = only(program, "fsconfig").at(-1);
    expect(created?.tolerate).toEqual(["EPERM", "EBUSY"]);
    const [mounted] = only(program, "fsmount");
    const [bound] = only(program, "open_tree");
    expect(mounted?.guard).toEqual({ on: created?.into, is: "ok" });
    expect(bound).toMatchObject({ guard: { on: created?.into, is: "failed" }, into: mounted?.into });
    expect(attributesOf(only(program, "mount_setattr")[0])).toMatchObject({ set: abi.MOUNT_ATTR_RDONLY });
  });
});

it("shows an empty directory to a container without a cgroup if the mount is refused", () => {
  const mount = { destination: "/sys/fs/cgroup", type: "cgroup" };
  const refused = plannedMounts([mount], { facts: { cgroup: undefined } }, ["cgroup"]).program;
  const [fresh, empty] = only(refused, "fsmount");
  expect(empty).toMatchObject({ into: fresh?.into, guard: { is: "failed", on: fresh?.guard?.on } });
});

it("a remount changes the existing mount", () => {
  const { program } = plannedMounts([{ destination: "/a", options: ["remount", "nodev", "private"] }]);
  expect(summary(program.operations)).toEqual(["openat2 /a", "mount_setattr", "mount_setattr", "close"]);
});

it("keeps the listed order, each operation with the pointer of its mount", () => {
  const { program } = plannedMounts([
    { destination: "/proc", type: "proc" },
    { destination: "/dev", type: "tmpfs" },
    { destination: "/data", source: "/src", options: ["bind"] },
    { destination: "/dev/pts", type: "devpts" },
  ]);
  const pointers = program.operations.map(({ pointer }) => pointer);
  expect(pointers.filter((pointer, index) => pointer !== pointers[index - 1])).toEqual([
    "/mounts/2",
    "/mounts/0",
    "/mounts/1",
    "/mounts/2",
    "/mounts/3",
  ]);
  expect(program.operations.every(({ purpose }) => /^(bind|mount) \S+ on \//.test(purpose))).toBe(true);
});
