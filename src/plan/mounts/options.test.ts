import { describe, expect, it } from "vitest";
import * as abi from "../../../bindings/abi/mount.ts";
import { bindAttributes, knownMountOptions, parseMountOptions, parsePropagation } from "./options.ts";

const ATIME = abi.MOUNT_ATTR__ATIME;

function attributes(...options: string[]) {
  const { set, clear } = parseMountOptions(options).attributes;
  return { set, clear };
}

function recursive(...options: string[]) {
  const { set, clear } = parseMountOptions(options).recursiveAttributes;
  return { set, clear };
}

describe("flags of a mount", () => {
  it.each([
    ["dev", { set: 0, clear: abi.MOUNT_ATTR_NODEV }],
    ["diratime", { set: 0, clear: abi.MOUNT_ATTR_NODIRATIME }],
    ["exec", { set: 0, clear: abi.MOUNT_ATTR_NOEXEC }],
    ["noatime", { set: abi.MOUNT_ATTR_NOATIME, clear: ATIME }],
    ["nodev", { set: abi.MOUNT_ATTR_NODEV, clear: 0 }],
    ["nodiratime", { set: abi.MOUNT_ATTR_NODIRATIME, clear: 0 }],
    ["noexec", { set: abi.MOUNT_ATTR_NOEXEC, clear: 0 }],
    ["nosuid", { set: abi.MOUNT_ATTR_NOSUID, clear: 0 }],
    ["nosymfollow", { set: abi.MOUNT_ATTR_NOSYMFOLLOW, clear: 0 }],
    ["relatime", { set: 0, clear: ATIME }],
    ["ro", { set: abi.MOUNT_ATTR_RDONLY, clear: 0 }],
    ["rw", { set: 0, clear: abi.MOUNT_ATTR_RDONLY }],
    ["strictatime", { set: abi.MOUNT_ATTR_STRICTATIME, clear: ATIME }],
    ["suid", { set: 0, clear: abi.MOUNT_ATTR_NOSUID }],
    ["symfollow", { set: 0, clear: abi.MOUNT_ATTR_NOSYMFOLLOW }],
  ])("%s, and r%s for all mounts below", (option, expected) => {
    expect(attributes(option)).toEqual(expected);
    expect(recursive(option)).toEqual({ set: 0, clear: 0 });
    expect(recursive(`r${option}`)).toEqual(expected);
    expect(attributes(`r${option}`)).toEqual({ set: 0, clear: 0 });
    expect(parseMountOptions([option, `r${option}`]).data).toEqual([]);
  });

  it.each([
    ["atime", ATIME],
    ["norelatime", 0],
    ["nostrictatime", ATIME],
  ])("%s alone changes nothing, r%s makes all mounts below relatime", (option, clear) => {
    expect(attributes(option)).toEqual({ set: 0, clear: 0 });
    expect(recursive(`r${option}`)).toEqual({ set: 0, clear });
    expect(parseMountOptions([option, `r${option}`]).data).toEqual([]);
  });

  it.each([
    [["ro", "rw"], { set: 0, clear: abi.MOUNT_ATTR_RDONLY }],
    [["nosuid", "suid"], { set: 0, clear: abi.MOUNT_ATTR_NOSUID }],
    [["noexec", "exec"], { set: 0, clear: abi.MOUNT_ATTR_NOEXEC }],
    [["nodev", "dev"], { set: 0, clear: abi.MOUNT_ATTR_NODEV }],
    [["noatime", "atime"], { set: 0, clear: ATIME }],
    [["strictatime", "nostrictatime"], { set: 0, clear: ATIME }],
    [["noatime", "strictatime"], { set: abi.MOUNT_ATTR_STRICTATIME, clear: ATIME }],
    [["strictatime", "relatime"], { set: 0, clear: ATIME }],
    [["strictatime", "noatime"], { set: abi.MOUNT_ATTR_NOATIME, clear: ATIME }],
  ])("of %s the last one wins", (options, expected) => {
    expect(attributes(...options)).toEqual(expected);
    expect(recursive(...options.map((option) => `r${option}`))).toEqual(expected);
  });

  it("sets a flag again that an earlier option cleared", () => {
    expect(attributes("rw", "ro").set).toBe(abi.MOUNT_ATTR_RDONLY);
    expect(attributes("dev", "nodev").set).toBe(abi.MOUNT_ATTR_NODEV);
  });

  it("never changes only a part of the access time field, which mount_setattr refuses", () => {
    const words = ["atime", "noatime", "norelatime", "nostrictatime", "relatime", "strictatime"];
    for (const first of words) {
      for (const second of words) {
        const { set, clear } = attributes(first, second);
        expect([0, ATIME]).toContain(clear & ATIME);
        if ((set & ATIME) !== 0) expect(clear & ATIME).toBe(ATIME);
      }
    }
  });

  it("combines the flags of several options", () => {
    expect(attributes("nosuid", "noexec", "nodev", "ro").set).toBe(
      abi.MOUNT_ATTR_NOSUID | abi.MOUNT_ATTR_NOEXEC | abi.MOUNT_ATTR_NODEV | abi.MOUNT_ATTR_RDONLY,
    );
  });
});

