import { chmodSync, chownSync, mkdirSync, symlinkSync } from "node:fs";
import type { Config } from "../harness/config.ts";
import { compareWithExplanation } from "../harness/explain/explained-container.ts";
import { openConsole } from "../harness/helpers/console.ts";
import { held } from "../harness/host/held-namespace.ts";
import { host, moving, network } from "../harness/host/network.ts";
import { giveToMappedRoot, mapIds } from "../harness/host/user-namespace.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

/** Compares `explain --json` with strace(1) of create and start, process by process and operation by operation. */

/** Bundles with different features of create. */
const BUNDLES: Readonly<Record<string, (config: Config, sandbox: Sandbox) => void>> = {
  "the default config": () => undefined,
  "a user namespace, bind mounts and hooks": (config, sandbox) => {
    mapIds(config);
    config.mounts.push(
      { destination: "/host", type: "bind", source: sandbox.directory, options: ["rbind", "ro", "nosuid"] },
      { destination: "/new/file", type: "bind", source: "/etc/hostname", options: ["bind", "rprivate"] },
    );
    const hook = { path: "/bin/true", args: ["true", "hook"] };
    config.hooks = {
      prestart: [hook],
      createRuntime: [hook, hook],
      createContainer: [hook],
      startContainer: [hook],
      poststart: [hook],
    };
  },
  "limits, devices, a filter, another user and a hook of theirs": (config) => {
    config.process.user = { uid: 1000, gid: 1001, umask: 0o27, additionalGids: [5, 1234] };
    config.process.oomScoreAdj = 500;
    config.process.noNewPrivileges = false;
    config.process.cwd = "/work/deep";
    config.process.env = ["PATH=/bin", 'QUOTE="x y"', "HOME=/none"];
    config.process.rlimits = [
      { type: "RLIMIT_CORE", soft: 0, hard: 0 },
      { type: "RLIMIT_NOFILE", soft: 100, hard: 200 },
      { type: "RLIMIT_STACK", soft: 8_388_608, hard: 8_388_608 },
    ];
    config.process.capabilities = {
      bounding: ["CAP_KILL", "CAP_NET_RAW"],
      effective: ["CAP_KILL"],
      permitted: ["CAP_KILL", "CAP_NET_RAW"],
      inheritable: ["CAP_KILL"],
      ambient: ["CAP_KILL"],
    };
    config.domainname = "example.org";
    config.linux.sysctl = { "net.ipv4.ip_forward": "1", "kernel.shm_rmid_forced": "1" };
    config.linux.devices = [
      { type: "c", path: "/dev/fuse", major: 10, minor: 229, fileMode: 0o600, uid: 1000, gid: 5 },
      { type: "p", path: "/dev/sub/fifo", fileMode: 0o644 },
    ];
    config.linux.resources = {
      devices: [
        { allow: false, access: "rwm" },
        { allow: true, type: "c", major: 10, minor: 229, access: "rw" },
      ],
      // The only controller of the unified hierarchy here, if any.
      hugepageLimits: [{ pageSize: "2MB", limit: 4_194_304 }],
    };
    config.linux.seccomp = {
      defaultAction: "SCMP_ACT_ALLOW",
      syscalls: [{ names: ["mount", "ptrace"], action: "SCMP_ACT_ERRNO", errnoRet: 1 }],
    };
    config.hooks = { startContainer: [{ path: "/bin/true", args: ["true"], env: ["A=1"] }] };
    config.mounts.push({
      destination: "/tmp",
      type: "tmpfs",
      source: "tmpfs",
      options: ["nosuid", "mode=1777", "ro", "rnoatime"],
    });
  },
  "namespaces of the host, shared mounts and no masks": (config) => {
    config.linux.namespaces = [{ type: "mount" }, { type: "pid" }];
    config.linux.rootfsPropagation = "shared";
    config.root.readonly = false;
    delete config.hostname;
    delete config.linux.maskedPaths;
    delete config.linux.readonlyPaths;
    config.mounts = config.mounts.filter(({ type }) => type !== "sysfs" && type !== "cgroup");
  },
  "a user namespace, and a source that only root reaches": (config, sandbox) => {
    mapIds(config);
    const folder = sandbox.path("home");
    mkdirSync(`${folder}/data`, { recursive: true });
    chownSync(folder, 1000, 1000);
    chmodSync(folder, 0o700);
    config.root.readonly = false;
    config.mounts.push({
      destination: "/mnt",
      type: "bind",
      source: `${folder}/data`,
      options: ["rbind", "ro"],
    });
  },
  "sources that earlier mounts show": (config, sandbox) => {
    config.root.readonly = false;
    config.mounts.push(
      { destination: "/a", type: "tmpfs", source: "tmpfs" },
      { destination: "/a/deep", type: "bind", source: sandbox.directory, options: ["bind"] },
      { destination: "/b", type: "bind", source: "rootfs/a", options: ["rbind"] },
      { destination: "/c", type: "bind", source: "rootfs/a/deep", options: ["rbind", "ro"] },
    );
  },
  "symbolic links, copied, mounted and mounted over": (config, sandbox) => {
    config.root.readonly = false;
    symlinkSync("to/there", sandbox.path("link"));
    const source = sandbox.path("link");
    config.mounts.push(
      { destination: "/made/copy", source, options: ["bind", "copy-symlink"] },
      { destination: "/mounted", source, options: ["bind", "src-nofollow"] },
      { destination: "/made/copy", source, options: ["bind", "src-nofollow", "dest-nofollow"] },
    );
  },
};

