import { describe, expect, it } from "vitest";
import { PR_SET_DUMPABLE } from "../../bindings/abi/prctl.ts";
import { CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWUTS } from "../../bindings/abi/sched.ts";
import type { NamespaceType } from "../spec/types.ts";
import {
  becomeRootOf,
  bringLoopbackUp,
  enterCgroupNamespace,
  joinSessionKeyring,
  resetCpuAffinity,
  rootIds,
  setNames,
  unshareAsRoot,
} from "./namespaces.ts";
import { bytesOf, only, summary, testPlan } from "./plan.test-support.ts";

function withNamespaces(...types: NamespaceType[]) {
  return testPlan({ linux: { namespaces: types.map((type) => ({ type })) } });
}

describe("becomeRootOf", () => {
  it.each([
    ["clears dumpable", false, 0],
    ["sets dumpable for a caller that needs it", true, 1],
  ])("%s right after the change of user, at which the kernel may reset the flag", (_, stays, value) => {
    const { program } = testPlan({});
    becomeRootOf(program, { uid: 0, gid: 0 }, { setsGroups: true, staysDumpable: stays });
    expect(summary(program.operations)).toEqual(["setgroups", "setresgid", "setresuid", "prctl"]);
    expect(only(program, "prctl")[0]?.args).toEqual([PR_SET_DUMPABLE, value, 0, 0, 0]);
  });
});

describe("rootIds", () => {
  const map = (containerID: number, size: number) => [{ containerID, hostID: 1000, size }];
  it.each([
    [map(0, 1), 0],
    [map(5, 10), 5],
    [[...map(5, 10), ...map(0, 2)], 0],
    [[], 0],
  ])("is 0 or, where that is not mapped, the first mapped id: %j", (uidMappings, uid) => {
    expect(rootIds({ uidMappings, gidMappings: map(7, 1) })).toEqual({ uid, gid: 7 });
  });
});

describe("namespaces", () => {
  it("unshares namespaces that belong to the root of a user namespace, but only if there is one", () => {
    const own = withNamespaces("user", "ipc", "uts", "network", "mount", "pid");
    unshareAsRoot(own.program, own.plan);
    expect(own.program.operations[0]?.args).toEqual([CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET]);
    for (const other of [withNamespaces("ipc", "uts", "network"), withNamespaces("user", "pid")]) {
      unshareAsRoot(other.program, other.plan);
      expect(other.program.operations).toEqual([]);
    }
  });

  it("unshares a new cgroup namespace, not a joined one", () => {
    const own = withNamespaces("cgroup");
    enterCgroupNamespace(own.program, own.plan);
    expect(own.program.operations[0]?.args).toEqual([CLONE_NEWCGROUP]);
    const joined = testPlan({ linux: { namespaces: [{ type: "cgroup", path: "/proc/1/ns/cgroup" }] } });
    enterCgroupNamespace(joined.program, joined.plan);
    expect(joined.program.operations).toEqual([]);
  });

  it("brings lo up in a new network namespace only", () => {
    const own = withNamespaces("network");
    bringLoopbackUp(own.program, own.plan);
    expect(summary(own.program.operations)).toEqual(["socket", "ioctl lo ?ok", "close ?ok"]);
    expect(Buffer.from(bytesOf(own.program.operations[1], 2)).toString("latin1", 0, 4)).toBe("lo\0\0");
    const host = withNamespaces("mount");
    bringLoopbackUp(host.program, host.plan);
    expect(host.program.operations).toEqual([]);
  });
});

describe("names", () => {
  it("sets both, by their length in bytes", () => {
    const { program, plan } = testPlan({ hostname: "hôte", domainname: "example" });
    setNames(program, plan);
    expect(program.operations.map(({ call, args, pointer }) => [call, ...args, pointer])).toEqual([
      ["sethostname", "hôte", 5, "/hostname"],
      ["setdomainname", "example", 7, "/domainname"],
    ]);
  });

  it("leaves absent or empty names alone", () => {
    const { program, plan } = testPlan({ hostname: "" });
    setNames(program, plan);
    expect(program.operations).toEqual([]);
  });
});

describe("session keyring", () => {
  it("is joined by its name, if the kernel allows", () => {
    const { program } = testPlan({});
    joinSessionKeyring(program, "_ses.test.1");
    expect(program.operations[0]).toMatchObject({ tolerate: ["ENOSYS", "EPERM", "EDQUOT"] });
    expect(program.operations[0]?.args[1]).toBe("_ses.test.1");
    expect(program.operations[1]).toMatchObject({ guard: { is: "positive" } });
  });

  it("stays that of the caller with --no-new-keyring", () => {
    const { program } = testPlan({});
    joinSessionKeyring(program, undefined);
    expect(program.operations).toEqual([]);
  });
});

it("resetCpuAffinity has room for all CPUs that the kernel can be built for", () => {
  const { program } = testPlan({});
  resetCpuAffinity(program);
  expect(program.operations[0]?.args.slice(0, 2)).toEqual([0, 8192 / 8]);
  expect(bytesOf(program.operations[0], 2).every((byte) => byte === 0xff)).toBe(true);
});