describe("flags of a bind mount", () => {
  const others =
    abi.MOUNT_ATTR_RDONLY |
    abi.MOUNT_ATTR_NOSUID |
    abi.MOUNT_ATTR_NODEV |
    abi.MOUNT_ATTR_NOEXEC |
    abi.MOUNT_ATTR_NOSYMFOLLOW;
  const times = ATIME | abi.MOUNT_ATTR_NODIRATIME;

  it.each([
    [],
    ["rprivate"],
    ["defaults"],
    ["rro", "rnosuid"],
    ["mode=1"],
    ["mode=1,ro"],
    ["idmap", "rslave"],
  ])("%s %s keep the flags of the source", (...options) => {
    expect(bindAttributes(parseMountOptions(["rbind", ...options]))).toEqual({ set: 0, clear: 0 });
  });

  it.each([
    ["rw", 0],
    ["exec", 0],
    ["atime", 0],
    ["norelatime", 0],
    ["nosuid", abi.MOUNT_ATTR_NOSUID],
    ["ro", abi.MOUNT_ATTR_RDONLY],
    ["sync", 0],
    ["async", 0],
    ["silent", 0],
  ])("%s clears unnamed flags but keeps access times", (option, set) => {
    expect(bindAttributes(parseMountOptions(["bind", option]))).toEqual({ set, clear: others & ~set });
  });

  it.each([
    ["noatime", abi.MOUNT_ATTR_NOATIME],
    ["relatime", 0],
    ["strictatime", abi.MOUNT_ATTR_STRICTATIME],
    ["nodiratime", abi.MOUNT_ATTR_NODIRATIME],
  ])("%s replaces all access times", (option, set) => {
    expect(bindAttributes(parseMountOptions(["bind", option]))).toEqual({ set, clear: others | times });
  });

  it("diratime clears only nodiratime of the access times", () => {
    const clear = others | abi.MOUNT_ATTR_NODIRATIME;
    expect(bindAttributes(parseMountOptions(["bind", "diratime"]))).toEqual({ set: 0, clear });
  });
});

describe("flags of the file system", () => {
  it.each(["dirsync", "iversion", "lazytime", "mand", "ro", "sync"])("%s", (option) => {
    expect(parseMountOptions([option])).toMatchObject({ superblockFlags: [option], data: [] });
  });

  it.each([
    ["sync", "async"],
    ["iversion", "noiversion"],
    ["lazytime", "nolazytime"],
    ["mand", "nomand"],
    ["ro", "rw"],
  ])("%s is undone by %s", (set, clear) => {
    expect(parseMountOptions([set, clear])).toMatchObject({ superblockFlags: [], data: [] });
    expect(parseMountOptions([clear, set])).toMatchObject({ superblockFlags: [set], data: [] });
  });

  it.each(["defaults", "loud", "silent"])("%s has no effect", (option) => {
    const hasExplicitFlags = option !== "defaults";
    expect(parseMountOptions([option])).toEqual({ ...parseMountOptions([]), hasExplicitFlags });
  });
});

