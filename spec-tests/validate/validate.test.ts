import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { Config } from "../harness/config.ts";
import type { Container } from "../harness/container.ts";
import { elfFile, MACHINES } from "../harness/elf.ts";
import { checkReadme } from "../harness/readme.ts";
import type { Result } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";
import { userWrapper } from "../harness/user.ts";

interface Finding {
  readonly severity: string;
  readonly rule: string;
  readonly pointer: string;
  readonly line?: number;
  readonly message: string;
  readonly hint?: string;
}

function validate(sandbox: Sandbox, container: Container, ...flags: readonly string[]): Promise<Result> {
  return sandbox.invoke(["validate", "--bundle", container.bundle, ...flags]);
}

async function findings(
  sandbox: Sandbox,
  container: Container,
  ...flags: readonly string[]
): Promise<Finding[]> {
  return JSON.parse((await validate(sandbox, container, "--json", ...flags)).stdout).findings;
}

const shown = ({ severity, rule, pointer }: Finding): string => `${severity} ${rule} ${pointer}`;

type Mutate = (config: Config, sandbox: Sandbox) => void;

interface Row {
  readonly mutate: Mutate;
  readonly finds: readonly string[];
  /** Whether a real container bears it out: an error has to fail, a warning must not. */
  readonly run?: false;
  readonly host?: true;
}

