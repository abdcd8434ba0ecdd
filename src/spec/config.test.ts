import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { generateConfigValidator } from "../../scripts/generate-config-validator.mjs";
import { RuntsError } from "../errors.ts";
import { parseConfig, readConfig } from "./config.ts";
import { thrown } from "./thrown.test-support.ts";

const RECORDED = new URL("../../spec-tests/configs/", import.meta.url);
const PROCESS = { cwd: "/", args: ["sh"] };
const MINIMAL = { ociVersion: "1.0.2", root: { path: "rootfs" }, process: PROCESS };
const ALL_NAMESPACES = ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"].map((type) => ({
  type,
}));
const MAPPINGS = [{ containerID: 0, hostID: 1000, size: 1 }];

/** The issues of a config, each as "pointer: message". */
function issuesOf(config: object): string[] {
  const text = JSON.stringify(config, undefined, 2);
  try {
    parseConfig(text, "config.json");
  } catch (error) {
    if (!(error instanceof RuntsError)) throw error;
    return error.issues.map(({ pointer, message }) => `${pointer}: ${message}`);
  }
  return [];
}

function linux(properties: object, namespaces: readonly object[] = []): object {
  return { ...MINIMAL, linux: { namespaces, ...properties } };
}

function withProcess(properties: object): object {
  return { ...MINIMAL, process: { ...PROCESS, ...properties } };
}

/** Puts the outcome of each case first, for the test's title. */
function titled(cases: readonly (readonly [config: object, outcome: string])[]): [string, object][] {
  return cases.map(([config, outcome]) => [outcome, config]);
}

const ONE_ID = { containerID: 0, hostID: 0, size: 1 };