describe("how a mount is made", () => {
  it("binds with bind and rbind", () => {
    expect(parseMountOptions(["bind"])).toMatchObject({ bind: true, recursiveBind: false, data: [] });
    expect(parseMountOptions(["rbind"])).toMatchObject({ bind: true, recursiveBind: true, data: [] });
    expect(parseMountOptions(["rbind", "bind"])).toMatchObject({ bind: true, recursiveBind: true });
    expect(parseMountOptions([])).toMatchObject({ bind: false, recursiveBind: false });
  });

  it.each(["remount", "tmpcopyup"])("%s", (option) => {
    expect(parseMountOptions([option])).toMatchObject({ [option]: true, data: [] });
    expect(parseMountOptions([])).toMatchObject({ [option]: false });
  });
});

describe("propagation", () => {
  it.each([
    ["private", abi.MS_PRIVATE],
    ["shared", abi.MS_SHARED],
    ["slave", abi.MS_SLAVE],
    ["unbindable", abi.MS_UNBINDABLE],
  ])("%s, and r%s for all mounts below", (word, type) => {
    expect(parsePropagation(word)).toEqual({ type, recursive: false });
    expect(parsePropagation(`r${word}`)).toEqual({ type, recursive: true });
    expect(parseMountOptions([word]).data).toEqual([]);
  });

  it("is applied in the order given", () => {
    expect(parseMountOptions(["rslave", "nosuid", "shared"]).propagation).toEqual([
      { type: abi.MS_SLAVE, recursive: true },
      { type: abi.MS_SHARED, recursive: false },
    ]);
  });

  it.each(["", "r", "rr", "rrslave", "Private"])("%j is not a propagation", (word) => {
    expect(parsePropagation(word)).toBeUndefined();
  });
});

describe("options of the file system", () => {
  it("are all other words, in the order given", () => {
    const options = ["size=64k", "nosuid", "acl", "mode=755", "noacl"];
    expect(parseMountOptions(options).data).toEqual(["size=64k", "acl", "mode=755", "noacl"]);
    expect(parseMountOptions(["", "size=64k", ""]).data).toEqual(["size=64k"]);
  });

  it("may be several in one string, flags among them, as in mount(2)'s data", () => {
    expect(parseMountOptions(["size=64k,mode=700", "nosuid"], "tmpfs")).toMatchObject({
      data: ["size=64k", "mode=700"],
      attributes: { set: abi.MOUNT_ATTR_NOSUID },
    });
    const mixed = parseMountOptions(["size=64k,ro,async,nosuid,bind,rro,slave,silent"], "tmpfs");
    expect(mixed).toMatchObject({
      data: ["size=64k", "nosuid", "bind", "rro", "slave", "silent"],
      superblockFlags: ["ro"],
      attributes: { set: abi.MOUNT_ATTR_RDONLY },
      bind: false,
      propagation: [],
    });
    expect(parseMountOptions(["bind", "ro", "mode=755,rw"])).toMatchObject({
      data: ["mode=755", "rw"],
      attributes: { set: abi.MOUNT_ATTR_RDONLY },
    });
    expect(parseMountOptions(["lowerdir=/a\\,b"], "overlay").data).toEqual(["lowerdir=/a\\,b"]);
    expect(parseMountOptions(["idmap=uids=0-1-2,x"]).data).toEqual([]);
  });

  it("may have the name of a property that every object inherits", () => {
    const options = ["constructor", "toString", "rtoString", "__proto__"];
    expect(parseMountOptions(options).data).toEqual(options);
  });
});

it("knownMountOptions has no option of a file system, and each option once", () => {
  const options = knownMountOptions();
  expect(parseMountOptions(options).data).toEqual([]);
  expect(options).toEqual([...new Set(options)].sort());
  expect(options).toEqual(
    expect.arrayContaining(["bind", "defaults", "rprivate", "rro", "sync", "tmpcopyup"]),
  );
});
