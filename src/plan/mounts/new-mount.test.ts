import { describe, expect, it } from "vitest";
import {
  AT_RECURSIVE,
  O_NOFOLLOW,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_SYMLINKS,
} from "../../../bindings/abi/fcntl.ts";
import * as abi from "../../../bindings/abi/mount.ts";
import type { Mount, NamespaceType } from "../../spec/types.ts";
import {
  attributesOf,
  howOf,
  only,
  plannedMounts,
  summary,
  type TestPlanOptions,
  testPlan,
} from "../plan.test-support.ts";
import { byteLength } from "./data.ts";
import { makeMounts } from "./mounts.ts";
import { MOUNT_FLAGS } from "./options.ts";
import { mountRequests } from "./requests.ts";

describe("a new file system", () => {
  it("is configured, mounted detached, then attached", () => {
    const { program } = plannedMounts([
      { destination: "/m", type: "mqueue", source: "queue", options: ["nosuid", "sync", "acl", "a=b=c"] },
    ]);
    expect(summary(program.operations).filter((line) => /^(fs|move)/.test(line))).toEqual([
      "fsopen mqueue",
      "fsconfig source=queue",
      "fsconfig sync",
      "fsconfig acl",
      "fsconfig a=b=c",
      "fsconfig mqueue",
      "fsmount mqueue",
      "move_mount",
    ]);
    const data = only(program, "fsconfig").map(({ args }) => args.slice(1, 4));
    expect(data[2]).toEqual([abi.FSCONFIG_SET_FLAG, "acl", 0]);
    expect(data[3]).toEqual([abi.FSCONFIG_SET_STRING, "a", "b=c"]);
    expect(only(program, "fsmount")[0]?.args[2]).toBe(abi.MOUNT_ATTR_NOSUID);
  });

  it("may be the host's sysfs if the runtime itself is in a user namespace", () => {
    const binds = (inUserNamespace: boolean) => {
      const mount = { destination: "/sys", type: "sysfs", options: ["ro"] };
      const { program } = plannedMounts([mount], { facts: { inUserNamespace } });
      return program.operations.some(({ call, args }) => call === "open_tree" && args[1] === "/sys");
    };
    expect([binds(true), binds(false)]).toEqual([true, false]);
  });

  it.each(["proc", "sysfs"])("%s is mounted only on a path without symbolic links", (type) => {
    const followDanglingLinks = () => "/elsewhere";
    const { program } = plannedMounts([{ destination: `/${type}`, type }], {
      facts: { followDanglingLinks },
    });
    const [target] = only(program, "openat2");
    expect(target?.path).toBe(`/${type}`);
    expect(howOf(target).resolve).toBe(RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS);
  });

  it("keeps the mode of the directory that it covers, if it is a tmpfs without mode=", () => {
    expect(summary(plannedMounts([{ destination: "/t", type: "tmpfs" }]).program.operations)).toContain(
      "fchmod ?ok",
    );
    const { program } = plannedMounts([{ destination: "/t", type: "tmpfs", options: ["mode=1777"] }]);
    expect(only(program, "fchmod")).toEqual([]);
  });

  it("is made read-only, both file system and mount", () => {
    const { program, finishing } = plannedMounts([{ destination: "/sys", type: "sysfs", options: ["ro"] }]);
    expect(summary(program.operations)).toContain("fsconfig ro");
    expect(only(program, "fsmount")[0]?.args[2]).toBe(abi.MOUNT_ATTR_RDONLY);
    expect(finishing).toEqual([]);
  });

  it.each([
    { destination: "/tmp", type: "tmpfs", options: ["ro", "nosuid"] },
    { destination: "/dev", type: "devtmpfs", options: ["ro", "nosuid"] },
  ])("of type $type on $destination becomes read-only at the end", (mount) => {
    const { program, finishing } = plannedMounts([mount]);
    expect(summary(program.operations)).not.toContain("fsconfig ro");
    expect(only(program, "fsmount")[0]?.args[2]).toBe(abi.MOUNT_ATTR_NOSUID);
    expect(summary(finishing)).toEqual(["mount_setattr"]);
    expect(finishing[0]?.args[0]).toEqual(only(program, "fsmount")[0]?.into);
    expect(attributesOf(finishing[0])).toMatchObject({ set: abi.MOUNT_ATTR_RDONLY });
    expect(finishing.every(({ pointer }) => pointer === "/mounts/0")).toBe(true);
  });

  it("becomes read-only once it is filled, before it is attached, in a running container", () => {
    const seen: string[] = [];
    const mount = { destination: "/t", type: "tmpfs", options: ["ro", "tmpcopyup"] };
    const copyUp = () => seen.push("copy up");
    const { program, finishing } = plannedMounts([mount], { isLive: true, copyUp });
    expect(only(program, "fsmount")[0]?.args[2]).toBe(0);
    expect(seen).toEqual(["copy up"]);
    const calls = summary(program.operations);
    expect(calls.slice(-4)).toEqual(["mount_setattr", "move_mount", "close", "close"]);
    expect(only(program, "mount_setattr").map(attributesOf)).toMatchObject([{ set: abi.MOUNT_ATTR_RDONLY }]);
    expect(finishing).toEqual([]);
  });

  it("is filled before it is attached, with tmpcopyup", () => {
    const seen: string[] = [];
    const mount = { destination: "/t", type: "tmpfs", options: ["tmpcopyup"] };
    plannedMounts([mount], { copyUp: (program) => seen.push(...summary(program.operations)) });
    expect(seen).toContain("fsmount tmpfs");
    expect(seen).not.toContain("move_mount");
  });
});

