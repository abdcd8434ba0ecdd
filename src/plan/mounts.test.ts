import { describe, expect, it } from "vitest";
import { AT_RECURSIVE, O_NOFOLLOW, RESOLVE_IN_ROOT, RESOLVE_NO_SYMLINKS } from "../../bindings/abi/fcntl.ts";
import * as abi from "../../bindings/abi/mount.ts";
import type { Mount, NamespaceType } from "../spec/types.ts";
import { byteLength } from "./mount-data.ts";
import { finishMounts, makeMounts, mountRequests, openBindSources } from "./mounts.ts";
import { attributesOf, howOf, only, summary, type TestPlanOptions, testPlan } from "./plan.test-support.ts";

/** All operations of the config's mounts, in the order of the set-up. */
function planned(mounts: readonly Mount[], options: TestPlanOptions = {}, namespaces: "cgroup"[] = []) {
  const { program, plan, warnings } = testPlan(
    { mounts, linux: { namespaces: namespaces.map((type) => ({ type })) } },
    options,
  );
  const requests = mountRequests(plan);
  openBindSources(program, requests);
  makeMounts(program, plan, requests, []);
  const beforeEnd = program.operations.length;
  finishMounts(program, plan, requests);
  return { program, warnings, requests, finishing: program.operations.slice(beforeEnd) };
}

function refused(mount: Mount, options: TestPlanOptions = {}) {
  return () => planned([{ destination: "/other", type: "tmpfs" }, mount], options);
}

