import { describe, expect, it } from "vitest";
import { parseMountInfo } from "../../bindings/linux/mount-info.ts";
import { examineCgroup, holds } from "./cgroup.ts";
import type { Finding } from "./finding.ts";
import { findingsText } from "./finding.ts";
import { type ContainerFiles, deviceNumber, examineMounts } from "./mounts.ts";
import { examineNamespaces, examineProcess, type InitFacts } from "./process.ts";

const verdictOf = (findings: readonly Finding[], subject: string) =>
  findings.find((finding) => finding.subject === subject)?.verdict;

describe("holds", () => {
  it.each([
    ["max", "max", true],
    ["100", "100", true],
    ["100", "max", false],
    ["100000", "98304", true],
    ["100000", "90000", true],
    ["100000", "104448", false],
    ["100000", "4096", false],
    ["200000 100000", "200000 100000", true],
    ["200000", "200000 100000", true],
    ["8:0 rbps=100", "8:0 rbps=100 wbps=max riops=max wiops=max", true],
    ["8:0 rbps=100", "8:16 rbps=100 wbps=max\n8:0 rbps=7 wbps=max", false],
    ["8:16 50", "default 100\n8:16 50", true],
  ])("%s written, %s read: %s", (wanted, found, result) => {
    expect(holds(wanted, found)).toBe(result);
  });
});

describe("examineCgroup", () => {
  const facts = (files: Readonly<Record<string, string>>, programs: number | undefined = 1) => ({
    current: "/box",
    wanted: "/box",
    read: (file: string) => files[file],
    devicePrograms: programs,
  });
  const write = { file: "pids.max", value: "5", pointer: "/linux/resources/pids/limit" };

  it("compares the last write of each file, and follows fallbacks", () => {
    const findings = examineCgroup([{ ...write, value: "3" }, write], facts({ "pids.max": "5\n" }));
    expect(findings.map(({ verdict }) => verdict)).toEqual(["good", "good", "good"]);
    const fallback = { ...write, file: "new", fallback: { file: "old", value: "1" } };
    expect(verdictOf(examineCgroup([fallback], facts({ old: "2" })), "old")).toBe("bad");
  });

  it("finds a changed limit, a missing file, another cgroup and a missing device program", () => {
    expect(verdictOf(examineCgroup([write], facts({ "pids.max": "max" })), "pids.max")).toBe("bad");
    expect(verdictOf(examineCgroup([write], facts({})), "pids.max")).toBe("bad");
    const unlimited = { ...write, value: "max", unlimited: true };
    expect(verdictOf(examineCgroup([unlimited], facts({})), "pids.max")).toBe("good");
    expect(verdictOf(examineCgroup([], { ...facts({}), current: "/other" }), "place")).toBe("bad");
    expect(verdictOf(examineCgroup([], { ...facts({}), current: "/box/sub" }), "place")).toBe("good");
    expect(verdictOf(examineCgroup([], facts({}, 0)), "device program")).toBe("bad");
    expect(verdictOf(examineCgroup([], { ...facts({}), devicePrograms: undefined }), "device program")).toBe(
      "note",
    );
  });
});

describe("examineMounts", () => {
  const files = (mountinfo: string): ContainerFiles => ({
    mountAt: (path, links = "follow") => {
      if (path === "/none" || (path === "/link" && links === "follow")) return undefined;
      const resolved = path === "/var/run" ? "/run" : path;
      return parseMountInfo(mountinfo).find(({ point }) => point === resolved) ?? "none";
    },
    linkAt: (path) => (["/copied", "/changed"].includes(path) ? "to/there" : undefined),
    sourceLink: ({ destination }) => (destination === "/changed" ? "elsewhere" : "to/there"),
    device: (path) => (path === "/dev/x" ? deviceNumber(10, 300) : undefined),
  });
  const base = { ociVersion: "1.2.0", root: { path: "r", readonly: true } };

  it("finds mounts that are writable, missing or without a flag", () => {
    const config = {
      ...base,
      mounts: [
        { destination: "/var/run", type: "tmpfs", options: ["nosuid", "nodev"] },
        { destination: "/data", type: "bind", options: ["rbind", "ro"] },
        { destination: "/gone", type: "tmpfs" },
        { destination: "/link", type: "bind", options: ["bind", "src-nofollow"] },
        { destination: "/copied", type: "bind", options: ["bind", "copy-symlink"] },
        { destination: "/changed", type: "bind", options: ["bind", "copy-symlink"] },
        { destination: "/over/a", type: "tmpfs" },
        { destination: "/over", type: "tmpfs" },
      ],
      linux: {
        maskedPaths: ["/none", "/secret"],
        readonlyPaths: ["/sys/x"],
        devices: [
          { type: "c" as const, path: "/dev/x", major: 10n, minor: 300n },
          { type: "c" as const, path: "/dev/y", major: 1n, minor: 1n },
        ],
      },
    };
    const mounts = [
      "1 0 8:1 / / rw - ext4 d rw",
      "2 1 0:5 / /run rw,nosuid - tmpfs t rw",
      "3 1 0:6 / /data rw - ext4 d ro",
      "4 1 0:7 / /over rw - tmpfs t rw",
      "5 1 0:8 / /sys/x rw - sysfs s rw",
      "6 1 0:9 / /link rw - tmpfs t rw",
    ];
    const findings = examineMounts(config, files(mounts.join("\n")));
    expect(Object.fromEntries(findings.map(({ subject, verdict }) => [subject, verdict]))).toEqual({
      "/": "bad",
      "/var/run": "bad",
      "/data": "good",
      "/gone": "bad",
      "/link": "good",
      "/copied": "good",
      "/changed": "bad",
      "/over/a": "note",
      "/over": "good",
      "/none": "good",
      "/secret": "bad",
      "/sys/x": "bad",
      "/dev/x": "good",
      "/dev/y": "bad",
    });
    expect(findings.find(({ subject }) => subject === "/var/run")?.detail).toBe("lacks nodev");
  });
});

