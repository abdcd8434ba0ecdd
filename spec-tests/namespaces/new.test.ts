import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";
import { expect } from "vitest";
import { setNamespace } from "../harness/config.ts";
import { byCase } from "../harness/peers.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import { spec } from "../harness/spec.ts";

const NO_TIME_NAMESPACES = { reason: "domainname and time namespaces came with 1.2", before: "1.2" };
const CGROUP_LEFT = "leaves the cgroup when create fails after making it";
const HOSTS_NAMESPACE_UNSEEN = "does not compare a namespace that is joined by path with the host's";

const CLAUSE = "config-linux.md, Namespaces";
const FILES = { pid: "pid", network: "net", mount: "mnt", ipc: "ipc", uts: "uts", cgroup: "cgroup" } as const;

for (const [type, file] of Object.entries(FILES)) {
  spec(`create, namespace ${type} listed: a new one`, CLAUSE, async (sandbox) => {
    const container = sandbox.shell("sleep 1000");
    await container.created();
    const { pid } = await container.state();
    expect(readlinkSync(`/proc/${pid}/ns/${file}`)).not.toBe(readlinkSync(`/proc/self/ns/${file}`));
  });
}

for (const type of ["pid", "network", "ipc", "uts", "cgroup"] as const) {
  spec(
    `create, namespace ${type} not listed: the caller's`,
    `${CLAUSE}: MUST inherit the runtime namespace`,
    async (sandbox) => {
      const container = sandbox.shell("sleep 1000", (config) => {
        setNamespace(config, type, undefined);
        if (type === "uts") delete config.hostname;
      });
      await container.created();
      const { pid } = await container.state();
      expect(readlinkSync(`/proc/${pid}/ns/${FILES[type]}`)).toBe(
        readlinkSync(`/proc/self/ns/${FILES[type]}`),
      );
    },
  );
}

spec("run, pid namespace: the program is pid 1, and /proc shows nothing else", CLAUSE, async (sandbox) => {
  expect(await sandbox.shell("echo $$; cd /proc; echo [0-9]*").output()).toBe("1\n1\n");
});

spec("run, network namespace: only lo, and up", "practice of runc and crun", async (sandbox) => {
  expect(await sandbox.shell("ls /sys/class/net; cat /sys/class/net/lo/flags").output()).toMatch(
    /^lo\n0x9\n$/,
  );
});

spec(
  "run, time namespace listed: a new one",
  CLAUSE,
  async (sandbox) => {
    const container = sandbox.shell("readlink /proc/self/ns/time", (config) =>
      setNamespace(config, "time", { type: "time" }),
    );
    expect((await container.output()).trim()).not.toBe(readlinkSync("/proc/self/ns/time"));
  },
  { runc: NO_TIME_NAMESPACES },
);

spec(
  "create, the same namespace type twice: error",
  `${CLAUSE}: duplicate types MUST error`,
  async (sandbox) => {
    const container = sandbox.container((config) => void config.linux.namespaces.push({ type: "uts" }));
    expectRefusal(await container.create(), inOurWords("/linux/namespaces/6/type: "));
    expect(await sandbox.traces()).toEqual([]);
  },
  { crun: CGROUP_LEFT },
);

spec(
  "create, unknown namespace type: error",
  CLAUSE,
  async (sandbox) => {
    const container = sandbox.container((config) => void config.linux.namespaces.push({ type: "nosuch" }));
    expectRefusal(await container.create(), inOurWords("/linux/namespaces/6/type: "));
    expect(await sandbox.traces()).toEqual([]);
  },
  { crun: CGROUP_LEFT },
);

spec("run, hostname: set in the container, not on the host", "config.md, hostname", async (sandbox) => {
  const before = hostname();
  expect(await sandbox.shell("hostname").output()).toBe("box\n");
  expect(hostname()).toBe(before);
});

spec('run, hostname "": accepted, nothing set', "runtime-tools: hostname may be empty", async (sandbox) => {
  const container = sandbox.shell("hostname", (config) => {
    config.hostname = "";
  });
  expect((await container.run()).code).toBe(0);
});

spec("create, hostname without a uts namespace: error", "practice of runc and crun", async (sandbox) => {
  const container = sandbox.container((config) => setNamespace(config, "uts", undefined));
  expectRefusal(await container.create(), inOurWords("/hostname: "));
  expect(await sandbox.traces()).toEqual([]);
});

spec(
  "run, domainname: set in the container",
  "config.md, domainname",
  async (sandbox) => {
    const container = sandbox.shell("cat /proc/sys/kernel/domainname", (config) => {
      config.domainname = "example.org";
    });
    expect(await container.output()).toBe("example.org\n");
  },
  { runc: NO_TIME_NAMESPACES },
);

const SYSCTL = "config-linux.md, Sysctl";

spec("run, sysctl of the container's namespaces: set", SYSCTL, async (sandbox) => {
  const container = sandbox.shell(
    "cd /proc/sys; cat net/ipv4/ip_forward kernel/shmmni fs/mqueue/msg_max",
    (config) => {
      config.linux.sysctl = {
        "net.ipv4.ip_forward": "1",
        "kernel.shmmni": "1234",
        "fs.mqueue.msg_max": "77",
      };
    },
  );
  expect(await container.output()).toBe("1\n1234\n77\n");
});

spec("run, sysctl with slashes in its name: set", "practice of runc and crun", async (sandbox) => {
  const container = sandbox.shell("cat /proc/sys/net/ipv4/conf/lo/forwarding", (config) => {
    config.linux.sysctl = { "net/ipv4/conf/lo/forwarding": "1" };
  });
  expect(await container.output()).toBe("1\n");
});