const ROWS: Readonly<Record<string, Row>> = {
  "the default config": { mutate: () => undefined, finds: [] },
  "the default config with --host": { mutate: () => undefined, finds: [], host: true },
  "a program that is not there": {
    mutate: (config) => {
      config.process.args = ["/bin/no-such"];
    },
    finds: ["error program-missing /process/args/0"],
  },
  "a program in no directory of PATH": {
    mutate: (config) => {
      config.process.args = ["no-such"];
    },
    finds: ["error program-missing /process/args/0"],
  },
  "a name set twice in the environment": {
    mutate: (config) => {
      config.process.env = [...(config.process.env ?? []), "A=1", "B=2", "A=3"];
    },
    finds: ["warning duplicate-env /process/env/2"],
  },
  "an environment without PATH": {
    mutate: (config) => {
      config.process.env = [];
    },
    finds: ["warning no-path /process/env"],
  },
  "a working directory that is not there": {
    mutate: (config) => {
      config.process.cwd = "/work";
      config.root.readonly = false;
    },
    finds: ["warning cwd-missing /process/cwd"],
  },
  "effective capabilities that are not permitted": {
    mutate: (config) => {
      config.process.capabilities = { effective: ["CAP_KILL"], permitted: [], bounding: ["CAP_KILL"] };
    },
    finds: ["error capability-sets /process/capabilities/effective/0"],
  },
  "ambient capabilities that are not inheritable": {
    mutate: (config) => {
      const sets = ["CAP_KILL"];
      config.process.capabilities = { effective: sets, permitted: sets, bounding: sets, ambient: sets };
    },
    finds: ["warning capability-sets /process/capabilities/ambient/0"],
  },
  "capabilities of a user who is not root": {
    mutate: (config) => {
      config.process.user = { uid: 1000, gid: 1000 };
    },
    finds: ["warning useless-capability /process/capabilities/permitted"],
  },
  "bounding capabilities that noNewPrivileges makes useless": {
    mutate: (config) => {
      config.process.user = { uid: 1000, gid: 1000 };
      config.process.capabilities = { bounding: ["CAP_NET_RAW"] };
    },
    finds: ["warning useless-capability /process/capabilities/bounding"],
  },
  "a capability that nobody knows": {
    mutate: (config) => {
      config.process.capabilities = { bounding: ["CAP_MAGIC"] };
    },
    finds: ["warning unknown-capability /process/capabilities/bounding/0"],
  },
  "a user who is not mapped": {
    mutate: (config) => {
      config.linux.namespaces.push({ type: "user" });
      config.linux.uidMappings = [{ containerID: 0, hostID: 100_000, size: 10 }];
      config.linux.gidMappings = [{ containerID: 0, hostID: 100_000, size: 10 }];
      config.process.user = { uid: 20, gid: 5, additionalGids: [3, 30] };
      config.process.capabilities = {};
    },
    finds: ["error unmapped-id /process/user/additionalGids/1", "error unmapped-id /process/user/uid"],
  },
  "mappings that overlap": {
    mutate: (config) => {
      config.linux.namespaces.push({ type: "user" });
      config.linux.uidMappings = [
        { containerID: 0, hostID: 100_000, size: 10 },
        { containerID: 5, hostID: 200_000, size: 10 },
      ];
      config.linux.gidMappings = [{ containerID: 0, hostID: 100_000, size: 10 }];
    },
    finds: ["error overlapping-ids /linux/uidMappings/1/containerID"],
  },
  "a mount that a later one hides": {
    mutate: (config) => {
      config.mounts.push(
        { destination: "/tmp/inner", type: "tmpfs", source: "tmpfs" },
        { destination: "/tmp", type: "tmpfs", source: "tmpfs" },
      );
    },
    finds: ["warning hidden-mount /mounts/7"],
  },
  "ro over a mount that is writable": {
    mutate: (config) => {
      config.mounts.push({ destination: "/all", type: "bind", source: "/dev", options: ["rbind", "ro"] });
    },
    finds: ["warning ro-not-recursive /mounts/7/options/1"],
  },
  "ro over a mount that is writable, and a later mount over that": {
    mutate: (config) => {
      config.mounts.push(
        { destination: "/all", type: "bind", source: "/dev", options: ["rbind", "ro"] },
        { destination: "/all", type: "tmpfs", source: "tmpfs" },
      );
    },
    finds: ["warning hidden-mount /mounts/7"],
  },
  "rro over a mount that is writable": {
    mutate: (config) => {
      config.mounts.push({ destination: "/all", type: "bind", source: "/dev", options: ["rbind", "rro"] });
    },
    finds: [],
  },
  "a source of the bundle that is not there": {
    mutate: (config) => {
      config.mounts.push({ destination: "/x", type: "bind", source: "nothing", options: ["bind"] });
    },
    finds: ["error source-missing /mounts/7/source"],
  },
  "a masked path that is not there": {
    mutate: (config) => {
      config.linux.maskedPaths = [...(config.linux.maskedPaths ?? []), "/etc/none"];
    },
    finds: ["warning path-missing /linux/maskedPaths/6"],
  },
  "a filter that denies execve": {
    mutate: (config) => {
      config.linux.seccomp = {
        defaultAction: "SCMP_ACT_ALLOW",
        syscalls: [{ names: ["execve"], action: "SCMP_ACT_ERRNO" }],
      };
    },
    finds: ["error seccomp-denies /linux/seccomp/syscalls/0"],
  },
  "a filter that denies what loaders need": {
    mutate: (config) => {
      config.linux.seccomp = {
        defaultAction: "SCMP_ACT_ALLOW",
        syscalls: [{ names: ["mprotect"], action: "SCMP_ACT_ERRNO" }],
      };
    },
    finds: ["warning seccomp-denies /linux/seccomp/syscalls/0"],
    run: false, // The test's programs have a loader; a static one would run.
  },
  "limits that are too small": {
    mutate: (config) => {
      config.linux.resources = { memory: { limit: 4096 }, pids: { limit: 1 }, cpu: { quota: 10, period: 5 } };
    },
    finds: [
      "error cpu-quota /linux/resources/cpu/period",
      "error cpu-quota /linux/resources/cpu/quota",
      "warning tiny-limit /linux/resources/memory/limit",
      "warning tiny-limit /linux/resources/pids/limit",
    ],
  },
  "names that are too long": {
    mutate: (config) => {
      config.hostname = "h".repeat(65);
    },
    finds: ["error config /hostname"],
  },
  "CPUs that are no list": {
    mutate: (config) => {
      config.linux.resources = { cpu: { cpus: "0-3,7", mems: "first" } };
    },
    finds: ["error cpu-list /linux/resources/cpu/mems"],
  },
  "all devices allowed": {
    mutate: (config) => {
      config.linux.resources = { devices: [{ allow: true }] };
    },
    finds: ["warning all-devices /linux/resources/devices/0"],
  },
  "a size for no terminal": {
    mutate: (config) => {
      config.process.consoleSize = { height: 24, width: 80 };
    },
    finds: ["warning no-effect /process/consoleSize"],
  },
  "a hook of the container that is not there": {
    mutate: (config) => {
      config.hooks = { startContainer: [{ path: "/no-hook" }] };
    },
    finds: ["error hook /hooks/startContainer/0/path"],
  },
  "a hook of the host that is not executable, with --host": {
    mutate: (config, sandbox) => {
      writeFileSync(sandbox.path("hook"), "#!/bin/sh\n");
      chmodSync(sandbox.path("hook"), 0o644);
      config.hooks = { createRuntime: [{ path: "/bin/true" }, { path: sandbox.path("hook") }] };
    },
    finds: ["error hook /hooks/createRuntime/1/path"],
    host: true,
  },
  "a limit over the caller's, with --host": {
    mutate: (config) => {
      config.process.rlimits = [{ type: "RLIMIT_NOFILE", soft: 1024, hard: 4_000_000_000 }];
    },
    finds: ["error rlimit-over-limit /process/rlimits/0/hard"],
    host: true,
  },
  "a namespace to join that is not there, with --host": {
    mutate: (config) => {
      config.linux.namespaces[1] = { type: "network", path: "/run/netns/none" };
    },
    finds: ["error namespace-missing /linux/namespaces/1/path"],
    host: true,
  },
  "a controller that is not there, with --host": {
    mutate: (config) => {
      config.linux.resources = { rdma: { mlx5_0: { hcaHandles: 3 } } };
    },
    finds: ["error no-controller /linux/resources/rdma/mlx5_0"],
    host: true,
    run: false,
  },
  "a sysctl that no kernel has, with --host": {
    mutate: (config) => {
      config.linux.sysctl = { "fs.mqueue.none": "1", "kernel.shmmax": "1" };
    },
    finds: ["error no-sysctl /linux/sysctl/fs.mqueue.none"],
    host: true,
    run: false,
  },
  "a source of the host that is not there, with --host": {
    mutate: (config) => {
      config.mounts.push({ destination: "/x", type: "bind", source: "/no/source", options: ["bind"] });
    },
    finds: ["error source-missing /mounts/7/source"],
    host: true,
  },
  "a directory that is copied up, with --host": {
    mutate: (config) => {
      config.mounts.push({ destination: "/etc", type: "tmpfs", source: "tmpfs", options: ["tmpcopyup"] });
    },
    finds: [],
    host: true,
  },
  "network interfaces of which one is not there, with --host": {
    mutate: (config) => {
      config.linux.netDevices = { none0: { name: "eth0" } };
    },
    finds: ["error create-fails /linux/netDevices/none0"],
    host: true,
  },
  "a file system that no kernel has, with --host": {
    mutate: (config) => {
      config.mounts.push({ destination: "/x", type: "nofs", source: "nofs" });
    },
    finds: ["warning no-file-system /mounts/7/type"],
    host: true,
    run: false,
  },
};