describe("parseConfig", () => {
  test.each(readdirSync(RECORDED))("accepts the recorded config %s", (name) => {
    const bytes = readFileSync(new URL(name, RECORDED));
    const expected: unknown = JSON.parse(bytes.toString("utf8"));
    const config = parseConfig(bytes, name);
    const plain = JSON.stringify(config, (_, value) => (typeof value === "bigint" ? Number(value) : value));
    expect(JSON.parse(plain)).toEqual(expected);
  });

  test("reads 64-bit fields as bigint, whatever their size", () => {
    const text = JSON.stringify({
      ...withProcess({ rlimits: [{ type: "RLIMIT_CORE", soft: 0, hard: "HARD" }] }),
      linux: { resources: { memory: { limit: -1 }, pids: { limit: 5 } }, devices: [] },
    }).replace('"HARD"', "18446744073709551615");
    const config = parseConfig(text, "x");
    expect(config.process?.rlimits).toEqual([{ type: "RLIMIT_CORE", soft: 0n, hard: 18446744073709551615n }]);
    expect(config.linux?.resources).toEqual({ memory: { limit: -1n }, pids: { limit: 5n } });
  });

  test("ignores unknown properties and those of other platforms", () => {
    const config = { ...MINIMAL, windows: 5, vm: {}, nobodyKnows: null, linux: { unknown: [1] } };
    expect(issuesOf(config)).toEqual([]);
  });

  test("treats null as absent", () => {
    expect(
      issuesOf({ ...MINIMAL, mounts: null, hooks: { prestart: null }, linux: { seccomp: null } }),
    ).toEqual([]);
    expect(issuesOf({ ...MINIMAL, root: null })).toEqual(["/root: is required"]);
    expect(issuesOf(withProcess({ env: [null] }))).toEqual(["/process/env/0: must be a string"]);
  });

  test("reports a single issue in one line", () => {
    const text = JSON.stringify(withProcess({ cwd: "tmp" }), undefined, 1);
    const error = thrown(() => parseConfig(text, "config.json"));
    expect(error.message).toBe("config.json: line 7: /process/cwd: must be an absolute path");
    expect(error.issues).toEqual([{ pointer: "/process/cwd", line: 7, message: "must be an absolute path" }]);
  });

  test("reports wrong types and violated rules together, in the order of lines", () => {
    const config = {
      ociVersion: "2.0.0",
      process: {
        cwd: "x",
        args: ["a\0b"],
        scheduler: { policy: "SCHED_IDLE", priority: 1 },
        rlimits: [{ type: "RLIMIT_CPU", soft: 2, hard: 1 }],
      },
      mounts: [{ type: "proc" }],
      linux: { maskedPaths: ["/proc/kcore"], resources: { cpu: 5, memory: { swap: 5 } } },
    };
    expect(issuesOf(config)).toEqual([
      "/root: is required",
      "/mounts/0/destination: is required",
      "/ociVersion: unsupported version 2.0.0, must be 1.x",
      "/process/cwd: must be an absolute path",
      "/process/args/0: must not contain a NUL byte",
      "/process/scheduler/priority: applies to SCHED_FIFO and SCHED_RR only",
      "/process/rlimits/0/soft: must not exceed the hard limit 1",
      "/linux/maskedPaths: needs a mount namespace",
      "/linux/resources/cpu: must be an object",
      "/linux/resources/memory/swap: needs a memory limit",
    ]);
  });

  test.each(
    titled([
      [
        { ...MINIMAL, ociVersion: "1.0" },
        '/ociVersion: must be a version in SemVer 2.0 form, such as "1.3.0"',
      ],
      [{ ...MINIMAL, root: { path: "" } }, "/root/path: must not be empty"],
      [
        { ...MINIMAL, process: { cwd: `/${"d/".repeat(2048)}`, args: ["a"] } },
        "/process/cwd: must be at most 4095 bytes long",
      ],
      [{ ...MINIMAL, hostname: "h" }, "/hostname: needs a uts namespace"],
      [{ ...MINIMAL, domainname: "d" }, "/domainname: needs a uts namespace"],
      [
        { ...MINIMAL, hostname: "h".repeat(65), linux: { namespaces: [{ type: "uts" }] } },
        "/hostname: must not be longer than 64 bytes",
      ],
      [
        { ...MINIMAL, domainname: "ü".repeat(33), linux: { namespaces: [{ type: "uts" }] } },
        "/domainname: must not be longer than 64 bytes",
      ],
      [{ ...MINIMAL, annotations: { "": "x" } }, "/annotations/: must have a name that is not empty"],
      [{ ...MINIMAL, annotations: { a: 1 } }, "/annotations/a: must be a string"],
      [
        { ...MINIMAL, hooks: { poststop: [{ path: "a" }] } },
        "/hooks/poststop/0/path: must be an absolute path",
      ],
      [
        { ...MINIMAL, hooks: { prestart: [{ path: "/a", timeout: 0 }] } },
        "/hooks/prestart/0/timeout: must be at least 1",
      ],
      [withProcess({ args: [] }), "/process/args: must not be empty"],
      [withProcess({ args: [""] }), '/process/args/0: exec: "": executable file not found in $PATH'],
      [withProcess({ env: ["A"] }), "/process/env/0: must have the form NAME=value"],
      [withProcess({ env: ["=a"] }), "/process/env/0: must have the form NAME=value"],
      [withProcess({ user: { uid: 2 ** 32 } }), "/process/user/uid: must be an integer from 0 to 4294967294"],
      // The kernel takes it for -1 and would keep the runtime's id.
      ...["uid", "gid"].map((name): [object, string] => [
        withProcess({ user: { [name]: 0xffffffff } }),
        `/process/user/${name}: must be an integer from 0 to 4294967294`,
      ]),
      [
        withProcess({ user: { additionalGids: [1, 0xffffffff] } }),
        "/process/user/additionalGids/1: must be an integer from 0 to 4294967294",
      ],
      [
        linux({ devices: [{ type: "p", path: "/dev/a", gid: 0xffffffff }] }),
        "/linux/devices/0/gid: must be an integer from 0 to 4294967294",
      ],
      [
        linux({ devices: [{ type: "c", path: "/dev/a", major: 4097, minor: 3 }] }),
        "/linux/devices/0/major: must be at most 4095",
      ],
      [
        linux({ devices: [{ type: "b", path: "/dev/a", major: 7, minor: 1048576 }] }),
        "/linux/devices/0/minor: must be at most 1048575",
      ],
      [
        linux({ uidMappings: [{ containerID: 0, hostID: 10, size: 4294967286 }], gidMappings: MAPPINGS }, [
          { type: "user" },
        ]),
        "/linux/uidMappings/0/size: must be at most 4294967285: no id is above 4294967294",
      ],
      [
        linux({ uidMappings: MAPPINGS, gidMappings: [{ containerID: 0, hostID: 0xffffffff, size: 1 }] }, [
          { type: "user" },
        ]),
        "/linux/gidMappings/0/hostID: must be an integer from 0 to 4294967294",
      ],
      [withProcess({ oomScoreAdj: -1001 }), "/process/oomScoreAdj: must be at least -1000"],
      [
        withProcess({ rlimits: ["a", "b"].map(() => ({ type: "RLIMIT_AS", soft: 1, hard: 1 })) }),
        "/process/rlimits/1/type: RLIMIT_AS is listed twice",
      ],
      [
        withProcess({ scheduler: { policy: "SCHED_DEADLINE", runtime: 1023, deadline: 2000 } }),
        "/process/scheduler/runtime: must be at least 1024 ns",
      ],
      [
        withProcess({ execCPUAffinity: { initial: "3-1" } }),
        '/process/execCPUAffinity/initial: must be a list of numbers up to 65535 and ranges, such as "0-3,7"',
      ],
      [
        withProcess({ terminal: true, consoleSize: { height: 65536, width: 1 } }),
        "/process/consoleSize/height: must be at most 65535",
      ],
      [
        linux({ memoryPolicy: { mode: "MPOL_BIND", nodes: "65536" } }),
        '/linux/memoryPolicy/nodes: must be a list of numbers up to 65535 and ranges, such as "0-3,7"',
      ],
      [
        linux({
          memoryPolicy: {
            mode: "MPOL_BIND",
            nodes: "0",
            flags: ["MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"],
          },
        }),
        "/linux/memoryPolicy/flags: must not have both MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES",
      ],
      [linux({}, [{ type: "pid" }, { type: "pid" }]), "/linux/namespaces/1/type: pid is listed twice"],
      [linux({}, [{ type: "pid", path: "x" }]), "/linux/namespaces/0/path: must be an absolute path"],
      [
        linux({}, [{ type: "net" }]),
        "/linux/namespaces/0/type: must be one of cgroup, ipc, mount, network, pid, time, user, uts",
      ],
      [linux({ uidMappings: MAPPINGS }), "/linux/uidMappings: needs a user namespace"],
      [
        linux({ uidMappings: MAPPINGS }, [{ type: "user" }]),
        "/linux/gidMappings: is required, since the new user namespace has the other list of mappings",
      ],
      [
        linux({ uidMappings: Array(341).fill(MAPPINGS[0]), gidMappings: MAPPINGS }, [{ type: "user" }]),
        "/linux/uidMappings: must have at most 340 entries",
      ],
      [linux({ readonlyPaths: ["/a"] }), "/linux/readonlyPaths: needs a mount namespace"],
      [
        linux({ timeOffsets: { boottime: { secs: 1 } } }),
        "/linux/timeOffsets: needs a new time namespace, not a joined one",
      ],
      [
        linux({ devices: [{ type: "c", path: "/dev/a", major: 1 }] }),
        "/linux/devices/0/minor: is required for type c",
      ],
      [
        linux({ seccomp: { defaultAction: "SCMP_ACT_ALLOW", defaultErrnoRet: 1 } }),
        "/linux/seccomp/defaultErrnoRet: must not be set for SCMP_ACT_ALLOW, which returns no error number",
      ],
      [
        linux({ seccomp: { defaultAction: "SCMP_ACT_ALLOW", listenerMetadata: "x" } }),
        "/linux/seccomp/listenerMetadata: needs listenerPath",
      ],
      [
        linux({ seccomp: { defaultAction: "SCMP_ACT_NOTIFY" } }),
        "/linux/seccomp/defaultAction: SCMP_ACT_NOTIFY needs listenerPath",
      ],
      [
        linux({
          seccomp: {
            defaultAction: "SCMP_ACT_ALLOW",
            syscalls: [{ names: ["mkdir"], action: "SCMP_ACT_NOTIFY" }],
          },
        }),
        "/linux/seccomp/syscalls/0/action: SCMP_ACT_NOTIFY needs listenerPath",
      ],
      [
        linux({ resources: { unified: { "../x": "1" } } }),
        "/linux/resources/unified/..~1x: must be the name of a cgroup file",
      ],
      [
        linux({ resources: { memory: { limit: 9, swap: 8 } } }),
        "/linux/resources/memory/swap: must not be below the memory limit 9",
      ],
      [
        linux({ resources: { pids: { limit: 1.5 } } }),
        "/linux/resources/pids/limit: must be an integer from -9223372036854775808 to 9223372036854775807",
      ],
      [
        linux({ resources: { blockIO: { weight: 5 } } }),
        "/linux/resources/blockIO/weight: must be from 10 to 1000",
      ],
    ]),
  )("refuses %s", (issue, config) => {
    expect(issuesOf(config)).toEqual([issue]);
  });

  test.each([
    ["kernel.msgmax", "ipc"],
    ["fs/mqueue/msg_max", "ipc"],
    ["net.ipv4.ip_forward", "network"],
    ["net/ipv4/conf/eno2.100.rp_filter", "network"],
    ["net.ipv4.conf.eno2/100.rp_filter", "network"],
    ["kernel.domainname", "uts"],
    ["user.max_ipc_namespaces", "user"],
  ])("accepts sysctl %s only with a %s namespace", (name, namespace) => {
    const mappings = { uidMappings: MAPPINGS, gidMappings: MAPPINGS };
    expect(issuesOf(linux({ sysctl: { [name]: "1" }, ...mappings }, ALL_NAMESPACES))).toEqual([]);
    expect(issuesOf(linux({ sysctl: { [name]: "1" } }))).toEqual([
      `/linux/sysctl/${name.replaceAll("/", "~1")}: needs a ${namespace} namespace`,
    ]);
  });

  test.each([
    "kernel.hostname",
    "vm.swappiness",
    "kernel/core_pattern",
    "net",
    "net.//.kernel.core_pattern",
    "net/../kernel/x",
    "../x",
    "",
    "net..a",
  ])("refuses sysctl %j in every container", (name) => {
    const config = linux({ sysctl: { [name]: "1" } }, [
      { type: "network" },
      { type: "uts" },
      { type: "ipc" },
    ]);
    expect(issuesOf(config)).toHaveLength(1);
  });

  test.each([
    [
      { options: ["idmap"] },
      "/options/0: needs uidMappings and gidMappings, or a container with a user namespace",
    ],
    [{ options: ["ro", "ridmap"] }, "/options/1: needs uidMappings"],
    [{ uidMappings: [ONE_ID] }, "/uidMappings: must come together with gidMappings"],
    [{ gidMappings: [ONE_ID] }, "/gidMappings: must come together with uidMappings"],
    [
      { uidMappings: [ONE_ID], gidMappings: [{ ...ONE_ID, size: 0 }] },
      "/gidMappings/0/size: must be at least 1",
    ],
    [{ uidMappings: Array(341).fill(ONE_ID), gidMappings: [ONE_ID] }, "/uidMappings: must have at most 340"],
    [{ uidMappings: [ONE_ID], gidMappings: [ONE_ID], options: ["remount"] }, "can't be changed by a remount"],
    [
      { uidMappings: [ONE_ID], gidMappings: [ONE_ID], options: ["idmap=uids=0-0-1;gids=0-0-1"] },
      "/options/0: has mappings, but the mount has uidMappings and gidMappings too",
    ],
    [{ options: ["idmap=uids=0-0-1"] }, "/options/0: must have both uids= and gids="],
    [{ options: ["idmap=uids=0-0-1;uids=0-0-1"] }, '/options/0: has "uids=0-0-1" where'],
    [{ options: ["idmap=uids=0-0;gids=0-0-1"] }, '/options/0: has the mapping "0-0" where ID-ID-SIZE'],
    [{ options: ["idmap=uids=@0-0-1;gids=0-0-1"] }, "which no single mapping of the container covers"],
    [{ options: ["idmap=uids=0-0-0;gids=0-0-1"] }, "/options/0: has a mapping of size 0"],
  ])("refuses the id mappings of a mount %#", (mount, message) => {
    const config = { ...MINIMAL, mounts: [{ destination: "/a", source: "/", ...mount }] };
    const issues = issuesOf(config);
    expect(issues).toHaveLength(1);
    expect(issues[0]).toContain("/mounts/0/");
    expect(issues[0]).toContain(message);
  });

  test("accepts idmap without mappings in a user namespace, and crun's form", () => {
    const range = [{ containerID: 0, hostID: 1000, size: 10 }];
    const config = linux({ uidMappings: range, gidMappings: range }, [{ type: "user" }]);
    const options = [["idmap"], ["ridmap"], ["idmap=uids=@5-1-2#0-0-1;gids=0-0-1"]];
    const mounts = options.map((list) => ({ destination: "/a", source: "/", options: ["bind", ...list] }));
    expect(issuesOf({ ...config, mounts })).toEqual([]);
  });

  test("accepts properties with empty values", () => {
    const nothing = {
      intelRdt: {},
      mountLabel: "",
      netDevices: {},
      resources: { blockIO: {} },
      timeOffsets: {},
    };
    const config = {
      ...linux(nothing),
      hooks: { createContainer: [] },
      process: { ...PROCESS, apparmorProfile: "" },
    };
    expect(issuesOf(config)).toEqual([]);
  });

  test("accepts a NUL byte only in unused properties", () => {
    expect(issuesOf({ ...MINIMAL, annotations: { a: "\0" }, unknown: "\0" })).toEqual([]);
    expect(issuesOf({ ...MINIMAL, mounts: [{ destination: "/a", source: "b\0" }] })).toEqual([
      "/mounts/0/source: must not contain a NUL byte",
    ]);
  });
});

describe("readConfig", () => {
  const directory = mkdtempSync(join(tmpdir(), "runts-config-"));
  afterAll(() => rmSync(directory, { recursive: true }));

  test("reads config.json of a bundle", () => {
    writeFileSync(join(directory, "config.json"), JSON.stringify(MINIMAL));
    expect(readConfig(directory)).toEqual(MINIMAL);
  });

  test("names a file that is missing or not regular", () => {
    const missing = thrown(() => readConfig(join(directory, "none")));
    expect(missing.message).toBe(`open ${directory}/none/config.json: no such file or directory`);
    expect(missing.errno).toBe("ENOENT");
    mkdirSync(join(directory, "odd", "config.json"), { recursive: true });
    expect(thrown(() => readConfig(join(directory, "odd"))).message).toContain("not a regular file");
  });
});

test("the committed validator is up to date with the schema", () => {
  const committed = readFileSync(new URL("config-validator.generated.js", import.meta.url), "utf8");
  expect(committed).toBe(generateConfigValidator());
});
