import { once } from "node:events";
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { expect } from "vitest";
import type { Config } from "../harness/config.ts";
import { openConsole } from "../harness/helpers/console.ts";
import {
  ONE_DIRECTORY,
  type Rules,
  runningProbe,
  withProbe,
  withRules,
} from "../harness/helpers/landlock.ts";
import { rootlessShell } from "../harness/host/user.ts";
import { parseObject } from "../harness/json.ts";
import { expectRefusal } from "../harness/refusal.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "promise: docs/landlock.md";
const NO_PEER = { both: "takes no Landlock rules" };

/** Rights to files that the probe tries in a directory. A link or rename without `refer` is EXDEV, as between file systems. */
const DIRECTORY_RIGHTS = [
  "execute",
  "write_file",
  "read_file",
  "read_dir",
  "remove_dir",
  "remove_file",
  "make_char",
  "make_dir",
  "make_reg",
  "make_sock",
  "make_fifo",
  "make_block",
  "make_sym",
  "refer",
  "truncate",
];

/** To be executed at all, a program needs both rights. */
function alsoForProbe(right: string): string[] {
  return right === "execute" || right === "read_file" ? ["/probe"] : [];
}

function mayMakeDevices(config: Config): void {
  const { capabilities = {} } = config.process;
  for (const set of ["bounding", "permitted", "effective"] as const)
    capabilities[set] = [...(capabilities[set] ?? []), "CAP_MKNOD"];
  config.process.capabilities = capabilities;
  config.linux.resources = { devices: [{ allow: true, access: "rwm" }] };
}

for (const right of DIRECTORY_RIGHTS)
  spec(
    `run with Landlock's ${right} for one directory: allowed there, denied elsewhere`,
    CLAUSE,
    async (sandbox) => {
      const rules: Rules = {
        handledAccess: { handledAccessFS: [right] },
        rules: { pathBeneath: [{ allowedAccess: [right], paths: ["/allowed", ...alsoForProbe(right)] }] },
      };
      const container = withProbe(sandbox, (config) => {
        withRules(rules)(config);
        if (right === "make_char" || right === "make_block") mayMakeDevices(config);
        config.process.args = ["/probe", right, "/allowed", "/denied"];
      });
      const denied = right === "refer" ? "EXDEV" : "EACCES";
      expect(await container.output()).toBe(`${right} /allowed: ok\n${right} /denied: ${denied}\n`);
    },
    NO_PEER,
  );

spec(
  "run with Landlock's ioctl_dev for one device: allowed there, denied elsewhere",
  CLAUSE,
  async (sandbox) => {
    const rules: Rules = {
      handledAccess: { handledAccessFS: ["ioctl_dev"] },
      rules: { pathBeneath: [{ allowedAccess: ["ioctl_dev"], paths: ["/dev/zero"] }] },
    };
    const container = withProbe(sandbox, (config) => {
      withRules(rules)(config);
      config.process.args = ["/probe", "ioctl_dev", "/dev/zero", "/dev/full"];
    });
    expect(await container.output()).toBe("ioctl_dev /dev/zero: ok\nioctl_dev /dev/full: EACCES\n");
  },
  NO_PEER,
);

for (const right of ["bind", "connect"] as const)
  spec(
    `run with Landlock's ${right} for one TCP port: allowed there, denied elsewhere`,
    CLAUSE,
    async (sandbox) => {
      const rules: Rules = {
        handledAccess: { handledAccessNetwork: [right] },
        rules: { networkPort: [{ allowedAccess: [right], ports: ["4001"] }] },
      };
      const container = withProbe(sandbox, (config) => {
        withRules(rules)(config);
        config.process.args = ["/probe", right, "4001", "4002"];
      });
      // Nobody listens there.
      const allowed = right === "bind" ? "ok" : "ECONNREFUSED";
      expect(await container.output()).toBe(`${right} 4001: ${allowed}\n${right} 4002: EACCES\n`);
    },
    NO_PEER,
  );