for (const [name, { mutate, finds, run, host }] of Object.entries(ROWS)) {
  spec(`validate with ${name}: finds it, and nothing else`, "validate", async (sandbox) => {
    const container = sandbox.container((config) => mutate(config, sandbox));
    const flags = host === true ? ["--host"] : [];
    const found = await findings(sandbox, container, ...flags);
    expect(found.map(shown).sort()).toEqual([...finds].sort());
    expect(found.filter(({ line, pointer }) => line === undefined && pointer !== "/process/env")).toEqual([]);
    const hasError = finds.some((line) => line.startsWith("error "));
    expect((await validate(sandbox, container, ...flags)).code).toBe(hasError ? 1 : 0);
    if (run === false || finds.some((line) => line.includes("/linux/resources/memory"))) return;
    // The findings are true: create and start fail by the errors, and by none of the warnings.
    const { code, stderr } = await container.run();
    expect(code === 0, stderr).toBe(!hasError);
  });
}

spec(
  "validate with misspelt properties: where they are, and what may be meant",
  "validate",
  async (sandbox) => {
    const container = sandbox.container();
    const { process, linux, ...rest } = container.config;
    container.writeConfig(
      JSON.stringify(
        {
          ...rest,
          process: { ...process, noNewPriviliges: true },
          linux: { ...linux, maskedpaths: [], resources: { memory: { limits: 5 } } },
          windows: {},
          "org.example": 1,
        },
        undefined,
        1,
      ),
    );
    const found = await findings(sandbox, container);
    expect(found.map(({ rule, pointer, hint }) => [rule, pointer, hint])).toEqual([
      ["unknown-property", "/process/noNewPriviliges", 'did you mean "noNewPrivileges"?'],
      ["unknown-property", "/linux/resources/memory/limits", 'did you mean "limit"?'],
      ["unknown-property", "/linux/maskedpaths", 'did you mean "maskedPaths"?'],
      ["unknown-property", "/org.example", undefined],
    ]);
    expect((await validate(sandbox, container)).code).toBe(0);
    expect((await validate(sandbox, container, "--strict")).code).toBe(1);
  },
);

