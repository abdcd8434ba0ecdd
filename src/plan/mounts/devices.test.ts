import { describe, expect, it } from "vitest";
import { statx as layout } from "../../../bindings/abi/layouts.ts";
import { MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY } from "../../../bindings/abi/mount.ts";
import type { Operation, Program, Reply } from "../../../bindings/stub/program.ts";
import type { Device, Linux, Mount } from "../../spec/types.ts";
import { attributesOf, only, statx, summary, type TestPlanOptions, testPlan } from "../plan.test-support.ts";
import { makeDevices, openHostNull } from "./devices.ts";
import { mountRequests } from "./requests.ts";

const DEFAULTS = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

function planned(linux: Linux, mounts: readonly Mount[] = [], options: TestPlanOptions = {}) {
  const { program, plan } = testPlan({ linux, mounts }, options);
  const checks = makeDevices(program, plan, mountRequests(plan));
  return { program, plan, check: (reply: Reply) => checks.forEach((check) => void check(reply)) };
}

function made(program: Program): Operation[] {
  return only(program, "mknodat");
}

/** A reply in which statx of one path has found a file. */
function found(program: Program, path: string, stat: Uint8Array): Reply {
  const index = only(program, "statx").findIndex((operation) => operation.path === path);
  const outputs = program.outputs.map((output, at) => (at === index ? stat : output.bytes));
  return { results: [], outputs, failure: undefined };
}

describe("device nodes", () => {
  it("makes the default devices with mode 0666 in one verified /dev", () => {
    const { program } = planned({});
    expect(made(program).map(({ path }) => path)).toEqual(DEFAULTS);
    expect(made(program).map(({ args }) => [args[1], args[2], args[3]])).toEqual([
      ["null", 0o020666, 0x103n],
      ["zero", 0o020666, 0x105n],
      ["full", 0o020666, 0x107n],
      ["random", 0o020666, 0x108n],
      ["urandom", 0o020666, 0x109n],
      ["tty", 0o020666, 0x500n],
    ]);
    expect(new Set(made(program).map(({ args }) => args[0])).size).toBe(1);
    expect(made(program).every(({ pointer }) => pointer === "/linux/devices")).toBe(true);
  });

  it("makes listed devices with owner and mode, and their missing directories", () => {
    const fuse: Device = { type: "c", path: "/dev/sub/fuse", major: 10n, minor: 229n, fileMode: 0o100640 };
    const { program } = planned({ devices: [{ ...fuse, uid: 7 }] });
    const node = made(program).at(-1);
    expect(node).toMatchObject({ path: "/dev/sub/fuse", pointer: "/linux/devices/0", tolerate: ["EEXIST"] });
    expect(node?.args.slice(1)).toEqual(["fuse", 0o020640, 0xae5n]);
    expect(summary(program.operations)).toContain("mkdirat dev/sub ?failed");
    expect(only(program, "fchownat")[0]).toMatchObject({ guard: { on: node?.into, is: "ok" } });
    expect(only(program, "fchownat")[0]?.args.slice(1, 4)).toEqual(["fuse", 7, 0]);
  });

  it("makes a listed device instead of the default one with its path", () => {
    const { program } = planned({ devices: [{ type: "c", path: "/dev//null", major: 9n, minor: 9n }] });
    const nulls = made(program).filter(({ path }) => path === "/dev/null");
    expect(nulls.map(({ pointer, args }) => [pointer, args[3]])).toEqual([["/linux/devices/0", 0x909n]]);
    expect(made(program)).toHaveLength(DEFAULTS.length);
  });

  it.each([
    ["c", 0o020600],
    ["u", 0o020600],
    ["b", 0o060600],
    ["p", 0o010600],
  ] as const)("type %s", (type, mode) => {
    const { program } = planned({
      devices: [{ type, path: "/dev/x", fileMode: 0o600, major: 1n, minor: 1n }],
    });
    expect(made(program).at(-1)?.args[2]).toBe(mode);
    expect(made(program).at(-1)?.args[3]).toBe(type === "p" ? 0n : 0x101n);
  });

  it("makes no default device over a mount of the config, and no listed ptmx", () => {
    const ptmx: Device = { type: "c", path: "/dev/ptmx", major: 5n, minor: 2n };
    const random = { destination: "/dev/random", source: "/dev/urandom", options: ["bind"] };
    const { program } = planned({ devices: [ptmx] }, [random]);
    expect(made(program).map(({ path }) => path)).toEqual(DEFAULTS.filter((path) => path !== "/dev/random"));
  });

  it("makes nothing if /dev is a bind mount", () => {
    const { program } = planned({}, [{ destination: "/dev", source: "/dev", options: ["rbind"] }]);
    expect(program.operations).toEqual([]);
  });
});

