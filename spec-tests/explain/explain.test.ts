import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { Container } from "../harness/container.ts";
import { couldChange } from "../harness/explain/changing-call.ts";
import { explain, explained } from "../harness/explain/explain.ts";
import type { Explained, Explanation } from "../harness/explain/explained.ts";
import { readTrace, straceWrapper } from "../harness/explain/strace.ts";
import { userWrapper } from "../harness/host/user.ts";
import type { Result } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

spec(
  "explain: changes nothing, and starts no process",
  "explain",
  async (sandbox) => {
    const container = sandbox.shell("exit 0", (config) => {
      config.hooks = { createRuntime: [{ path: "/bin/true" }] };
      config.linux.resources = { hugepageLimits: [{ pageSize: "2MB", limit: 0 }] };
    });
    const folder = sandbox.path("traces");
    mkdirSync(folder);
    const wrapper = straceWrapper(join(folder, "explain"));
    const { code } = await sandbox.invoke(["explain", "--bundle", container.bundle, container.id], {
      wrapper,
    });
    expect(code).toBe(0);
    const calls = [...readTrace(join(folder, "explain")).values()].flat();
    expect(calls.length).toBeGreaterThan(100);
    expect(calls.filter(couldChange)).toEqual([]);
    expect(existsSync(sandbox.root)).toBe(false);
  },
  { both: "has no such command" },
);

spec(
  "explain by a user without privileges: the same as for root",
  "explain",
  async (sandbox) => {
    const container = sandbox.shell("exit 0");
    const asRoot = await explained(sandbox, container);
    sandbox.wrapper = userWrapper(sandbox);
    const asUser = await explained(sandbox, container);
    const calls = ({ operations }: Explanation) =>
      operations.map(({ by, call, args, pointer }) => [by, call, ...args, pointer].join(" "));
    // Init inherits limits and streams of the caller, which differ.
    expect(asUser.error).toBeUndefined();
    const withoutStreams = (lines: string[]) =>
      lines.filter((line) => !/RLIMIT_NOFILE|fchown|CAPBSET_DROP/.test(line));
    expect(withoutStreams(calls(asUser))).toEqual(withoutStreams(calls(asRoot)));
  },
  { both: "has no such command" },
);

spec(
  "explain --as caller by a user without privileges: the error of create, and exit code 1",
  "explain",
  async (sandbox) => {
    const container = sandbox.shell("exit 0", (config) => {
      config.linux.resources = { hugepageLimits: [{ pageSize: "2MB", limit: 0 }] };
    });
    sandbox.wrapper = [...userWrapper(sandbox)];
    const { code, stdout } = await explain(sandbox, container, "--json", "--as", "caller");
    const { error, operations }: Explanation = JSON.parse(stdout);
    expect(code).toBe(1);
    expect(error?.message).toContain("ermission denied");
    expect(operations.some(({ call }) => call === "clone3")).toBe(false);
  },
  { both: "has no such command" },
);

spec(
  "explain with a long /etc/passwd: HOME as the process would have it",
  "explain",
  async (sandbox) => {
    const container = sandbox.shell("exit 0", (config) => {
      config.process.user = { uid: 1234, gid: 1234 };
    });
    const comment = `${"#".repeat(99)}\n`.repeat(100);
    container.writeFile("etc/passwd", `${comment}jörg:x:1234:1234::/home/jörg:/bin/sh\n`);
    const { operations } = await explained(sandbox, container);
    expect(operations.find(({ call }) => call === "execve")?.args[2]).toContain('"HOME=/home/jörg"');
    expect(operations.filter(({ call }) => call === "read")).toHaveLength(3);
  },
  { both: "has no such command" },
);

spec(
  "explain with a program that does not exist: the error of create",
  "explain",
  async (sandbox) => {
    const container = sandbox.container((config) => {
      config.process.args = ["/bin/not-there"];
    });
    const said = await explain(sandbox, container);
    const created = await container.create();
    expect(said.code).toBe(1);
    const reason = created.stderr.replace(/^runts: /, "").trim();
    expect(reason).toContain("/bin/not-there");
    expect(said.stdout).toContain(`Here it would fail: ${reason}\n`);
  },
  { both: "has no such command" },
);

