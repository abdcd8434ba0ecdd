import { describe, expect, it } from "vitest";
import { freeSubordinateId, type Host } from "./host.ts";
import { judgeHost } from "./host-judgement.ts";

const complete: Host = {
  kernel: "6.12.0",
  architecture: "x64",
  isRoot: true,
  inUserNamespace: false,
  user: "root",
  cgroup: "unified",
  controllers: ["cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma"],
  hasOwnCgroup: true,
  hasCgroupKill: true,
  hasPressure: true,
  namespaces: ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"],
  maxUserNamespaces: 1000,
  restrictsUserNamespaces: "no",
  procObstacle: undefined,
  sysfsObstacle: undefined,
  missingCalls: [],
  bpfFailure: undefined,
  seccompLevel: 7,
  seccompActions: ["user_notif"],
  securityModules: ["apparmor", "selinux"],
  landlock: { abi: 7, errno: undefined },
  hasSystemd: true,
  hasSdBus: true,
  idHelpers: true,
  subordinateIds: true,
  freeSubordinateId: 165_536,
  criu: "4.1",
  hasResctrl: true,
  hasNuma: true,
  fileSystems: ["overlay"],
  hugepageSizes: ["2048kB"],
  hasSwap: true,
  coldReason: undefined,
};

function judged(change: Partial<Host>, subject: string) {
  return judgeHost({ ...complete, ...change }).find((finding) => finding.subject === subject);
}

describe("judgeHost", () => {
  it("finds nothing bad or lacking on a complete host", () => {
    const verdicts = judgeHost(complete).map(({ verdict }) => verdict);
    expect(verdicts.filter((verdict) => verdict !== "good" && verdict !== "note")).toEqual([]);
  });

  it.each<[Partial<Host>, string, string, RegExp | undefined]>([
    [{ kernel: "5.10.0-8-amd64" }, "Linux", "bad", /boot Linux 5.14/],
    [{ kernel: "4.19.1" }, "Linux", "bad", /boot/],
    [{ kernel: "5.13.19" }, "Linux", "bad", /5.14/],
    [{ kernel: "5.14.0" }, "Linux", "good", undefined],
    [{ missingCalls: ["openat2"] }, "system calls", "bad", /seccomp profile/],
    [
      { procObstacle: { kind: "covered", place: "/proc", points: ["/proc/keys"] } },
      "new proc",
      "lacking",
      /unmask=ALL/,
    ],
    [
      { procObstacle: { kind: "options", place: "/proc", options: ["ro"] } },
      "new proc",
      "lacking",
      /options ro/,
    ],
    [{ sysfsObstacle: { kind: "absent" } }, "new sysfs", "lacking", /mount sysfs on \/sys/],
    [{ cgroup: "hybrid" }, "hierarchy", "bad", /unified_cgroup_hierarchy=1/],
    [{ cgroup: "none", hasSystemd: false }, "hierarchy", "bad", /mount -t cgroup2/],
    [{ controllers: ["cpu"] }, "memory controller", "lacking", /cgroup_disable/],
    [{ controllers: ["cpu"] }, "rdma controller", "lacking", undefined],
    [{ bpfFailure: "EPERM" }, "device rules", "lacking", /CAP_BPF/],
    [{ bpfFailure: "ENOSYS" }, "device rules", "bad", /CONFIG_CGROUP_BPF/],
    [{ hasCgroupKill: false }, "cgroup.kill", "lacking", /5.14/],
    [{ hasSdBus: false }, "systemd", "lacking", /libsystemd0/],
    [{ namespaces: ["mnt"] }, "kinds", "lacking", /kernel/],
    [{ maxUserNamespaces: 0 }, "user namespaces", "lacking", /sysctl/],
    [{ seccompLevel: undefined }, "libseccomp", "bad", /libseccomp2/],
    [{ seccompActions: [] }, "seccomp notify", "lacking", /5.9/],
    [{ securityModules: [] }, "apparmor", "note", undefined],
    [{ landlock: { abi: 0, errno: "EOPNOTSUPP" } }, "landlock", "note", undefined],
    [{ landlock: { abi: 0, errno: "ENOSYS" } }, "landlock", "note", undefined],
    [{ criu: undefined }, "criu", "lacking", /install criu/],
    [{ fileSystems: [] }, "overlayfs", "lacking", /modprobe/],
    [{}, "warm start", "good", undefined],
    [{ coldReason: { text: "another boot", isOfImage: true } }, "warm start", "lacking", /^runts warm/],
    [{ coldReason: { text: "RUNTS_COLD is set", isOfImage: false } }, "warm start", "note", undefined],
    [{ isRoot: false, idHelpers: false }, "newuidmap", "lacking", /uidmap/],
    [
      { isRoot: false, subordinateIds: false, user: "ann" },
      "subordinate ids",
      "lacking",
      /usermod --add-subuids 165536-231071 --add-subgids 165536-231071 ann$/,
    ],
    [{ isRoot: false, hasOwnCgroup: false }, "own cgroup", "lacking", /Delegate=yes/],
  ])("%o: %s is %s", (change, subject, verdict, fix) => {
    const finding = judged(change, subject);
    expect(finding?.verdict).toBe(verdict);
    if (fix === undefined) expect(finding?.fix).toBeUndefined();
    else expect(finding?.fix).toMatch(fix);
  });

  it("tells users why they can't make user namespaces", () => {
    const findings = judgeHost({ ...complete, isRoot: false, restrictsUserNamespaces: "AppArmor" });
    expect(findings.find(({ verdict }) => verdict === "bad")?.fix).toMatch(/userns,/);
  });
});

describe("freeSubordinateId", () => {
  it("is above all ranges, in whatever order they are listed", () => {
    expect(freeSubordinateId("")).toBe(100_000);
    expect(freeSubordinateId("root:1:50\n\n# a:900000:1 \n")).toBe(100_000);
    expect(freeSubordinateId("a:231072:65536\nb:100000:65536\n1000:165536:65536\n")).toBe(296_608);
  });
});