for (const [name, mutate] of Object.entries(BUNDLES)) {
  spec(
    `explain --json with ${name}: the operations of create and start`,
    "explain",
    async (sandbox) => {
      const container = sandbox.shell("exit 0", (config) => mutate(config, sandbox));
      if (container.config.linux.uidMappings !== undefined) giveToMappedRoot(container);
      await compareWithExplanation(sandbox, container);
    },
    { both: "has no such command" },
  );
}

spec(
  "explain --json with a terminal: the operations of create and start",
  "explain",
  async (sandbox) => {
    const container = sandbox.shell("exit 0", (config) => {
      config.process.terminal = true;
      config.process.consoleSize = { height: 24, width: 80 };
    });
    const console = await openConsole(sandbox);
    const flags = ["--console-socket", console.socket];
    await compareWithExplanation(sandbox, container, { flags });
  },
  { both: "has no such command" },
);

spec(
  "explain --json with --no-pivot and --pid-file: the operations of create and start",
  "explain",
  async (sandbox) => {
    const container = sandbox.shell("exit 0");
    // --no-pivot unmounts each procfs and sysfs of the host. In this mount namespace no other test mounts one between two commands.
    sandbox.wrapper = ["nsenter", `--mount=${await held(sandbox, "mount")}`];
    const flags = ["--no-pivot", "--no-new-keyring", "--pid-file", sandbox.path("pid")];
    await compareWithExplanation(sandbox, container, { flags });
  },
  { both: "has no such command" },
);

for (const [situation, joins] of [
  ["a new network namespace", false],
  ["one that is joined, where the indices are taken", true],
] as const) {
  spec(
    `explain --json with network interfaces and ${situation}: the operations of create and start`,
    "explain",
    async (sandbox, context) => {
      const outside = host(sandbox, context);
      outside.run("ip", "link", "add", "second", "type", "veth", "peer", "name", "vc");
      outside.run("ip", "address", "add", "198.51.100.1/32", "dev", "second");
      const inside = joins ? network(sandbox, "inside") : undefined;
      for (const name of ["eth0", "other"]) inside?.add(name);
      const container = sandbox.shell("exit 0", moving({ va: { name: "eth%d" }, second: {} }, inside));
      sandbox.wrapper = outside.wrapper;
      await compareWithExplanation(sandbox, container);
    },
    { both: "has no such command" },
  );
}
