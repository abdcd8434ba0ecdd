import { describe, expect, it } from "vitest";
import type { Finding } from "./finding.ts";
import type { Measured, Slowness } from "./slow.ts";
import { judgeSlowness } from "./slow-judgement.ts";

function times(...milliseconds: number[]): Measured {
  return { milliseconds };
}

const QUICK = times(0.1, 0.3, 0.2);

const quick: Slowness = {
  spawn: QUICK,
  gracePeriod: QUICK,
  isExpedited: false,
  networkNamespace: QUICK,
  tunnels: [],
  mountNamespace: QUICK,
  mounts: 40,
  makeCgroup: QUICK,
  removeCgroup: QUICK,
  cloneIntoCgroup: QUICK,
  moveToCgroup: QUICK,
  favorsMoves: false,
  deviceProgram: QUICK,
  stateFile: QUICK,
  stateDirectory: "/run/runts",
  stateFileSystem: "tmpfs",
};

function judged(change: Partial<Slowness>, subject: string): Finding | undefined {
  return judgeSlowness({ ...quick, ...change }).find((finding) => finding.subject === subject);
}

describe("judgeSlowness", () => {
  it("finds nothing slow on a quick host, and names no setting", () => {
    const findings = judgeSlowness(quick);
    expect(findings).toHaveLength(10);
    for (const { verdict, fix } of findings) expect([verdict, fix]).toEqual(["good", undefined]);
  });

  it("shows the median, the longest time and what is usual", () => {
    expect(judged({ gracePeriod: times(30, 12.345, 20) }, "RCU grace period")).toMatchObject({
      verdict: "good",
      detail: expect.stringMatching(/^20 ms, at most 30 ms; usual: up to 30 ms; /),
      milliseconds: { median: 20, most: 30 },
    });
  });

  it("says why something was not measured", () => {
    expect(judged({ networkNamespace: { failure: "EPERM" } }, "network namespace")).toEqual({
      area: "namespaces",
      subject: "network namespace",
      verdict: "note",
      detail: "not measured: EPERM",
    });
  });

  const SLOW = times(80, 90, 100);

  it.each<[Partial<Slowness>, string, RegExp | undefined]>([
    [{ spawn: SLOW }, "fork and execve", /busy processor/],
    [{ gracePeriod: SLOW }, "RCU grace period", /rcupdate\.rcu_expedited=1/],
    [{ gracePeriod: SLOW, isExpedited: true }, "RCU grace period", undefined],
    [{ networkNamespace: SLOW }, "network namespace", undefined],
    [{ networkNamespace: SLOW, tunnels: ["tunl0"] }, "network namespace", /fb_tunnels_only_for_init_net=1/],
    [{ mountNamespace: SLOW }, "mount namespace", undefined],
    [{ mountNamespace: SLOW, mounts: 5000 }, "mount namespace", /5000 mounts are many/],
    [{ makeCgroup: SLOW }, "make a cgroup", undefined],
    [{ removeCgroup: SLOW }, "remove a cgroup", undefined],
    [{ cloneIntoCgroup: SLOW }, "clone into a cgroup", undefined],
    [{ moveToCgroup: SLOW }, "move to a cgroup", /favordynmods/],
    [{ moveToCgroup: SLOW, cloneIntoCgroup: SLOW }, "move to a cgroup", undefined],
    [{ moveToCgroup: SLOW, favorsMoves: true }, "move to a cgroup", undefined],
    [{ deviceProgram: SLOW }, "device program", undefined],
    [{ stateFile: SLOW }, "state directory", undefined],
    [{ stateFile: SLOW, stateFileSystem: "nfs4" }, "state directory", /--root/],
  ])("calls %j slow, with the setting that helps: %s", (change, subject, fix) => {
    const finding = judged(change, subject);
    expect(finding?.verdict).toBe("slow");
    if (fix === undefined) expect(finding?.fix).toBeUndefined();
    else expect(finding?.fix).toMatch(fix);
  });

  it("counts the longest of several moves between cgroups, and the median of all else", () => {
    const once = times(60, 0.1, 0.1);
    expect(judged({ moveToCgroup: once }, "move to a cgroup")?.verdict).toBe("slow");
    expect(judged({ spawn: once }, "fork and execve")?.verdict).toBe("good");
  });
});
