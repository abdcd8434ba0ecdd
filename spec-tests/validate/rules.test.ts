import { chmodSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import type { Config } from "../harness/config.ts";
import { POINTER, withRules } from "../harness/helpers/landlock.ts";
import { findings, shown, validate } from "../harness/helpers/validate.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

type Mutate = (config: Config, sandbox: Sandbox) => void;

interface Row {
  readonly mutate: Mutate;
  readonly finds: readonly string[];
  /** False if running the container can't confirm the findings: errors have to make it fail, warnings must not. */
  readonly run?: false;
  readonly host?: true;
}

const ROWS: Readonly<Record<string, Row>> = {
  "the default config": { mutate: () => undefined, finds: [] },
  "the default config with --host": { mutate: () => undefined, finds: [], host: true },
  "a missing program": {
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
  "a variable set twice in the environment": {
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
  "a Landlock path that is not in the container": {
    mutate: withRules({
      handledAccess: { handledAccessFS: ["execute"] },
      rules: { pathBeneath: [{ allowedAccess: ["execute"], paths: ["/bin", "/no-such"] }] },
    }),
    finds: [`error landlock-path ${POINTER}/rules/pathBeneath/0/paths/1`],
  },
  "a right of directories for a file in a Landlock rule": {
    mutate: withRules({
      handledAccess: { handledAccessFS: ["read_dir"] },
      rules: { pathBeneath: [{ allowedAccess: ["read_dir"], paths: ["/etc/passwd"] }] },
    }),
    finds: [`error landlock-path ${POINTER}/rules/pathBeneath/0/paths/0`],
  },
  "a program that no Landlock rule lets the kernel execute": {
    mutate: withRules({
      handledAccess: { handledAccessFS: ["execute", "read_file"] },
      rules: { pathBeneath: [{ allowedAccess: ["read_file"], paths: ["/bin"] }] },
    }),
    finds: [`error landlock-denies ${POINTER}/rules`],
  },
  "Landlock rules that cover the program, with --host": {
    mutate: withRules({
      handledAccess: { handledAccessFS: ["execute", "read_file"] },
      rules: { pathBeneath: [{ allowedAccess: ["execute", "read_file"], paths: ["/bin"] }] },
    }),
    finds: [],
    host: true,
  },
  "a missing working directory": {
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
  "an unknown capability": {
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
  "a missing source in the bundle": {
    mutate: (config) => {
      config.mounts.push({ destination: "/x", type: "bind", source: "nothing", options: ["bind"] });
    },
    finds: ["error source-missing /mounts/7/source"],
  },
  "a missing masked path": {
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
  "a filter that denies a call that loaders need": {
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
  "CPUs that are not a list": {
    mutate: (config) => {
      config.linux.resources = { cpu: { cpus: "0-3,7", mems: "first" } };
    },
    finds: ["error cpu-list /linux/resources/cpu/mems"],
  },
  "all devices allowed": {
    mutate: (config) => {
      config.linux.resources = { devices: [{ allow: true, access: "rwm" }] };
    },
    finds: ["warning all-devices /linux/resources/devices/0"],
  },
  "device rules without access": {
    mutate: (config) => {
      const node = { type: "c", major: 10, minor: 229 };
      config.linux.resources = {
        devices: [
          { allow: false },
          { allow: false, access: "" },
          { allow: true, ...node, access: "" },
          { allow: true, ...node },
        ],
      };
    },
    finds: ["1/access", "2/access", "3"].map((at) => `error config /linux/resources/devices/${at}`),
  },
  "a console size without a terminal": {
    mutate: (config) => {
      config.process.consoleSize = { height: 24, width: 80 };
    },
    finds: ["warning no-effect /process/consoleSize"],
  },
  "a user namespace without mappings": {
    mutate: (config) => {
      config.linux.namespaces = [{ type: "user" }, ...config.linux.namespaces];
      // devpts has gid=5, which is not mapped.
      config.mounts = config.mounts.filter(({ type }) => type !== "devpts");
    },
    finds: ["warning no-mappings /linux/namespaces/0"],
  },
  "a nice value for a policy that has none": {
    mutate: (config) => {
      config.process.scheduler = { policy: "SCHED_FIFO", priority: 1, nice: 5 };
    },
    finds: ["warning no-effect /process/scheduler/nice"],
  },
  "a missing hook of the container": {
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
  "a limit above the caller's, with --host": {
    mutate: (config) => {
      config.process.rlimits = [{ type: "RLIMIT_NOFILE", soft: 1024, hard: 4_000_000_000 }];
    },
    finds: ["error rlimit-over-limit /process/rlimits/0/hard"],
    host: true,
  },
  "a missing namespace to join, with --host": {
    mutate: (config) => {
      config.linux.namespaces[1] = { type: "network", path: "/run/netns/none" };
    },
    finds: ["error namespace-missing /linux/namespaces/1/path"],
    host: true,
  },
  "a missing controller, with --host": {
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
  "a missing source on the host, with --host": {
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
  "a missing network interface, with --host": {
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
  spec(
    `validate with ${name}: ${finds.length === 0 ? "no finding" : "finds it, and nothing else"}`,
    "validate",
    async (sandbox) => {
      const container = sandbox.container((config) => mutate(config, sandbox));
      const flags = host === true ? ["--host"] : [];
      const found = await findings(sandbox, container, ...flags);
      expect(found.map(shown).sort()).toEqual([...finds].sort());
      expect(found.filter(({ line, pointer }) => line === undefined && pointer !== "/process/env")).toEqual(
        [],
      );
      const hasError = finds.some((line) => line.startsWith("error "));
      expect((await validate(sandbox, container, ...flags)).code).toBe(hasError ? 1 : 0);
      if (run === false || finds.some((line) => line.includes("/linux/resources/memory"))) return;
      // The findings are true: run fails for errors, and not for warnings.
      const { code, stderr } = await container.run();
      expect(code === 0, stderr).toBe(!hasError);
    },
    { both: "has no such command" },
  );
}