/** Leaves out a namespace, so that the container has the host's. */
function sharing(type: string): (config: Config) => void {
  return (config) => {
    config.linux.namespaces = config.linux.namespaces.filter((namespace) => namespace.type !== type);
  };
}

for (const [scoped, expected] of [
  [["abstract_unix_socket"], "EPERM"],
  [["signal"], "ok"],
] as const)
  spec(
    `run in the host's network with Landlock's scope ${scoped}: connect to an abstract socket of the host is ${expected}`,
    CLAUSE,
    async (sandbox) => {
      const name = `${sandbox.tag}-socket`;
      const server = createServer().listen(`\0${name}`);
      await once(server, "listening");
      try {
        const container = withProbe(sandbox, (config) => {
          withRules({ handledAccess: { scoped } })(config);
          sharing("network")(config);
          config.process.args = ["/probe", "abstract_unix_socket", name];
        });
        expect(await container.output()).toBe(`abstract_unix_socket ${name}: ${expected}\n`);
      } finally {
        server.close();
      }
    },
    NO_PEER,
  );

for (const [scoped, expected] of [
  [["signal"], "EPERM"],
  [["abstract_unix_socket"], "ok"],
] as const)
  spec(
    `run in the host's pid namespace with Landlock's scope ${scoped}: a signal to a process of the host is ${expected}`,
    CLAUSE,
    async (sandbox) => {
      const container = withProbe(sandbox, (config) => {
        withRules({ handledAccess: { scoped } })(config);
        sharing("pid")(config);
        config.process.capabilities = {
          bounding: ["CAP_KILL"],
          permitted: ["CAP_KILL"],
          effective: ["CAP_KILL"],
        };
        config.process.args = ["/probe", "signal", String(process.pid)];
      });
      expect(await container.output()).toBe(`signal ${process.pid}: ${expected}\n`);
    },
    NO_PEER,
  );

spec(
  "exec in a container with Landlock rules: the process has the same rules",
  CLAUSE,
  async (sandbox) => {
    const container = await runningProbe(sandbox);
    const probe = async (...words: string[]) => (await container.exec(["/probe", ...words])).stdout;
    expect(await probe("write_file", "/allowed", "/denied")).toBe(
      "write_file /allowed: ok\nwrite_file /denied: EACCES\n",
    );
    expect(await probe("bind", "4001")).toBe("bind 4001: EACCES\n");
  },
  NO_PEER,
);

spec(
  "exec in a container with Landlock rules: the process has a domain of its own, and reaches init by no signal and no ptrace",
  CLAUSE,
  async (sandbox) => {
    const container = await runningProbe(sandbox);
    expect((await container.exec(["/probe", "signal", "1"])).stdout).toBe("signal 1: EPERM\n");
    const withPtrace = await container.exec(["/probe", "trace", "1"], { flags: ["--cap", "CAP_SYS_PTRACE"] });
    expect(withPtrace.stdout).toBe("trace 1: EPERM\n");
  },
  NO_PEER,
);

spec(
  "exec --process without noNewPrivileges in a container with Landlock rules: error that names it",
  CLAUSE,
  async (sandbox) => {
    const container = await runningProbe(sandbox);
    const file = sandbox.path("process.json");
    writeFileSync(file, JSON.stringify({ cwd: "/", args: ["true"], noNewPrivileges: false }));
    expectRefusal(
      await container.exec([], { flags: ["--process", file] }),
      "/process/noNewPrivileges: must be true, as the container has Landlock rules",
      255,
    );
  },
  NO_PEER,
);

spec(
  "run with a startContainer hook and Landlock rules: the hook has the same rules",
  CLAUSE,
  async (sandbox) => {
    const container = withProbe(sandbox, (config) => {
      withRules(ONE_DIRECTORY)(config);
      const script = "/probe write_file /allowed /denied > /allowed/seen";
      config.hooks = { startContainer: [{ path: "/bin/sh", args: ["sh", "-c", script] }] };
      config.process.args = ["cat", "/allowed/seen"];
    });
    container.writeFile("allowed/seen", "");
    expect(await container.output()).toBe("write_file /allowed: ok\nwrite_file /denied: EACCES\n");
  },
  NO_PEER,
);