spec(
  "validate with what breaks the specification: all of it, with lines and hints",
  "validate",
  async (sandbox) => {
    const container = sandbox.container();
    container.writeConfig(`{
  "ociVersion": "1.2.0",
  "root": { "path": "rootfs" },
  "process": { "cwd": "relative", "args": ["true"], "rlimits": [{ "type": "RLIMIT_NOFILES", "soft": 1, "hard": 1 }] },
  "linux": {
    "namespaces": [{ "type": "mount" }, { "type": "mount" }],
    "seccomp": { "defaultAction": "SCMP_ACT_ALLOWED" }
  }
}`);
    const found = await findings(sandbox, container);
    expect(found.map(({ line, pointer, hint }) => [line, pointer, hint])).toEqual([
      [4, "/process/cwd", undefined],
      [4, "/process/rlimits/0/type", 'did you mean "RLIMIT_NOFILE"?'],
      [6, "/linux/namespaces/1/type", undefined],
      [7, "/linux/seccomp/defaultAction", 'did you mean "SCMP_ACT_ALLOW"?'],
    ]);
  },
);

spec(
  "validate with no config.json, or one that is no JSON: an error, and exit code 1",
  "validate",
  async (sandbox) => {
    const folder = sandbox.path("empty");
    mkdirSync(folder);
    const missing = await sandbox.invoke(["validate", "--bundle", folder]);
    expect([missing.code, missing.stdout]).toEqual([1, expect.stringContaining("no such file or directory")]);
    writeFileSync(join(folder, "config.json"), "{");
    const broken = await sandbox.invoke(["validate", "--bundle", folder]);
    expect([broken.code, broken.stdout]).toEqual([1, expect.stringContaining("error: ")]);
  },
);

for (const [name, text, findings] of [
  [
    "a comma too many",
    '{\n  "ociVersion": "1.2.0",\n}',
    ["line 3: not valid JSON at column 1: expected a name"],
  ],
  [
    "names that occur twice",
    '{\n  "ociVersion": "1.2.0",\n  "root": { "path": "a",\n    "path": "b" },\n  "ociVersion": "1.2.0"\n}',
    [
      "line 4, /root/path: duplicate name, first on line 3",
      "line 5, /ociVersion: duplicate name, first on line 2",
    ],
  ],
] as const)
  spec(`validate with ${name}: on which lines`, "validate", async (sandbox) => {
    const container = sandbox.container();
    container.writeConfig(text);
    const { code, stdout } = await validate(sandbox, container);
    expect(code).toBe(1);
    for (const finding of findings) expect(stdout).toContain(`error: ${finding}`);
  });

