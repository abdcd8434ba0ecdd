import { readFileSync } from "node:fs";
import { expect } from "vitest";
import type { CapabilitySet, Config } from "../harness/config.ts";
import { running } from "../harness/exec.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "config.md, process.capabilities";
const BITS = {
  CAP_CHOWN: 0,
  CAP_KILL: 5,
  CAP_NET_BIND_SERVICE: 10,
  CAP_NET_RAW: 13,
  CAP_SYS_CHROOT: 18,
} as const;
/** capabilities(7), by number. */
const ALL = `
  CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP
  LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO
  SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG
  MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM
  BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
`
  .trim()
  .split(/\s+/)
  .map((name) => `CAP_${name}`);
type Name = keyof typeof BITS;
const SETS = {
  CapInh: "inheritable",
  CapPrm: "permitted",
  CapEff: "effective",
  CapBnd: "bounding",
  CapAmb: "ambient",
} as const;

function mask(names: readonly Name[]): string {
  return names
    .reduce((bits, name) => bits | (1n << BigInt(BITS[name])), 0n)
    .toString(16)
    .padStart(16, "0");
}

function status(sets: Partial<Record<CapabilitySet, readonly Name[]>>): string {
  return Object.entries(SETS)
    .map(([line, set]) => `${line}: ${mask(sets[set] ?? [])}\n`)
    .join("");
}

/** Runs one program without a shell, so that /proc/self/status shows the sets after a single execve. */
function show(config: Config, sets: Partial<Record<CapabilitySet, Name[]>>): void {
  config.process.args = ["sed", "-n", "/^Cap/s/\\t/ /p", "/proc/self/status"];
  config.process.capabilities = sets;
}

spec("run as root: bounding, permitted and effective as listed", CLAUSE, async (sandbox) => {
  const sets = {
    bounding: ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"] as Name[],
    permitted: ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"] as Name[],
    effective: ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"] as Name[],
  };
  expect(await sandbox.container((config) => show(config, sets)).output()).toBe(status(sets));
});

spec("run as root: all five sets as listed", CLAUSE, async (sandbox) => {
  const all: Name[] = ["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SYS_CHROOT"];
  const few: Name[] = ["CAP_KILL", "CAP_NET_BIND_SERVICE"];
  const sets = { bounding: all, permitted: all, effective: all, inheritable: few, ambient: few };
  expect(await sandbox.container((config) => show(config, sets)).output()).toBe(status(sets));
});

spec(
  "run as another user: ambient capabilities survive the execve, others do not",
  CLAUSE,
  async (sandbox) => {
    const all: Name[] = ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"];
    const few: Name[] = ["CAP_NET_RAW"];
    const container = sandbox.container((config) => {
      show(config, { bounding: all, permitted: all, effective: all, inheritable: few, ambient: few });
      config.process.user = { uid: 1000, gid: 1000 };
    });
    expect(await container.output()).toBe(
      status({ bounding: all, permitted: few, effective: few, inheritable: few, ambient: few }),
    );
  },
);

spec(
  "run as another user without ambient: capabilities in the bounding set only",
  CLAUSE,
  async (sandbox) => {
    const all: Name[] = ["CAP_CHOWN", "CAP_KILL"];
    const container = sandbox.container((config) => {
      show(config, { bounding: all, permitted: all, effective: all });
      config.process.user = { uid: 1000, gid: 1000 };
    });
    expect(await container.output()).toBe(status({ bounding: all }));
  },
);

spec("run with empty capability sets: none at all", CLAUSE, async (sandbox) => {
  const container = sandbox.container((config) =>
    show(config, { bounding: [], permitted: [], effective: [], inheritable: [], ambient: [] }),
  );
  expect(await container.output()).toBe(status({}));
});

spec(
  "run, capability unknown to the kernel: a warning, no failure",
  `${CLAUSE}: MUST warn, SHOULD NOT fail`,
  async (sandbox) => {
    const container = sandbox.shell("echo ran", (config) => {
      config.process.capabilities = {
        bounding: ["CAP_KILL", "CAP_FROM_THE_FUTURE"],
        effective: ["CAP_KILL"],
        permitted: ["CAP_KILL"],
      };
    });
    const result = await container.run();
    expect(result).toMatchObject({ code: 0, stdout: "ran\n" });
    expect(result.stderr).toMatch(/CAP_FROM_THE_FUTURE/);
  },
  { crun: "an unknown capability passes in silence in 1.21" },
);

spec(
  "run, ambient capability that is not inheritable: a warning that names it, no failure",
  `${CLAUSE}`,
  async (sandbox) => {
    const container = sandbox.shell("echo ran", (config) => {
      config.process.capabilities = {
        bounding: ["CAP_KILL"],
        effective: ["CAP_KILL"],
        permitted: ["CAP_KILL"],
        ambient: ["CAP_KILL"],
      };
    });
    const result = await container.run();
    expect(result).toMatchObject({ code: 0, stdout: "ran\n" });
    expect(result.stderr).toContain("can't raise ambient capability CAP_KILL: ");
  },
  {
    crun: "a capability that can't be ambient is left out in silence",
    runc: { reason: "1.1 has no warning of a capability that can't be ambient", before: "1.2" },
  },
);

spec("run, every capability that the caller has: granted, without a warning", CLAUSE, async (sandbox) => {
  const own = /^CapPrm:\s*(\w+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "";
  const names = ALL.filter((_, number) => (BigInt(`0x${own}`) >> BigInt(number)) & 1n);
  const container = sandbox.container((config) => {
    show(config, {});
    config.process.capabilities = { bounding: names, effective: names, permitted: names };
  });
  const result = await container.run();
  expect(result).toMatchObject({ code: 0, stderr: "" });
  for (const line of ["CapPrm", "CapEff", "CapBnd"]) expect(result.stdout).toContain(`${line}: ${own}\n`);
});

spec(
  "run, capability that the caller does not have: a warning, no failure",
  `${CLAUSE}: MUST warn, SHOULD NOT fail`,
  async (sandbox) => {
    const sets = ["CAP_KILL", "CAP_CHOWN"] as Name[];
    const container = sandbox.container((config) =>
      show(config, { bounding: sets, effective: sets, permitted: sets }),
    );
    const wrapper = ["setpriv", "--bounding-set", "-chown", "--"];
    const result = await container.run({ wrapper });
    const left: Name[] = ["CAP_KILL"];
    expect(result).toMatchObject({
      code: 0,
      stdout: status({ bounding: left, effective: left, permitted: left }),
    });
    expect(result.stderr).toMatch(/CAP_CHOWN/);
  },
  { both: "capset fails for a capability that can't be granted" },
);

spec("exec: ambient capabilities of the container, as another user", CLAUSE, async (sandbox) => {
  const all: Name[] = ["CAP_CHOWN", "CAP_NET_RAW"];
  const few: Name[] = ["CAP_NET_RAW"];
  const container = await running(sandbox, (config) => {
    config.process.capabilities = {
      bounding: all,
      permitted: all,
      effective: all,
      inheritable: few,
      ambient: few,
    };
    config.process.user = { uid: 1000, gid: 1000 };
  });
  const { stdout } = await container.exec(["sed", "-n", "/^Cap/s/\\t/ /p", "/proc/self/status"]);
  expect(stdout).toBe(
    status({ bounding: all, permitted: few, effective: few, inheritable: few, ambient: few }),
  );
});