const disk: Device = { type: "b", path: "/dev/disk", major: 8n, minor: 1n };

/** The status of a file, as statx(2) fills it in. */
function nodeOf(mode: number, uid = 0, gid = 0): Uint8Array {
  const stat = statx(0o060000 | mode, 8, 1);
  const view = new DataView(stat.buffer);
  view.setUint32(layout.stx_uid, uid, true);
  view.setUint32(layout.stx_gid, gid, true);
  return stat;
}

/** A reply in which the host has the default devices, and the given file at /dev/disk. */
function onHost(program: Program, stat: Uint8Array): Reply {
  const numbers = [...[3, 5, 7, 8, 9].map((minor) => [1, minor] as const), [5, 0] as const];
  const nodes = new Map(DEFAULTS.map((path, index) => [path, statx(0o020666, ...(numbers[index] ?? []))]));
  const outputs = only(program, "statx").map(({ path = "" }) => nodes.get(path) ?? stat);
  return { results: [], outputs, failure: undefined };
}

describe("in a user namespace", () => {
  const namespaces = [{ type: "user" }, { type: "mount" }] as const;

  it("binds the host's nodes", () => {
    const { program } = planned({ namespaces });
    expect(made(program)).toEqual([]);
    expect(only(program, "open_tree").map(({ args }) => args[1])).toEqual(DEFAULTS);
    expect(only(program, "move_mount").map(({ path }) => path)).toEqual(DEFAULTS);
  });

  it("binds them read-only, since the mappings may contain the host's root", () => {
    const { program } = planned({ namespaces });
    const changes = only(program, "mount_setattr").filter(({ path }) => path?.startsWith("/dev/"));
    expect(changes.map(({ args }) => args[0])).toEqual(only(program, "open_tree").map(({ into }) => into));
    const set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
    expect(changes.map((change) => attributesOf(change).set)).toEqual(DEFAULTS.map(() => set));
  });

  it.each<[string, Partial<Device>, Uint8Array, string]>([
    [
      "another mode",
      { fileMode: 0o660 },
      nodeOf(0o600),
      "/fileMode: /dev/disk on the host has the fileMode 0600",
    ],
    [
      "another owner",
      { fileMode: 0o600, uid: 5 },
      nodeOf(0o600, 6),
      "/uid: /dev/disk on the host has the uid 6",
    ],
    ["another group", { uid: 0, gid: 1 }, nodeOf(0o660, 0, 2), "/gid: /dev/disk on the host has the gid 2"],
  ])("refuses a node of the host with %s", (_title, wanted, stat, message) => {
    const { program, check } = planned({ namespaces, devices: [{ ...disk, ...wanted }] });
    expect(() => check(onHost(program, stat))).toThrow(`/linux/devices/0${message}`);
  });

  it.each<[string, Partial<Device>, Uint8Array]>([
    ["with the requested mode and owner", { fileMode: 0o640, uid: 1, gid: 2 }, nodeOf(0o640, 1, 2)],
    ["with any mode and owner if none is requested", {}, nodeOf(0o600, 65534, 65534)],
    [
      "with another owner and group whose permissions are those of others",
      { uid: 0, gid: 0 },
      nodeOf(0o666, 65534, 65534),
    ],
  ])("takes a node of the host %s", (_title, wanted, stat) => {
    const { program, check } = planned({ namespaces, devices: [{ ...disk, ...wanted }] });
    expect(() => check(onHost(program, stat))).not.toThrow();
  });

  it("attaches a node that is made already instead of the host's", () => {
    const { program, plan } = testPlan({ linux: { namespaces, devices: [disk] } });
    const ready = program.registers.take();
    makeDevices(program, plan, [], new Map([["/linux/devices/0", ready]]));
    expect(only(program, "open_tree").map(({ args }) => args[1])).toEqual(DEFAULTS);
    const moved = only(program, "move_mount").filter(({ path }) => path === "/dev/disk");
    expect(moved.map(({ args, pointer }) => [args[0], pointer])).toEqual([[ready, "/linux/devices/0"]]);
  });

  it("makes FIFOs, which are allowed", () => {
    const { program } = planned({ namespaces, devices: [{ type: "p", path: "/dev/pipe" }] });
    expect(made(program).map(({ args }) => args[2])).toEqual([0o010666]);
  });
});