describe("options that fsconfig(2) does not take", () => {
  const lowerdir = `lowerdir=${["/a", "/b", "/c"].map((path) => path.repeat(60)).join(":")}`;
  const overlay = (options: readonly string[], facts: TestPlanOptions["facts"] = {}) =>
    plannedMounts([{ destination: "/m", type: "overlay", source: "merged", options }], { facts });

  it("go to mount(2) as one string, on a directory that nobody else can reach, never by a path", () => {
    const { program } = overlay([lowerdir, "volatile,index=off", "sync", "ro"]);
    const flags = abi.MS_SYNCHRONOUS | abi.MS_RDONLY;
    expect(only(program, "mount").map(({ args }) => args)).toEqual([
      ["merged", ".", "overlay", flags, `${lowerdir},volatile,index=off`],
    ]);
    const calls = program.operations.map(({ call }) => call);
    const entered = program.operations[calls.indexOf("mount") - 1];
    const inside = only(program, "openat").find(({ args }) => args[1] === "new");
    expect(entered).toMatchObject({ call: "fchdir", args: [inside?.into] });
    expect(Number(inside?.args[2]) & O_NOFOLLOW).toBe(O_NOFOLLOW);
  });

  it("are mounted in a tmpfs that is unmounted before the copy is attached", () => {
    const { program } = overlay([lowerdir]);
    const calls = program.operations.map(({ call }) => call);
    const [copy] = only(program, "open_tree");
    const [place] = only(program, "fsmount");
    expect(only(program, "move_mount").map(({ args }) => args[0])).toEqual([place?.into, copy?.into]);
    expect(copy?.args.slice(0, 2)).toEqual([place?.into, "new"]);
    expect(calls.indexOf("umount2")).toBeGreaterThan(calls.indexOf("open_tree"));
    expect(calls.indexOf("umount2")).toBeLessThan(calls.lastIndexOf("move_mount"));
  });

  it("leave the flags of the mount to mount_setattr(2)", () => {
    const { program } = overlay([lowerdir, "nosuid", "noatime"]);
    const [change] = only(program, "mount_setattr");
    expect(change?.args[0]).toBe(only(program, "open_tree")[0]?.into);
    expect(attributesOf(change)).toMatchObject({
      set: abi.MOUNT_ATTR_NOSUID | abi.MOUNT_ATTR_NOATIME,
      clear: abi.MOUNT_ATTR__ATIME,
    });
    expect(only(overlay([lowerdir]).program, "mount_setattr")).toEqual([]);
  });

  it("include the label", () => {
    const { program } = overlay([lowerdir], { mountLabel: "u:r:t:s0:c1,c2" });
    expect(only(program, "mount")[0]?.args[4]).toBe(`${lowerdir},context="u:r:t:s0:c1,c2"`);
  });

  it("are an error if they don't fit in a page: mount(2) would cut them off", () => {
    const options = [lowerdir, `upperdir=${"u".repeat(4095)}`];
    expect(() => overlay(options)).toThrow(
      expect.objectContaining({
        pointer: "/mounts/0/options",
        message: expect.stringMatching(/are 4\d{3} bytes long, but mount\(2\) takes at most 4095/),
      }),
    );
    const fitting = "x".repeat(4095 - byteLength(`${lowerdir},upperdir=`));
    expect(() => overlay([lowerdir, `upperdir=${fitting}`])).not.toThrow();
    expect(() => overlay([lowerdir, `upperdir=${fitting}x`])).toThrow(/are 4096 bytes long/);
  });

  it("are only long ones: short ones go to fsconfig(2) one by one, however many there are", () => {
    const { program } = overlay(Array.from({ length: 100 }, (_, index) => `a${index}=${"b".repeat(99)}`));
    expect(only(program, "mount")).toEqual([]);
    expect(only(program, "fsconfig")).toHaveLength(102);
  });
});