spec(
  "explain: each operation has the property that asks for it, at its step",
  "explain",
  async (sandbox) => {
    const hook = { path: "/bin/true" };
    const container = sandbox.shell("exit 0", (config) => {
      config.hooks = { createRuntime: [hook, hook], startContainer: [hook], poststart: [hook] };
      config.linux.sysctl = { "net.ipv4.ip_forward": "1" };
      config.linux.resources = { hugepageLimits: [{ pageSize: "2MB", limit: 4_194_304 }] };
    });
    const { operations, error } = await explained(sandbox, container);
    expect(error).toBeUndefined();
    const found = (call: string, text: string) => {
      const operation = operations.find(
        ({ call: name, args }) => name === call && args.join(", ").includes(text),
      );
      return [operation?.step, operation?.by, operation?.pointer];
    };
    expect(found("sethostname", '"box"')).toEqual([2, "init", "/hostname"]);
    expect(found("fsopen", '"mqueue"')).toEqual([2, "init", "/mounts/4"]);
    expect(found("openat2", "sys/net/ipv4/ip_forward")).toEqual([
      2,
      "init",
      "/linux/sysctl/net.ipv4.ip_forward",
    ]);
    expect(found("openat2", "hugetlb.2MB.max")).toEqual([
      2,
      "runtime",
      "/linux/resources/hugepageLimits/0/limit",
    ]);
    expect(found("execve", '"sh", "-c"')).toEqual([8, "init", "/process/args/0"]);
    const execs = operations.filter(({ call, by }) => call === "execve" && by !== "init");
    expect(execs.map(({ by, step, pointer }) => [by, step, pointer])).toEqual([
      ["createRuntime hook 0", 4, "/hooks/createRuntime/0"],
      ["createRuntime hook 1", 4, "/hooks/createRuntime/1"],
      ["startContainer hook 0", 7, "/hooks/startContainer/0"],
      ["poststart hook 0", 9, "/hooks/poststart/0"],
    ]);
    const steps = operations.map(({ step }) => step);
    // Hooks of step 4 run before pivot_root, which is still part of step 2.
    expect(steps.filter((step, index) => step !== steps[index - 1])).toEqual([2, 4, 2, 7, 8, 9]);
  },
  { both: "has no such command" },
);

spec(
  "explain --diff of two bundles: only what differs",
  "explain",
  async (sandbox) => {
    const one = sandbox.shell("exit 0");
    const other = sandbox.shell("exit 0", (config) => {
      config.linux.cgroupsPath = one.config.linux.cgroupsPath ?? "";
      config.hostname = "other";
      config.mounts.splice(3, 1);
      config.mounts.push({ destination: "/extra", type: "tmpfs", source: "tmpfs" });
    });
    const same = await sandbox.invoke(["explain", "--diff", one.bundle, one.bundle]);
    expect(same.stdout).toContain("Both do the same.");
    const { stdout, code } = await sandbox.invoke(["explain", "--diff", "--brief", one.bundle, other.bundle]);
    expect(code).toBe(0);
    const lines = stdout.split("\n").filter((line) => /^[-+] /.test(line));
    expect(lines.map((line) => line.replace(/ +/g, " "))).toEqual([
      "- init: mount tmpfs on /dev/shm /mounts/3",
      "+ init: mount tmpfs on /extra /mounts/6",
      "- init: set the host name /hostname",
      "+ init: set the host name /hostname",
    ]);
  },
  { both: "has no such command" },
);

spec(
  "explain --diff with a file that does not exist: the error of opening it",
  "explain",
  async (sandbox) => {
    const { bundle } = sandbox.container();
    const none = sandbox.path("none.json");
    const { code, stderr } = await sandbox.invoke(["explain", "--diff", bundle, none]);
    expect([code, stderr]).toEqual([1, `runts: open ${none}: no such file or directory\n`]);
  },
  { both: "has no such command" },
);

spec(
  "explain --diff of two config files: compared in the same bundle",
  "explain",
  async (sandbox) => {
    const container = sandbox.shell("exit 0");
    const file = sandbox.path("other.json");
    writeFileSync(file, JSON.stringify({ ...container.config, hostname: "other" }));
    const config = join(container.bundle, "config.json");
    const args = ["explain", "--diff", "--json", "--bundle", container.bundle, config, file];
    const { differences }: { differences: { change: string; operation: Explained }[] } = JSON.parse(
      (await sandbox.invoke(args)).stdout,
    );
    expect(differences.map(({ change, operation }) => [change, operation.args[0]])).toEqual([
      ["removed", '"box"'],
      ["added", '"other"'],
    ]);
  },
  { both: "has no such command" },
);