describe("links", () => {
  it("are those of runtime-linux.md, and ptmx leads to the container's devpts", () => {
    const { program } = planned({});
    expect(only(program, "symlinkat").map(({ path, args }) => [path, args[0]])).toEqual([
      ["/dev/fd", "/proc/self/fd"],
      ["/dev/stdin", "/proc/self/fd/0"],
      ["/dev/stdout", "/proc/self/fd/1"],
      ["/dev/stderr", "/proc/self/fd/2"],
      ["/dev/ptmx", "pts/ptmx"],
    ]);
    expect(summary(program.operations).slice(-2)).toEqual(["unlinkat /dev/ptmx", "symlinkat /dev/ptmx"]);
  });

  it("replace a mount on /dev/ptmx, with a warning", () => {
    const { plan, warnings } = testPlan({
      mounts: [
        { destination: "/dev/../dev/ptmx", source: "/dev/ptmx", options: ["bind"] },
        { destination: "/mnt", source: "/mnt", options: ["bind"] },
      ],
    });
    expect(mountRequests(plan).map(({ pointer }) => pointer)).toEqual(["/mounts/1"]);
    expect(warnings).toEqual([
      "/mounts/0: left out, since /dev/ptmx is a link to the ptmx of the container's own devpts",
    ]);
  });

  it("include /dev/core if the host has /proc/kcore", () => {
    const { program } = planned({}, [], { facts: { hasKcore: true } });
    expect(only(program, "symlinkat").map(({ path }) => path)).toContain("/dev/core");
  });
});

describe("an existing file at a device's path", () => {
  const devices: readonly Device[] = [{ type: "b", path: "/dev/disk", major: 8n, minor: 1n }];

  it("is accepted if the node was made, or is the requested one", () => {
    const { program, check } = planned({ devices });
    expect(() => check(found(program, "", statx(0)))).not.toThrow();
    expect(() => check(found(program, "/dev/disk", statx(0o060644, 8, 1)))).not.toThrow();
    expect(() => check(found(program, "/dev/null", statx(0o020666, 1, 3)))).not.toThrow();
  });

  it.each([
    ["of another type", statx(0o020644, 8, 1)],
    ["of another major number", statx(0o060644, 9, 1)],
    ["of another minor number", statx(0o060644, 8, 2)],
    ["that is a regular file", statx(0o100644)],
  ])("is an error if it is something %s", (_title, stat) => {
    const { program, check } = planned({ devices });
    const message = "/linux/devices/0: /dev/disk exists in the container and is not the device asked for";
    expect(() => check(found(program, "/dev/disk", stat))).toThrow(
      expect.objectContaining({ message, errno: "EEXIST", pointer: "/linux/devices/0" }),
    );
  });

  it("names the list of devices if a default one can't be made", () => {
    const { program, check } = planned({});
    expect(() => check(found(program, "/dev/zero", statx(0o100644)))).toThrow(
      /^\/linux\/devices: \/dev\/zero exists/,
    );
  });
});

describe("openHostNull", () => {
  it("verifies the host's /dev/null by its descriptor", () => {
    const { program } = testPlan({});
    const { fd, check } = openHostNull(program);
    expect(only(program, "statx")[0]?.args.slice(0, 2)).toEqual([fd, ""]);
    const reply = (stat: Uint8Array): Reply => ({ results: [], outputs: [stat], failure: undefined });
    expect(() => check(reply(statx(0o020666, 1, 3)))).not.toThrow();
    expect(() => check(reply(statx(0o100666)))).toThrow("/linux/maskedPaths: /dev/null exists");
    expect(() => check({ results: [], outputs: [], failure: undefined })).toThrow(
      "/linux/maskedPaths: /dev/null exists",
    );
  });
});
