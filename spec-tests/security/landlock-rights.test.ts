import { once } from "node:events";
import { chmodSync, mkdirSync, symlinkSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { expect } from "vitest";
import type { Config } from "../harness/config.ts";
import { NO_PEER, ONE_DIRECTORY, type Rules, withProbe, withRules } from "../harness/helpers/landlock.ts";
import { spec } from "../harness/spec.ts";

/** Each right and scope, and the paths of rules. */

const CLAUSE = "promise: docs/landlock.md";

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
    expected === "ok" ? {} : NO_PEER,
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
    expected === "ok" ? {} : NO_PEER,
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
