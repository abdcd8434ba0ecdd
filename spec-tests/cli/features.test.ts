import { expect } from "vitest";
import { asObject, parseObject } from "../harness/json.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "features.md";

async function features(sandbox: Sandbox): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await sandbox.invoke(["features"]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return parseObject(stdout);
}

async function linuxFeatures(sandbox: Sandbox): Promise<Record<string, unknown>> {
  return asObject((await features(sandbox)).linux);
}

function words(value: unknown): string[] {
  if (!Array.isArray(value)) throw new Error(`expected an array, got ${JSON.stringify(value)}`);
  return value.map(String);
}

spec("features: create accepts both ociVersions", `${CLAUSE}: MUST accept both`, async (sandbox) => {
  const { ociVersionMin, ociVersionMax } = await features(sandbox);
  for (const version of [ociVersionMin, ociVersionMax]) {
    const container = sandbox.container((config) => {
      config.ociVersion = String(version);
    });
    await container.created();
  }
});

spec("features: create accepts all listed hooks", `${CLAUSE}: MUST support`, async (sandbox) => {
  const hooks = words((await features(sandbox)).hooks);
  expect(hooks).toContain("createRuntime");
  const container = sandbox.container();
  // The host and the rootfs both have /bin/true, since hooks resolve in one or the other.
  container.config.hooks = Object.fromEntries(
    hooks.map((name) => [name, [{ path: "/bin/true", args: ["true"] }]]),
  );
  container.writeConfig();
  expect(await container.output()).toBe("");
});

spec("features: mount options, with the recursive ones that engines ask for", CLAUSE, async (sandbox) => {
  const options = words((await features(sandbox)).mountOptions);
  expect(options).toEqual(
    expect.arrayContaining(["ro", "rw", "bind", "rbind", "rro", "rslave", "nosuid", "tmpcopyup"]),
  );
  // An option of the file system, which is data of mount(2).
  expect(options).not.toContain("size");
  expect(new Set(options).size).toBe(options.length);
});

spec("features: namespaces and capabilities", "features-linux.md", async (sandbox) => {
  const linux = await linuxFeatures(sandbox);
  expect(words(linux.namespaces)).toEqual(
    expect.arrayContaining(["cgroup", "ipc", "mount", "network", "pid", "user", "uts"]),
  );
  expect(words(linux.capabilities)).toEqual(
    expect.arrayContaining(["CAP_CHOWN", "CAP_SYS_ADMIN", "CAP_CHECKPOINT_RESTORE"]),
  );
});

spec("features: cgroup v2, where these tests run on it", "features-linux.md", async (sandbox) => {
  expect(asObject((await linuxFeatures(sandbox)).cgroup).v2).toBe(true);
});

spec(
  "features: the actions, operators, architectures and flags of seccomp",
  "features-linux.md",
  async (sandbox) => {
    const seccomp = asObject((await linuxFeatures(sandbox)).seccomp);
    expect(seccomp.enabled).toBe(true);
    expect(words(seccomp.actions)).toEqual(
      expect.arrayContaining(["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_LOG"]),
    );
    expect(words(seccomp.operators)).toContain("SCMP_CMP_MASKED_EQ");
    expect(words(seccomp.archs ?? ["SCMP_ARCH_X86_64"])).toContain("SCMP_ARCH_X86_64");
    const known = words(seccomp.knownFlags ?? []);
    expect(known).toEqual(expect.arrayContaining(words(seccomp.supportedFlags ?? [])));
  },
);

spec(
  "features: create accepts each seccomp action and flag that is listed as supported",
  "features-linux.md: MUST be recognized",
  async (sandbox) => {
    const seccomp = asObject((await linuxFeatures(sandbox)).seccomp);
    // System calls that the set-up does not need. Notify is left out, since it needs a listener.
    const unused = [
      "acct",
      "quotactl",
      "swapon",
      "swapoff",
      "reboot",
      "kexec_load",
      "settimeofday",
      "syslog",
    ];
    const actions = words(seccomp.actions).filter((action) => !/_(ALLOW|NOTIFY)$/.test(action));
    const container = sandbox.container((config) => {
      config.linux.seccomp = {
        defaultAction: "SCMP_ACT_ALLOW",
        flags: words(seccomp.supportedFlags ?? []).filter((name) => !name.endsWith("_RECV")),
        syscalls: actions.map((action, index) => ({ names: [unused[index] ?? ""], action })),
      };
    });
    await container.created();
  },
);