spec(
  "validate with a root file system that is not there: the rest is judged all the same",
  "validate",
  async (sandbox) => {
    const container = sandbox.container((config) => {
      config.root.path = "none";
      config.process.env = [...(config.process.env ?? []), "A=1", "A=2"];
      config.mounts.push(
        { destination: "/data/in", type: "tmpfs", source: "tmpfs" },
        { destination: "/data", type: "bind", source: "rootfs", options: ["bind"] },
      );
      config.linux.maskedPaths = ["/etc/none"];
    });
    expect((await findings(sandbox, container)).map(shown).sort()).toEqual([
      "error rootfs /root/path",
      "warning duplicate-env /process/env/2",
      "warning hidden-mount /mounts/7",
    ]);
  },
);

spec(
  "validate with a script whose interpreter is not there: names it, as does its end",
  "validate",
  async (sandbox) => {
    const container = sandbox.container((config) => {
      config.process.args = ["/script"];
    });
    container.writeFile("/script", "#!/usr/bin/nothing\n", 0o755);
    const [finding] = await findings(sandbox, container);
    expect(finding).toMatchObject({ rule: "program-not-executable", pointer: "/process/args/0" });
    expect(finding?.message).toContain("/usr/bin/nothing, the interpreter of /script");
    expect((await container.run()).code).not.toBe(0);
  },
);

spec("validate with a program whose loader has a name in UTF-8: no finding", "validate", async (sandbox) => {
  const container = sandbox.container((config) => {
    config.process.args = ["/program"];
  });
  const machine = MACHINES[process.arch === "arm64" ? "arm64" : "x64"];
  mkdirSync(join(container.rootfs, "lib"), { recursive: true });
  container.writeFile("/lib/lädt.so", "", 0o755);
  container.writeFile("/program", elfFile({ machine, interpreter: "/lib/lädt.so" }), 0o755);
  expect(await findings(sandbox, container)).toEqual([]);
});

spec(
  "validate with a program that PATH finds behind one that is not executable: no finding, as it runs",
  "validate",
  async (sandbox) => {
    const container = sandbox.container((config) => {
      config.process.args = ["tool"];
      config.process.env = ["PATH=/first:/second"];
    });
    for (const name of ["first", "second"]) mkdirSync(join(container.rootfs, name));
    container.writeFile("/first/tool", "#!/bin/sh\nexit 1\n", 0o644);
    container.writeFile("/second/tool", "#!/bin/sh\nexit 0\n", 0o755);
    expect(await findings(sandbox, container)).toEqual([]);
    expect((await container.run()).code).toBe(0);
  },
);

spec("validate --host of a user without privileges: what this user can't do", "validate", async (sandbox) => {
  const container = sandbox.container();
  sandbox.wrapper = userWrapper(sandbox);
  const found = await findings(sandbox, container, "--host");
  expect(found.map(shown)).toContain("error not-root /linux/namespaces");
  expect((await validate(sandbox, container)).code).toBe(0);
});

spec("validate, config.json a fifo: an error, no hang", "validate", async (sandbox) => {
  const container = sandbox.container();
  rmSync(join(container.bundle, "config.json"));
  execFileSync("mkfifo", [join(container.bundle, "config.json")]);
  const { code, stdout } = await validate(sandbox, container);
  expect([code, stdout]).toEqual([
    1,
    expect.stringMatching(/config\.json.*not a regular file|is no regular file/),
  ]);
});

spec("validate in the page of the example: prints what the page says", "examples/validate", (sandbox) =>
  checkReadme(sandbox, "validate", {
    // What is mounted below /dev is this host's.
    stable: (text) => text.replace(/\/devices\/\S+( and \d+ more below)? stays? /, "/devices/pts stays "),
  }),
);