describe("sysfs that the kernel refuses", () => {
  const sysfs = (options: string[], types: NamespaceType[]) => {
    const namespaces = types.map((type) => ({ type }));
    const { program, plan } = testPlan({
      mounts: [{ destination: "/sys", type: "sysfs", options }],
      linux: { namespaces },
    });
    makeMounts(program, plan, mountRequests(plan), []);
    return program;
  };

  it("is the host's, read-only throughout, in a user namespace without a network", () => {
    const program = sysfs(["ro", "nosuid"], ["user"]);
    const [opened] = only(program, "fsopen");
    expect(opened?.tolerate).toEqual(["EPERM"]);
    const [bound] = only(program, "open_tree");
    expect(bound).toMatchObject({ path: "/sys", guard: { on: opened?.into, is: "failed" } });
    const [change] = only(program, "mount_setattr");
    expect(attributesOf(change).set).toBe(abi.MOUNT_ATTR_RDONLY | abi.MOUNT_ATTR_NOSUID);
    expect(Number(change?.args[2]) & AT_RECURSIVE).toBe(AT_RECURSIVE);
  });

  it.each<[string[], NamespaceType[]]>([
    [["nosuid"], ["user"]],
    [["ro"], ["user", "network"]],
    [["ro"], []],
  ])("is an error with options %j and namespaces %j", (options, types) => {
    const program = sysfs(options, types);
    expect(only(program, "open_tree")).toEqual([]);
    expect(only(program, "fsopen")[0]?.tolerate).toEqual([]);
  });
});

describe("iversion", () => {
  it("is set by mount(2) with all other flags, once the mount is attached", () => {
    const options = ["iversion", "sync", "noexec", "nosymfollow", "noatime"];
    const { program } = plannedMounts([{ destination: "/m", type: "tmpfs", options }]);
    const calls = summary(program.operations);
    expect(calls.indexOf("mount iversion")).toBeGreaterThan(calls.indexOf("move_mount"));
    const [remount] = only(program, "mount");
    expect(remount?.args[3]).toBe(
      abi.MS_REMOUNT | abi.MS_I_VERSION | abi.MS_SYNCHRONOUS | abi.MS_NOEXEC | abi.MS_NOSYMFOLLOW,
    );
    expect(calls).not.toContain("fsconfig iversion");
  });

  it.each(MOUNT_FLAGS)("keeps $set, since the remount would clear it", ({ set, msFlag }) => {
    const { program } = plannedMounts([{ destination: "/m", type: "tmpfs", options: ["iversion", set] }]);
    expect(only(program, "mount")[0]?.args[3]).toBe(abi.MS_REMOUNT | abi.MS_I_VERSION | msFlag);
  });
});

describe("mountLabel", () => {
  const labelled = (mount: Mount) => plannedMounts([mount], { facts: { mountLabel: "u:r:t:s0" } }).program;

  it("is the context of a new file system", () => {
    const program = labelled({ destination: "/m", type: "tmpfs" });
    expect(summary(program.operations)).toContain("fsconfig context=u:r:t:s0");
  });

  it("is the value of the option that crun's annotation names; other names are refused", () => {
    const labelledBy = (option: string) => {
      const annotations = { "run.oci.mount_context_type": option };
      const config = { mounts: [{ destination: "/m", type: "tmpfs" }], annotations };
      const { program, plan } = testPlan(config, { facts: { mountLabel: "u:r:t:s0" } });
      makeMounts(program, plan, mountRequests(plan), []);
      return summary(program.operations);
    };
    expect(labelledBy("rootcontext")).toContain("fsconfig rootcontext=u:r:t:s0");
    expect(() => labelledBy("size")).toThrow(
      "/annotations/run.oci.mount_context_type: must be one of context, ",
    );
  });

  it("is set as an extended attribute on mqueue", () => {
    const program = labelled({ destination: "/m", type: "mqueue" });
    expect(summary(program.operations)).not.toContain("fsconfig context=u:r:t:s0");
    expect(only(program, "fsetxattr")[0]?.args.slice(1)).toEqual(["security.selinux", "u:r:t:s0", 8, 0]);
  });

  it.each([
    { destination: "/proc", type: "proc" },
    { destination: "/sys", type: "sysfs" },
    { destination: "/sys/fs/cgroup", type: "cgroup" },
    { destination: "/b", source: "/src", options: ["bind"] },
    { destination: "/m", type: "tmpfs", options: ["context=mine"] },
  ])("is not given to $destination", (mount) => {
    const calls = summary(labelled(mount).operations);
    expect(calls.filter((call) => call.includes("u:r:t:s0"))).toEqual([]);
  });
});

it("maps the IDs of a new file system before it is attached", () => {
  const { program, plan } = testPlan({ mounts: [{ destination: "/m", type: "tmpfs", options: ["ridmap"] }] });
  const requests = mountRequests(plan);
  const [request] = requests;
  if (request === undefined) throw new Error("no request");
  request.mappings = program.descriptor(9);
  makeMounts(program, plan, requests, []);
  const [change] = only(program, "mount_setattr");
  expect(attributesOf(change).set).toBe(abi.MOUNT_ATTR_IDMAP);
  expect(Number(change?.args[2]) & AT_RECURSIVE).toBe(AT_RECURSIVE);
  expect(only(program, "store")[0]?.args[1]).toBe(request.mappings);
  const calls = program.operations.map(({ call }) => call);
  expect(calls.indexOf("mount_setattr")).toBeLessThan(calls.indexOf("move_mount"));
});