spec(
  "mounts add to a container with Landlock rules: the mount is made, and falls under the rules of the directories above it",
  CLAUSE,
  async (sandbox) => {
    const container = await runningProbe(sandbox);
    const list = sandbox.path("mounts.json");
    const tmpfs = (destination: string) => ({ destination, type: "tmpfs", source: "tmpfs" });
    writeFileSync(list, JSON.stringify([tmpfs("/allowed/dir"), tmpfs("/denied/dir")]));
    expect(await sandbox.invoke(["mounts", "add", container.id, list])).toMatchObject({ code: 0 });
    const write = "for place in allowed denied; do echo > /$place/dir/file && echo $place; done";
    const { stdout, stderr } = await container.exec(["sh", "-c", write]);
    expect(stdout).toBe("allowed\n");
    expect(stderr).toContain("/denied/dir/file: Permission denied");
  },
  NO_PEER,
);

spec(
  "mounts add at the path of a Landlock rule: the rule is for the directory below, and for the mount in the next exec",
  CLAUSE,
  async (sandbox) => {
    const container = withProbe(sandbox, (config) => {
      withRules(ONE_DIRECTORY)(config);
      const script =
        "until [ -e /allowed/go ]; do sleep 0.1; done; /probe write_file /allowed > /dev/shm/seen; sleep 1000";
      config.process.args = ["sh", "-c", script];
    });
    await container.started();
    const source = sandbox.path("source");
    mkdirSync(source);
    writeFileSync(join(source, "file"), "text");
    const list = sandbox.path("mounts.json");
    writeFileSync(list, JSON.stringify([{ destination: "/allowed", source, options: ["bind"] }]));
    expect(await sandbox.invoke(["mounts", "add", container.id, list])).toMatchObject({ code: 0 });
    expect((await container.exec(["/probe", "write_file", "/allowed"])).stdout).toBe(
      "write_file /allowed: ok\n",
    );
    writeFileSync(join(source, "go"), "");
    await expect
      .poll(async () => (await container.exec(["cat", "/dev/shm/seen"])).stdout)
      .toBe("write_file /allowed: EACCES\n");
  },
  NO_PEER,
);

spec(
  "run with CAP_SYS_ADMIN and Landlock rules for files: the container can't mount",
  CLAUSE,
  async (sandbox) => {
    const script = "mount -t tmpfs tmpfs /mnt || umount /dev/shm || echo neither";
    const container = sandbox.shell(script, (config) => {
      withRules({ handledAccess: { handledAccessFS: ["make_dir"] } })(config);
      const sets = ["CAP_SYS_ADMIN"];
      config.process.capabilities = { bounding: sets, permitted: sets, effective: sets };
    });
    expect(await container.output()).toBe("neither\n");
  },
  NO_PEER,
);

spec(
  "run with Landlock rules for TCP alone: a file can still be moved to another directory",
  CLAUSE,
  async (sandbox) => {
    const container = withProbe(sandbox, (config) => {
      withRules({ handledAccess: { handledAccessNetwork: ["bind"] } })(config);
      config.process.args = ["/probe", "refer", "/denied"];
    });
    expect(await container.output()).toBe("refer /denied: ok\n");
  },
  NO_PEER,
);

spec(
  "run with a Landlock path that is a symbolic link: the rule is for its destination in the container",
  CLAUSE,
  async (sandbox) => {
    const container = withProbe(sandbox, (config) => {
      withRules({
        handledAccess: { handledAccessFS: ["write_file"] },
        rules: { pathBeneath: [{ allowedAccess: ["write_file"], paths: ["/link"] }] },
      })(config);
      config.process.args = ["/probe", "write_file", "/allowed", "/denied"];
    });
    symlinkSync("/../allowed", join(container.rootfs, "link"));
    expect(await container.output()).toBe("write_file /allowed: ok\nwrite_file /denied: EACCES\n");
  },
  NO_PEER,
);