spec(
  "explain with an invalid config: all errors, as from create",
  "explain",
  async (sandbox) => {
    const container = sandbox.shell("exit 0", (config) => {
      config.process.cwd = "relative";
      config.mounts = [{ destination: "" }];
    });
    const { code, stderr } = await explain(sandbox, container);
    expect(code).toBe(1);
    expect(stderr).toBe((await container.create()).stderr);
  },
  { both: "has no such command" },
);

spec(
  "explain on a host with cgroup v1: assumes cgroup v2, and says so",
  "explain",
  async (sandbox) => {
    const container = sandbox.shell("exit 0", (config) => {
      config.linux.resources = { memory: { limit: 1_000_000 }, pids: { limit: 7 } };
    });
    // An empty file system covers the cgroups.
    sandbox.wrapper = [
      "unshare",
      "--mount",
      "sh",
      "-c",
      'mount -t tmpfs none /sys/fs/cgroup && exec "$@"',
      "sh",
    ];
    const { operations, notes, error } = await explained(sandbox, container);
    expect(error).toBeUndefined();
    expect(notes.join()).toContain("not cgroup v2 here");
    const writes = operations.filter(({ by, call }) => by === "runtime" && call === "write");
    expect(writes.map(({ args, pointer }) => [...args, pointer])).toEqual(
      expect.arrayContaining([
        [expect.stringContaining("pids.max"), '"7"', "1", "/linux/resources/pids/limit"],
        [expect.stringContaining("memory.max"), '"1000000"', "7", "/linux/resources/memory/limit"],
      ]),
    );
  },
  { both: "has no such command" },
);

/** A host without systemd and without cgroups. */
const BARE_HOST = [
  "unshare",
  "--mount",
  "sh",
  "-c",
  'mount -t tmpfs none /run && mount -t tmpfs none /sys/fs/cgroup && exec "$@"',
  "sh",
];

function explainScope(sandbox: Sandbox, container: Container, ...flags: readonly string[]): Promise<Result> {
  const args = ["--systemd-cgroup", "explain", "--bundle", container.bundle, ...flags, container.id];
  return sandbox.invoke(args, { wrapper: BARE_HOST });
}

function scoped(sandbox: Sandbox, path: string): Container {
  return sandbox.shell("exit 0", (config) => {
    config.linux.cgroupsPath = path;
    config.linux.resources = { pids: { limit: 7 } };
    config.annotations = { "org.systemd.property.CollectMode": "'inactive'" };
  });
}

spec(
  "explain --systemd-cgroup without systemd: each property of the unit with its pointer, then the cgroup's files",
  "explain",
  async (sandbox) => {
    const container = scoped(sandbox, "my-own.slice:pre:name");
    const { stdout } = await explainScope(sandbox, container, "--json");
    const { operations, notes, error }: Explanation = JSON.parse(stdout);
    expect(error).toBeUndefined();
    expect(notes.join("\n")).toContain("systemd is not running on this host");
    const start = operations.findIndex(({ call }) => call.endsWith(".Manager.StartTransientUnit"));
    expect(operations[start]).toMatchObject({
      step: 2,
      by: "runtime",
      pointer: "/linux/cgroupsPath",
      args: ['"pre-name.scope"', '"fail"', "[...]", "[]"],
    });
    const rest = operations.slice(start + 1);
    const count = rest.findIndex(({ call }) => call !== "property");
    const properties = rest.slice(0, count).map(({ args: [name, value], pointer }) => [name, value, pointer]);
    expect(properties).toEqual(
      expect.arrayContaining([
        ["Description", `"runts container ${container.id}"`, ""],
        ["Slice", '"my-own.slice"', "/linux/cgroupsPath"],
        ["Delegate", "true", ""],
        ["DevicePolicy", '"strict"', "/linux/resources/devices"],
        ["TasksMax", "uint64 7", "/linux/resources/pids/limit"],
        ["CollectMode", '"inactive"', "/annotations/org.systemd.property.CollectMode"],
        ["PIDs", "[uint32 <pid of init>]", ""],
      ]),
    );
    const file = "/sys/fs/cgroup/my.slice/my-own.slice/pre-name.scope/pids.max";
    const writes = rest.filter(({ call, args }) => call === "write" && args[0] === `<fd of ${file}>`);
    expect(writes.map(({ args, pointer }) => [args[1], pointer])).toEqual([
      ['"7"', "/linux/resources/pids/limit"],
    ]);
  },
  { both: "has no such command" },
);