/** Features, and the properties of config.json that ask for them. */
const OPTIONAL: readonly (readonly [feature: string, part: string, value: unknown])[] = [
  ["apparmor", "process", { apparmorProfile: "no-such-profile" }],
  ["selinux", "process", { selinuxLabel: "no:such:label:s0" }],
  ["selinux", "linux", { mountLabel: "no:such:label:s0" }],
  ["intelRdt", "linux", { intelRdt: { closID: "no-such-class" } }],
  ["netDevices", "linux", { netDevices: { none0: { name: "eth0" } } }],
];

spec(
  "features: create refuses what is not enabled",
  "promise: a config is applied or refused",
  async (sandbox) => {
    const linux = await linuxFeatures(sandbox);
    for (const [feature, part, value] of OPTIONAL) {
      if (asObject(linux[feature] ?? {}).enabled !== false) continue;
      const container = sandbox.container();
      const config = parseObject(JSON.stringify(container.config));
      container.writeConfig(
        JSON.stringify({ ...config, [part]: { ...asObject(config[part]), ...asObject(value) } }),
      );
      const { code, stderr } = await container.create();
      expect(code, feature).not.toBe(0);
      expect(stderr).toContain(`/${part}/${Object.keys(asObject(value))[0]}`);
    }
  },
);

spec(
  "features: create refuses id-mapped mounts that are not enabled",
  "promise: a config is applied or refused",
  async (sandbox, context) => {
    const { mountExtensions } = await linuxFeatures(sandbox);
    if (asObject(asObject(mountExtensions ?? {}).idmap ?? {}).enabled !== false)
      context.skip("they are enabled");
    const container = sandbox.container();
    const uidMappings = [{ containerID: 0, hostID: 1000, size: 1 }];
    const mount = { destination: "/mnt", type: "bind", source: "/tmp", options: ["bind"] };
    const mounts = [...container.config.mounts, { ...mount, uidMappings, gidMappings: uidMappings }];
    container.writeConfig(JSON.stringify({ ...container.config, mounts }));
    expect((await container.create()).code).not.toBe(0);
  },
);

spec("features: needs no privileges", `${CLAUSE}: irrelevant to the host`, async (sandbox) => {
  const nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
  const asNobody = await sandbox.invoke(["features"], { wrapper: nobody });
  expect(asNobody.code).toBe(0);
  expect(parseObject(asNobody.stdout)).toEqual(await features(sandbox));
});

spec(
  "features: create recognizes all listed memory policies",
  "features-linux.md, MemoryPolicy: MUST be recognized",
  async (sandbox) => {
    const { stdout } = await sandbox.invoke(["features"]);
    const { modes, flags } = asObject(asObject(parseObject(stdout).linux).memoryPolicy);
    expect(modes).toEqual(expect.arrayContaining(["MPOL_BIND", "MPOL_LOCAL", "MPOL_WEIGHTED_INTERLEAVE"]));
    expect(flags).toEqual(expect.arrayContaining(["MPOL_F_NUMA_BALANCING", "MPOL_F_STATIC_NODES"]));
    const container = sandbox.container();
    for (const mode of Array.isArray(modes) ? modes : []) {
      for (const flag of Array.isArray(flags) ? flags : []) {
        const nodes = ["MPOL_DEFAULT", "MPOL_LOCAL"].includes(mode) ? "" : "0";
        Object.assign(container.config.linux, { memoryPolicy: { mode, nodes, flags: [flag] } });
        container.writeConfig();
        const { code, stderr } = await container.create();
        // The kernel may deny a policy that the runtime recognizes.
        if (code !== 0) expect(stderr, `${mode} ${flag}`).toMatch(/set_mempolicy: invalid argument/i);
        else await container.delete("--force");
      }
    }
  },
  {
    crun: { reason: "1.21 is older than memoryPolicy, and ignores it", before: "1.28" },
    runc: "memoryPolicy came with 1.4; personality flags, a missing priority and properties left out for exec are ignored, CPU numbers end at 1023, and the scheduler is set with the container's rights",
  },
);
