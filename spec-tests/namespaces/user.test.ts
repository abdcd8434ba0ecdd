import { chownSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { expect } from "vitest";
import type { Config } from "../harness/config.ts";
import type { Container } from "../harness/container.ts";
import { running } from "../harness/exec.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { giveRootfsTo } from "../harness/rootfs.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const NEEDS_MAPPINGS = "a new user namespace without mappings is an error";

const CLAUSE = "config-linux.md, User namespace mappings";
const BASE = 100_000;

function mapped(
  sandbox: Sandbox,
  script: string,
  mutate: (config: Config) => void = () => undefined,
): Container {
  const container = sandbox.shell(script, (config) => {
    config.linux.namespaces.push({ type: "user" });
    config.linux.uidMappings = [{ containerID: 0, hostID: BASE, size: 65_536 }];
    config.linux.gidMappings = [{ containerID: 0, hostID: BASE + 1000, size: 65_536 }];
    config.root.readonly = false;
    mutate(config);
  });
  giveRootfsTo(container.rootfs, { uid: BASE, gid: BASE + 1000 });
  return container;
}

spec("run, user namespace: the mappings are as listed", CLAUSE, async (sandbox) => {
  const container = mapped(sandbox, "cat /proc/self/uid_map /proc/self/gid_map; id -u; id -g");
  const lines = (await container.output()).trim().replaceAll(/ +/g, " ").split("\n");
  expect(lines.map((line) => line.trim())).toEqual(["0 100000 65536", "0 101000 65536", "0", "0"]);
});

spec("create, user namespace: the process has the mapped ids on the host", CLAUSE, async (sandbox) => {
  const container = mapped(sandbox, "sleep 1000", (config) => {
    config.process.user = { uid: 7, gid: 8 };
  });
  await container.started();
  const status = readFileSync(`/proc/${(await container.state()).pid}/status`, "utf8");
  expect(status).toContain(`Uid:\t${BASE + 7}\t`);
  expect(status).toContain(`Gid:\t${BASE + 1008}\t`);
});

spec("run, user namespace: files that the container makes belong to mapped ids", CLAUSE, async (sandbox) => {
  const container = mapped(sandbox, "touch /tmp/x");
  await container.output();
  expect(statSync(`${container.rootfs}/tmp/x`)).toMatchObject({ uid: BASE, gid: BASE + 1000 });
});

spec(
  "run, user namespace: the other namespaces belong to it",
  "runtime-tools: the user namespace must own the others",
  async (sandbox) => {
    const container = mapped(sandbox, "hostname changed && hostname", (config) => {
      config.process.capabilities = {
        bounding: ["CAP_SYS_ADMIN"],
        effective: ["CAP_SYS_ADMIN"],
        permitted: ["CAP_SYS_ADMIN"],
      };
    });
    expect(await container.output()).toBe("changed\n");
  },
);

spec(
  "run, user namespace: the default devices work",
  "runtime-tools: in a user namespace device nodes are bind-mounted",
  async (sandbox) => {
    const container = mapped(
      sandbox,
      "echo x > /dev/null && head -c 2 /dev/zero | wc -c && stat -c %t:%T /dev/null",
    );
    expect((await container.output()).trim().split(/\s+/)).toEqual(["2", "1:3"]);
  },
);

spec("run, user namespace with several ranges: all mapped", CLAUSE, async (sandbox) => {
  const container = mapped(sandbox, "cat /proc/self/uid_map", (config) => {
    config.linux.uidMappings = [
      { containerID: 0, hostID: BASE, size: 10 },
      { containerID: 10, hostID: 300_000, size: 5 },
    ];
  });
  expect((await container.output()).trim().split(/\s+/)).toEqual(["0", "100000", "10", "10", "300000", "5"]);
});

spec(
  "run, user namespace with a bind mount: the owner is shown as the mapped id",
  CLAUSE,
  async (sandbox) => {
    const folder = sandbox.path("volume");
    mkdirSync(folder);
    chownSync(folder, BASE + 5, BASE + 1005);
    const container = mapped(sandbox, "stat -c %u:%g /mnt", (config) => {
      config.mounts.push({ destination: "/mnt", type: "bind", source: folder, options: ["bind"] });
    });
    expect(await container.output()).toBe("5:5\n");
  },
);

spec("run, user namespace and additionalGids: set", CLAUSE, async (sandbox) => {
  const container = mapped(sandbox, "grep Groups /proc/self/status", (config) => {
    config.process.user = { uid: 1, gid: 1, additionalGids: [33] };
  });
  expect(await container.output()).toMatch(/\b33\b/);
});

/** Adds a user namespace without mappings, and removes the option gid=5 of devpts, since no group 5 is mapped. */
function unmapped(config: Config): void {
  config.linux.namespaces.push({ type: "user" });
  for (const mount of config.mounts)
    mount.options = mount.options?.filter((option) => option !== "gid=5") ?? [];
}

spec(
  "run, user namespace without mappings: its root is the caller, with a warning",
  "practice",
  async (sandbox) => {
    const container = sandbox.shell(
      "id -u; id -g; cat /proc/self/uid_map /proc/self/gid_map; stat -c %u /bin",
      unmapped,
    );
    const result = await container.run();
    expect(result.stdout.trim().split(/\s+/)).toEqual([
      "0",
      "0",
      ...["0", "0", "1"],
      ...["0", "0", "1"],
      "0",
    ]);
    if (IS_RUNTS) expect(result.stderr).toContain("/linux/uidMappings: ");
  },
  { runc: NEEDS_MAPPINGS },
);

spec(
  "exec in a user namespace without mappings: the process is its root",
  "practice",
  async (sandbox) => {
    const container = await running(sandbox, unmapped);
    expect((await container.exec(["cat", "/proc/self/uid_map"])).stdout.trim().split(/\s+/)).toEqual([
      "0",
      "0",
      "1",
    ]);
  },
  { runc: NEEDS_MAPPINGS },
);

for (const [present, missing] of [
  ["uidMappings", "gidMappings"],
  ["gidMappings", "uidMappings"],
] as const) {
  spec(
    `create, user namespace with ${present} alone: error that names the missing list`,
    CLAUSE,
    async (sandbox) => {
      const container = sandbox.container((config) => {
        unmapped(config);
        config.linux[present] = [{ containerID: 0, hostID: BASE, size: 10 }];
      });
      expectRefusal(await container.create(), IS_RUNTS ? `/linux/${missing}: ` : undefined);
      expect(await sandbox.traces()).toEqual([]);
    },
    { crun: "invents the list of mappings that is missing" },
  );
}

spec(
  "create, mappings without a user namespace: error",
  CLAUSE,
  async (sandbox) => {
    const container = sandbox.container((config) => {
      config.linux.uidMappings = [{ containerID: 0, hostID: BASE, size: 10 }];
      config.linux.gidMappings = [{ containerID: 0, hostID: BASE, size: 10 }];
    });
    expectRefusal(await container.create(), inOurWords("/linux/uidMappings: "));
    expect(await sandbox.traces()).toEqual([]);
  },
  {
    crun: "mappings without a user namespace are ignored",
    runc: "mappings without a user namespace are ignored in 1.1",
  },
);

spec("create, user not mapped in the user namespace: error, nothing left", CLAUSE, async (sandbox) => {
  const container = mapped(sandbox, "true", (config) => {
    config.process.user = { uid: 70_000, gid: 0 };
  });
  expectRefusal(await container.create(), inOurWords("/process/user/uid: "));
  expect(await sandbox.traces()).toEqual([]);
});