describe("examineProcess", () => {
  const facts = (status: string, more: Partial<InitFacts> = {}): InitFacts => ({
    status,
    limits:
      "Limit                     Soft Limit           Hard Limit           Units\nMax open files            256                  1024                 files",
    oomScoreAdj: "100",
    label: "docker-default (enforce)",
    namespaces: new Map([["user", "1:1"]]),
    ownNamespaces: new Map([["user", "1:1"]]),
    namespaceAt: () => undefined,
    lastCapability: 40,
    ...more,
  });
  const status = (effective: string, more = "") =>
    `Uid:\t5\t5\t5\t5\nGid:\t6\t6\t6\t6\nCapInh:\t0\nCapPrm:\t${effective}\nCapEff:\t${effective}\nCapBnd:\t21\nCapAmb:\t0\nNoNewPrivs:\t0\nSeccomp:\t0\n${more}`;
  const process = {
    cwd: "/",
    args: ["x"],
    user: { uid: 5, gid: 6 },
    capabilities: { bounding: ["CAP_CHOWN", "CAP_KILL"], permitted: ["CAP_KILL"], effective: ["CAP_KILL"] },
  };
  const config = {
    ociVersion: "1.2.0",
    root: { path: "r" },
    linux: { seccomp: { defaultAction: "SCMP_ACT_ALLOW" as const } },
  };

  it("finds more rights than the config gives bad, and fewer a note", () => {
    const subject = "effective capabilities";
    expect(verdictOf(examineProcess(config, process, facts(status("20"))), subject)).toBe("good");
    expect(verdictOf(examineProcess(config, process, facts(status("0"))), subject)).toBe("note");
    expect(verdictOf(examineProcess(config, process, facts(status("21"))), subject)).toBe("bad");
  });

  it("allows root the capabilities that execve gives it from the bounding set", () => {
    const root = { ...process, user: {} };
    const findings = examineProcess(config, root, facts(status("21")));
    expect(verdictOf(findings, "effective capabilities")).toBe("good");
    expect(verdictOf(findings, "uid")).toBe("note");
  });

  it("finds a missing filter, missing no_new_privs, raised limits and another label bad", () => {
    const strict = {
      ...process,
      noNewPrivileges: true,
      oomScoreAdj: 5,
      apparmorProfile: "other",
      rlimits: [{ type: "RLIMIT_NOFILE" as const, soft: 256n, hard: 512n }],
    };
    const findings = examineProcess(config, strict, facts(status("0")));
    for (const subject of ["seccomp", "no_new_privs", "RLIMIT_NOFILE", "AppArmor"])
      expect([subject, verdictOf(findings, subject)]).toEqual([subject, "bad"]);
    expect(verdictOf(findings, "oom_score_adj")).toBe("note");
  });

  it("finds a user who has become root bad, and compares no ids in a user namespace", () => {
    const root = status("0").replace("Uid:\t5\t5", "Uid:\t0\t0");
    expect(verdictOf(examineProcess(config, process, facts(root)), "uid")).toBe("bad");
    const mapped = facts(root, { ownNamespaces: new Map([["user", "1:2"]]) });
    expect(verdictOf(examineProcess(config, process, mapped), "uid")).toBeUndefined();
  });

  it("wants a namespace of its own, or the one that was joined", () => {
    const seen = {
      ...facts(""),
      namespaces: new Map([
        ["pid", "1:7"],
        ["network", "1:8"],
        ["ipc", "1:9"],
      ]),
      ownNamespaces: new Map([["pid", "1:7"]]),
      namespaceAt: (path: string) => (path === "/net" ? "1:8" : undefined),
    };
    const wanted = {
      created: new Set(["pid" as const]),
      joined: new Map([
        ["network" as const, { path: "/net", pointer: "/linux/namespaces/1/path" }],
        ["ipc" as const, { path: "/gone", pointer: "/linux/namespaces/2/path" }],
      ]),
    };
    const findings = examineNamespaces(wanted, seen);
    expect(findings.map(({ subject, verdict }) => [subject, verdict])).toEqual(
      expect.arrayContaining([
        ["pid", "bad"],
        ["network", "good"],
        ["ipc", "note"],
      ]),
    );
  });
});

describe("findingsText", () => {
  it("groups findings by area, with the fix below each", () => {
    const findings: Finding[] = [
      { area: "a", subject: "one", verdict: "good", detail: "fine" },
      { area: "b", subject: "three", verdict: "bad", detail: "broken", fix: "mend it", pointer: "/x" },
    ];
    expect(findingsText(findings)).toBe(
      "a\n  ok       one    fine\n\nb\n  BAD      three  broken  (/x)\n                  → mend it\n",
    );
  });

  it("keeps a finding on one line, whatever a link of the container leads to", () => {
    const detail = "/dev/fd -> a\n  ok       forged\x1b[31m";
    expect(findingsText([{ area: "a", subject: "one", verdict: "bad", detail }])).toBe(
      "a\n  BAD      one  /dev/fd -> a\\n  ok       forged\\x1b[31m\n",
    );
  });
});