spec(
  "run as a user who can't search a directory above a Landlock path: the rule holds all the same",
  CLAUSE,
  async (sandbox) => {
    const container = withProbe(sandbox, (config) => {
      withRules({
        handledAccess: { handledAccessFS: ["read_file"] },
        rules: { pathBeneath: [{ allowedAccess: ["read_file"], paths: ["/probe", "/root/closed/dir"] }] },
      })(config);
      config.process.user = { uid: 1000, gid: 1000 };
      config.process.args = ["/probe", "read_file", "/denied"];
    });
    mkdirSync(join(container.rootfs, "root/closed/dir"), { recursive: true });
    chmodSync(join(container.rootfs, "root/closed"), 0o700);
    expect(await container.output()).toBe("read_file /denied: EACCES\n");
  },
  NO_PEER,
);

spec(
  "run with Landlock rules and a seccomp filter that denies its calls: the rules are in force",
  CLAUSE,
  async (sandbox) => {
    const container = withProbe(sandbox, (config) => {
      withRules(ONE_DIRECTORY)(config);
      const names = ["landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"];
      config.linux.seccomp = {
        defaultAction: "SCMP_ACT_ALLOW",
        syscalls: [{ names, action: "SCMP_ACT_KILL_PROCESS" }],
      };
      config.process.args = ["/probe", "write_file", "/allowed", "/denied"];
    });
    expect(await container.output()).toBe("write_file /allowed: ok\nwrite_file /denied: EACCES\n");
  },
  NO_PEER,
);

spec(
  "rootless run and exec with Landlock rules: the rules are in force",
  CLAUSE,
  async (sandbox) => {
    const container = rootlessShell(sandbox, "sleep 1000", (config) => {
      withRules({
        handledAccess: { handledAccessFS: ["make_dir"] },
        rules: { pathBeneath: [{ allowedAccess: ["make_dir"], paths: ["/tmp"] }] },
      })(config);
      config.root.readonly = false;
    });
    await container.started();
    const script = "mkdir /tmp/new && echo made; mkdir /mnt/new";
    const { stdout, stderr } = await container.exec(["sh", "-c", script]);
    expect(stdout).toBe("made\n");
    expect(stderr).toContain("can't create directory '/mnt/new': Permission denied");
  },
  NO_PEER,
);

spec(
  "exec --tty in a container with Landlock rules: the terminal works without ioctl_dev",
  CLAUSE,
  async (sandbox) => {
    const container = await runningProbe(sandbox, { handledAccess: { handledAccessFS: ["ioctl_dev"] } });
    const terminal = await openConsole(sandbox);
    const flags = ["--tty", "--detach", "--console-socket", terminal.socket];
    const { code, stderr } = await container.exec(["sh", "-c", "stty -echo && echo changed"], { flags });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(await terminal.output()).toBe("changed\r\n");
  },
  NO_PEER,
);

spec(
  "exec in a container without process that has Landlock rules: it has the rules, and needs noNewPrivileges",
  CLAUSE,
  async (sandbox) => {
    const container = withProbe(sandbox, withRules(ONE_DIRECTORY));
    const file = join(container.bundle, "config.json");
    const { process: own, ...config } = parseObject(readFileSync(file, "utf8"));
    expect(own).toMatchObject({ noNewPrivileges: true });
    writeFileSync(file, JSON.stringify(config));
    await container.created();
    const execute = (noNewPrivileges: boolean) => {
      const processFile = sandbox.path("process.json");
      const args = ["/probe", "write_file", "/allowed", "/denied"];
      writeFileSync(processFile, JSON.stringify({ args, cwd: "/", noNewPrivileges }));
      return container.exec([], { flags: ["--process", processFile] });
    };
    expect((await execute(true)).stdout).toBe("write_file /allowed: ok\nwrite_file /denied: EACCES\n");
    const { code, stderr } = await execute(false);
    expect(code).not.toBe(0);
    expect(stderr).toContain(
      "/process/noNewPrivileges: must be true, as the container has Landlock rules (/annotations/run.runts.landlock)",
    );
  },
  NO_PEER,
);