describe("what is refused, with its pointer", () => {
  it.each([
    ["the root", { destination: "/", type: "tmpfs" }, "over the root file system"],
    ["the root by another name", { destination: "/a/..", type: "tmpfs" }, "over the root file system"],
    ["a place inside of /proc", { destination: "/proc/self", type: "tmpfs" }, "it is inside /proc"],
    ["/proc by another name", { destination: "//proc/./sys", type: "tmpfs" }, "it is inside /proc"],
    ["tmpfs on /proc", { destination: "/proc", type: "tmpfs" }, "only procfs"],
    ["a bind mount without a source", { destination: "/a", options: ["bind"] }, "needs a source"],
    ["neither type nor bind", { destination: "/a" }, "needs a type or the option bind"],
    ["tmpcopyup of another type", { destination: "/a", type: "proc", options: ["tmpcopyup"] }, "tmpcopyup"],
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
      expect.objectContaining({ pointer: expect.stringMatching(/^\/mounts\/1(\/options)?$/) }),
    );
  });

  it("a bind mount on /proc whose source isn't procfs", () => {
    const mount = { destination: "/proc", source: "/fake", options: ["rbind"] };
    expect(refused(mount)).toThrow("only procfs may be mounted on /proc");
    expect(refused(mount, { facts: { isProcfs: (source) => source === "/fake" } })).not.toThrow();
  });

  it("what a link of the rootfs leads into /proc", () => {
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
  expect(planned([mount]).warnings).toEqual([
    "/mounts/0/options: a bind mount has no use for mode=755,uid=1",
  ]);
});

describe("bind", () => {
  it("copies the source, attaches it by descriptor, then sets flags, recursive flags and propagation", () => {
    const { program } = planned([
      { destination: "/data", source: "/src", options: ["rbind", "ro", "rnoexec", "rslave", "shared"] },
    ]);
    const [source, copy] = only(program, "open_tree");
    expect(source?.args[1]).toBe("/src");
    expect(copy?.args[0]).toBe(source?.into);
    expect(Number(copy?.args[2]) & AT_RECURSIVE).toBe(AT_RECURSIVE);
    expect(only(program, "move_mount")[0]?.args[0]).toBe(copy?.into);
    const changes = only(program, "mount_setattr");
    expect(changes.map((change) => change.args[0])).toEqual(changes.map(() => copy?.into));
    expect(changes.map(attributesOf)).toMatchObject([
      { set: abi.MOUNT_ATTR_RDONLY, propagation: 0 },
      { set: abi.MOUNT_ATTR_NOEXEC, propagation: 0 },
      { set: 0, propagation: abi.MS_SLAVE },
      { set: 0, propagation: abi.MS_SHARED },
    ]);
    expect(changes.map((change) => (Number(change.args[2]) & AT_RECURSIVE) !== 0)).toEqual([
      false,
      true,
      true,
      false,
    ]);
  });

  it("changes nothing of the mount without options, and takes no submounts with bind", () => {
    const { program } = planned([{ destination: "/data", source: "/src", options: ["bind"] }]);
    expect(only(program, "mount_setattr")).toEqual([]);
    expect(only(program, "open_tree").map(({ args }) => Number(args[2]) & AT_RECURSIVE)).toEqual([0, 0]);
  });

  it("makes a file for a source that isn't a directory", () => {
    const mount = { destination: "/etc/hosts", source: "/hosts", options: ["bind"] };
    const { program } = planned([mount], { facts: { isDirectory: () => false } });
    expect(summary(program.operations)).toContain("openat etc/hosts ?failed");
  });

  it("takes a relative source from the bundle", () => {
    const { requests } = planned([{ destination: "/a", source: "sub/dir", options: ["bind"] }]);
    expect(requests[0]?.source).toBe("/bundle/sub/dir");
  });

  it("opens all sources before the first mount is made", () => {
    const { program } = planned([
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
      const { program } = planned([{ destination: "/host", source, options: ["rbind"] }]);
      const [copy, ...others] = only(program, "open_tree");
      expect(Number(copy?.args[2]) & abi.OPEN_TREE_CLONE).toBe(abi.OPEN_TREE_CLONE);
      expect(only(program, "move_mount")[0]?.args[0]).toBe(copy?.into);
      expect(others).toEqual([]);
    },
  );

  it("copies a neighbour of the rootfs at its turn", () => {
    const { program } = planned([{ destination: "/a", source: "/bundle/root", options: ["rbind"] }]);
    expect(only(program, "open_tree")).toHaveLength(2);
  });
});

describe("a new file system", () => {
  it("is configured, mounted detached, then attached", () => {
    const { program } = planned([
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

  it("may bind the host's sysfs where the runtime itself is in a user namespace", () => {
    const binds = (inUserNamespace: boolean) => {
      const mount = { destination: "/sys", type: "sysfs", options: ["ro"] };
      const { program } = planned([mount], { facts: { inUserNamespace } });
      return program.operations.some(({ call, args }) => call === "open_tree" && args[1] === "/sys");
    };
    expect([binds(true), binds(false)]).toEqual([true, false]);
  });

  it.each(["proc", "sysfs"])("%s goes only where no link leads to", (type) => {
    const followDanglingLinks = () => "/elsewhere";
    const { program } = planned([{ destination: `/${type}`, type }], { facts: { followDanglingLinks } });
    const [target] = only(program, "openat2");
    expect(target?.path).toBe(`/${type}`);
    expect(howOf(target).resolve).toBe(RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS);
  });

  it("keeps the mode of a directory that a tmpfs without mode= covers", () => {
    expect(summary(planned([{ destination: "/t", type: "tmpfs" }]).program.operations)).toContain(
      "fchmod ?ok",
    );
    const { program } = planned([{ destination: "/t", type: "tmpfs", options: ["mode=1777"] }]);
    expect(only(program, "fchmod")).toEqual([]);
  });

  it("is read-only from its making, file system and mount", () => {
    const { program, finishing } = planned([{ destination: "/sys", type: "sysfs", options: ["ro"] }]);
    expect(summary(program.operations)).toContain("fsconfig ro");
    expect(only(program, "fsmount")[0]?.args[2]).toBe(abi.MOUNT_ATTR_RDONLY);
    expect(finishing).toEqual([]);
  });

  it.each([
    { destination: "/tmp", type: "tmpfs", options: ["ro", "nosuid"] },
    { destination: "/dev", type: "devtmpfs", options: ["ro", "nosuid"] },
  ])("of type $type on $destination becomes read-only at the end", (mount) => {
    const { program, finishing } = planned([mount]);
    expect(summary(program.operations)).not.toContain("fsconfig ro");
    expect(only(program, "fsmount")[0]?.args[2]).toBe(abi.MOUNT_ATTR_NOSUID);
    expect(summary(finishing)).toEqual([`openat2 ${mount.destination}`, "mount_setattr", "close"]);
    expect(attributesOf(finishing[1])).toMatchObject({ set: abi.MOUNT_ATTR_RDONLY });
    expect(finishing.every(({ pointer }) => pointer === "/mounts/0")).toBe(true);
  });

  it("of tmpcopyup is filled before it is attached", () => {
    const seen: string[] = [];
    const mount = { destination: "/t", type: "tmpfs", options: ["tmpcopyup"] };
    planned([mount], { copyUp: (program) => seen.push(...summary(program.operations)) });
    expect(seen).toContain("fsmount tmpfs");
    expect(seen).not.toContain("move_mount");
  });
});

describe("options that fsconfig(2) does not take", () => {
  const lowerdir = `lowerdir=${["/a", "/b", "/c"].map((path) => path.repeat(60)).join(":")}`;
  const overlay = (options: readonly string[], facts: TestPlanOptions["facts"] = {}) =>
    planned([{ destination: "/m", type: "overlay", source: "merged", options }], { facts });

  it("go to mount(2) in one string, on a directory that nobody else can reach, and never by a path", () => {
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

  it("are mounted in a tmpfs that is gone before the copy is attached", () => {
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

  it("have the label among them", () => {
    const { program } = overlay([lowerdir], { mountLabel: "u:r:t:s0:c1,c2" });
    expect(only(program, "mount")[0]?.args[4]).toBe(`${lowerdir},context="u:r:t:s0:c1,c2"`);
  });

  it("are an error where they don't fit in a page, with what mount(2) would cut off", () => {
    const options = [lowerdir, `upperdir=${"u".repeat(4095)}`];
    expect(() => overlay(options)).toThrow(
      expect.objectContaining({
        pointer: "/mounts/0/options",
        message: expect.stringMatching(/are 4\d{3} bytes long, and mount\(2\) takes 4095/),
      }),
    );
    const fitting = "x".repeat(4095 - byteLength(`${lowerdir},upperdir=`));
    expect(() => overlay([lowerdir, `upperdir=${fitting}`])).not.toThrow();
    expect(() => overlay([lowerdir, `upperdir=${fitting}x`])).toThrow(/are 4096 bytes long/);
  });

  it("are few: shorter ones go to fsconfig(2) each, however many there are", () => {
    const { program } = overlay(Array.from({ length: 100 }, (_, index) => `a${index}=${"b".repeat(99)}`));
    expect(only(program, "mount")).toEqual([]);
    expect(only(program, "fsconfig")).toHaveLength(102);
  });
});

describe("cgroup", () => {
  const mount = { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: ["ro"] };

  it("leaves out options of the whole hierarchy, and says so", () => {
    const options = ["ro", "nsdelegate,memory_recursiveprot"];
    const { program, warnings } = planned([{ ...mount, options }], {}, ["cgroup"]);
    expect(warnings).toEqual([
      "/mounts/0/options: a container can't choose nsdelegate,memory_recursiveprot: the whole cgroup hierarchy has it or not, as the host says",
    ]);
    const set = only(program, "fsconfig").map(({ args }) => args[2]);
    expect(set).not.toContain("nsdelegate");
    expect(() => planned([{ ...mount, options: [...options, "xattr"] }])).toThrow(
      "no file system options: xattr",
    );
    expect(() => planned([{ ...mount, options: ["remount", "nsdelegate"] }])).toThrow("options: nsdelegate");
  });

  it("binds the container's directory without a cgroup namespace", () => {
    const { program } = planned([mount]);
    expect(only(program, "fsopen")).toEqual([]);
    expect(only(program, "open_tree")[0]?.args[1]).toBe("/sys/fs/cgroup/test");
  });

  it("mounts cgroup2 with a cgroup namespace, and binds where the kernel refuses", () => {
    const { program } = planned([{ ...mount, type: "cgroup2" }], {}, ["cgroup"]);
    const created = only(program, "fsconfig").at(-1);
    expect(created?.tolerate).toEqual(["EPERM", "EBUSY"]);
    const [mounted] = only(program, "fsmount");
    const [bound] = only(program, "open_tree");
    expect(mounted?.guard).toEqual({ on: created?.into, is: "ok" });
    expect(bound).toMatchObject({ guard: { on: created?.into, is: "failed" }, into: mounted?.into });
    expect(attributesOf(only(program, "mount_setattr")[0])).toMatchObject({ set: abi.MOUNT_ATTR_RDONLY });
  });
});

it("gives a container without a cgroup an empty directory", () => {
  const mount = { destination: "/sys/fs/cgroup", type: "cgroup" };
  const { program } = planned([mount], { facts: { cgroup: undefined } });
  expect(only(program, "open_tree")).toEqual([]);
  expect(summary(program.operations)).toContain("fsopen tmpfs");
  const refused = planned([mount], { facts: { cgroup: undefined } }, ["cgroup"]).program;
  const [fresh, empty] = only(refused, "fsmount");
  expect(empty).toMatchObject({ into: fresh?.into, guard: { is: "failed", on: fresh?.guard?.on } });
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
  it("is set by mount(2) with the other flags again, once the mount is in its place", () => {
    const options = ["iversion", "sync", "noexec", "nosymfollow", "noatime"];
    const { program } = planned([{ destination: "/m", type: "tmpfs", options }]);
    const calls = summary(program.operations);
    expect(calls.indexOf("mount iversion")).toBeGreaterThan(calls.indexOf("move_mount"));
    const [remount] = only(program, "mount");
    expect(remount?.args[3]).toBe(
      abi.MS_REMOUNT | abi.MS_I_VERSION | abi.MS_SYNCHRONOUS | abi.MS_NOEXEC | abi.MS_NOSYMFOLLOW,
    );
    expect(calls).not.toContain("fsconfig iversion");
  });
});

describe("mountLabel", () => {
  const labelled = (mount: Mount) => planned([mount], { facts: { mountLabel: "u:r:t:s0" } }).program;

  it("is the context of a new file system", () => {
    const program = labelled({ destination: "/m", type: "tmpfs" });
    expect(summary(program.operations)).toContain("fsconfig context=u:r:t:s0");
  });

  it("goes to the option that crun's annotation names, which no other may", () => {
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

  it("is an attribute of mqueue", () => {
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

it("maps the ids of a new file system before it is attached", () => {
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

it("a remount changes the mount that is there", () => {
  const { program } = planned([{ destination: "/a", options: ["remount", "nodev", "private"] }]);
  expect(summary(program.operations)).toEqual(["openat2 /a", "mount_setattr", "mount_setattr", "close"]);
});

it("keeps the listed order, each operation with the pointer of its mount", () => {
  const { program } = planned([
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