spec(
  "explain --systemd-cgroup as text: a line for each property",
  "explain",
  async (sandbox) => {
    const container = scoped(sandbox, ":runts:web");
    const { code, stdout, stderr } = await explainScope(sandbox, container);
    expect([code, stderr]).toEqual([0, ""]);
    const text = stdout.replace(/ {2,}\//g, " /");
    expect(text).toContain(
      "  runtime: have systemd make runts-web.scope /linux/cgroupsPath\n" +
        '      org.freedesktop.systemd1.Manager.StartTransientUnit("runts-web.scope", "fail", [...], [])\n',
    );
    expect(text).toContain(
      "  runtime: set TasksMax of the unit /linux/resources/pids/limit\n      TasksMax = uint64 7\n",
    );
    const brief = await explainScope(sandbox, container, "--brief");
    expect(brief.stdout).toContain("set TasksMax of the unit");
    expect(brief.stdout).not.toContain("TasksMax = ");
  },
  { both: "has no such command" },
);

spec(
  "explain --systemd-cgroup --diff: the properties that differ",
  "explain",
  async (sandbox) => {
    const one = scoped(sandbox, ":runts:web");
    const other = scoped(sandbox, ":runts:web");
    other.config.linux.resources = { pids: { limit: 8 } };
    other.writeConfig();
    const args = ["--systemd-cgroup", "explain", "--diff", one.bundle, other.bundle];
    const { stdout } = await sandbox.invoke(args, { wrapper: BARE_HOST });
    const lines = stdout.split("\n").filter((line) => /^[-+] {6}/.test(line));
    expect(lines.map((line) => line.replace(/write\(<.*>/, "write(<fd>"))).toEqual([
      "-      TasksMax = uint64 7",
      "+      TasksMax = uint64 8",
      '-      write(<fd>, "7", 1)',
      '+      write(<fd>, "8", 1)',
    ]);
  },
  { both: "has no such command" },
);

for (const path of [
  "/spec",
  "system.slice:spec",
  "system.slice:spec:",
  "a.slice:b:c.slice",
  "no slice:a:b",
]) {
  spec(
    `explain --systemd-cgroup with cgroupsPath ${path}: the error of create`,
    "explain",
    async (sandbox) => {
      const container = scoped(sandbox, path);
      const { code, stdout } = await explainScope(sandbox, container);
      const created = await container.create({ globals: ["--systemd-cgroup"] });
      const reason = created.stderr.replace(/^runts: /, "");
      expect([code, created.code]).toEqual([1, 1]);
      expect(reason).toContain("/linux/cgroupsPath: ");
      expect(stdout).toContain(`Here it would fail: ${reason}`);
    },
    { both: "has no such command" },
  );
}

spec(
  "explain with a mount label and no SELinux: the warning of create",
  "explain",
  async (sandbox, context) => {
    if (existsSync("/sys/fs/selinux/enforce")) context.skip("this host has SELinux");
    const container = sandbox.container((config) => {
      config.linux.mountLabel = "system_u:object_r:container_file_t:s0";
    });
    const { warnings, error } = await explained(sandbox, container);
    const created = await container.create();
    expect([created.code, error]).toEqual([0, undefined]);
    expect(created.stderr).toContain("/linux/mountLabel: ");
    expect(warnings).toEqual([/ level=warning msg="(.*)"/.exec(created.stderr)?.[1]]);
  },
  { both: "has no such command" },
);

spec(
  "explain with a rootfs that does not exist: the error of create",
  "explain",
  async (sandbox) => {
    const container = sandbox.shell("exit 0");
    rmSync(container.rootfs, { recursive: true });
    const { code, stdout } = await explain(sandbox, container);
    expect(code).toBe(1);
    expect(stdout).toContain("Here it would fail: /root/path: ");
  },
  { both: "has no such command" },
);