for (const [key, without] of [
  ["kernel.pid_max", undefined],
  ["vm.swappiness", undefined],
  ["fs.file-max", undefined],
  ["net.ipv4.ip_forward", "network"],
  ["kernel.shmmni", "ipc"],
  ["kernel.hostname", undefined],
  ["net.ipv4/../../vm.swappiness", undefined],
] as const) {
  const situation = without === undefined ? "" : `, no ${without} namespace`;
  spec(`create, sysctl ${key}${situation}: error, it would change the host`, `${SYSCTL}`, async (sandbox) => {
    const container = sandbox.container((config) => {
      config.linux.sysctl = { [key]: "1" };
      if (without !== undefined) setNamespace(config, without, undefined);
    });
    expectRefusal(await container.create(), inOurWords(`/linux/sysctl/${key.replaceAll("/", "~1")}: `));
    expect(await sandbox.traces()).toEqual([]);
  });
}

/** A runtime that does not refuse must change the parameters of these namespaces, not those of the machine. */
const OWN_HOST = ["unshare", "--net", "--ipc", "--uts"];

const deviations = byCase(
  { crun: HOSTS_NAMESPACE_UNSEEN, cases: ["net.ipv4.ip_forward"] },
  { both: HOSTS_NAMESPACE_UNSEEN, cases: ["kernel.shmmni", "kernel.domainname"] },
);

for (const [type, key] of [
  ["network", "net.ipv4.ip_forward"],
  ["ipc", "kernel.shmmni"],
  ["uts", "kernel.domainname"],
] as const) {
  spec(
    `create, sysctl ${key}, the ${type} namespace is the host's by path: error, it would change the host`,
    SYSCTL,
    async (sandbox) => {
      const names = { network: "net", ipc: "ipc", uts: "uts" };
      const container = sandbox.container((config) => {
        config.linux.sysctl = { [key]: "1" };
        setNamespace(config, type, { type, path: `/proc/self/ns/${names[type]}` });
        if (type === "uts") delete config.hostname;
      });
      const words = `/linux/sysctl/${key}: the ${type} namespace is the host's`;
      expectRefusal(await container.create({ wrapper: OWN_HOST }), IS_RUNTS ? words : undefined);
      expect(await sandbox.traces()).toEqual([]);
    },
    deviations(key),
  );
}

for (const [key, value] of [
  ["kernel.msgmax", "4096"],
  ["kernel.msgmnb", "8192"],
  ["kernel.msgmni", "77"],
  ["kernel.sem", "250\t32000\t32\t128"],
  ["kernel.shmall", "5000"],
  ["kernel.shmmax", "65536"],
  ["kernel.shm_rmid_forced", "1"],
  ["fs.mqueue.queues_max", "5"],
] as const) {
  spec(`run, sysctl ${key}: set in the container's ipc namespace`, SYSCTL, async (sandbox) => {
    const file = key.replaceAll(".", "/");
    const container = sandbox.shell(`cat /proc/sys/${file}`, (config) => {
      config.linux.sysctl = { [key]: value };
    });
    expect(await container.output()).toBe(`${value}\n`);
    const without = sandbox.container((config) => {
      config.linux.sysctl = { [key]: value };
      setNamespace(config, "ipc", undefined);
      config.mounts = config.mounts.filter((mount) => mount.type !== "mqueue");
    });
    expectRefusal(await without.create({ wrapper: OWN_HOST }), inOurWords(`/linux/sysctl/${key}: needs a`));
  });
}

spec(
  "run, sysctl kernel.domainname: set in the container's uts namespace",
  SYSCTL,
  async (sandbox) => {
    const container = sandbox.shell("cat /proc/sys/kernel/domainname", (config) => {
      config.linux.sysctl = { "kernel.domainname": "by.sysctl" };
    });
    expect(await container.output()).toBe("by.sysctl\n");
    const both = sandbox.container((config) => {
      config.linux.sysctl = { "kernel.domainname": "by.sysctl" };
      config.domainname = "by.property";
    });
    expectRefusal(await both.create(), inOurWords("/linux/sysctl/kernel.domainname: "));
  },
  { runc: "kernel.domainname came with runc 1.2" },
);

spec("create, sysctl user.max_mnt_namespaces without a user namespace: error", SYSCTL, async (sandbox) => {
  const container = sandbox.container((config) => {
    // The present value, so that nothing changes if this is not refused.
    const value = readFileSync("/proc/sys/user/max_mnt_namespaces", "utf8").trim();
    config.linux.sysctl = { "user.max_mnt_namespaces": value };
  });
  expectRefusal(await container.create(), inOurWords("/linux/sysctl/user.max_mnt_namespaces: "));
});

spec(
  "run, sysctl user.max_mnt_namespaces with a user namespace: set",
  SYSCTL,
  async (sandbox) => {
    const container = sandbox.shell("cat /proc/sys/user/max_mnt_namespaces", (config) => {
      config.linux.sysctl = { "user.max_mnt_namespaces": "77" };
      config.linux.namespaces.push({ type: "user" });
      config.linux.uidMappings = [{ containerID: 0, hostID: 0, size: 65536 }];
      config.linux.gidMappings = [{ containerID: 0, hostID: 0, size: 65536 }];
    });
    expect(await container.output()).toBe("77\n");
  },
  { both: "knows no sysctls of user namespaces" },
);

spec(
  "run, sysctl with slashes, an interface with a dot in its name: the dot is kept",
  SYSCTL,
  async (sandbox) => {
    const container = sandbox.shell("true", (config) => {
      config.linux.sysctl = { "net/ipv4/conf/eth0.5/forwarding": "1" };
    });
    // There is no such interface. The error shows that the path has kept the dot.
    expectRefusal(await container.run(), IS_RUNTS ? "conf/eth0.5/forwarding" : undefined);
  },
);
