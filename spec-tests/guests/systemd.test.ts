import { expect } from "vitest";
import { type Config, setNamespace } from "../harness/config.ts";
import { SYSTEMD_GUEST } from "../harness/guests/qemu.ts";
import {
  GUEST_USER,
  type GuestContainer,
  type GuestSandbox,
  USER_SYSTEMCTL,
} from "../harness/guests/sandbox.ts";
import { describeGuest, guestSpec } from "../harness/guests/spec.ts";

const DRIVER = "systemd.resource-control(5)";
const DELETE = "runtime.md, Delete";
const USER = "practice of runc and crun: rootless containers use the user's systemd";
const MIB = 1 << 20;
const DENY_ALL = { allow: false, access: "rwm" };
const DISK = { type: "b", major: 1, minor: 0 };
const OPEN_DISK = [
  "sh",
  "-c",
  "dd if=/dev/disk of=/dev/null count=1 2>&1 | grep -o 'not permitted\\|records out'",
];
const EXCEED = "exec dd if=/dev/zero of=/dev/null bs=64M count=1";
const UNIT_LIMITS = [
  "MemoryMax",
  "MemorySwapMax",
  "TasksMax",
  "CPUQuotaPerSecUSec",
  "AllowedCPUs",
  "IOWeight",
];
const FILES = ["memory.max", "memory.swap.max", "pids.max", "cpu.max", "cpuset.cpus", "io.weight"];

/** A container whose cgroup is a scope of systemd. */
function scoped(
  sandbox: GuestSandbox,
  script: string,
  resources: Record<string, unknown>,
  mutate: (config: Config) => void = () => undefined,
): GuestContainer {
  if (sandbox.globals.length === 0) sandbox.globals.push("--systemd-cgroup");
  return sandbox.limited(script, resources, (config) => {
    const slice = sandbox.asUser ? "user.slice" : "system.slice";
    config.linux.cgroupsPath = `${slice}:spec${config.linux.cgroupsPath?.replace("/", ":")}`;
    mutate(config);
  });
}

function unitOf({ cgroup }: GuestContainer): string {
  return cgroup.slice(cgroup.lastIndexOf("/") + 1);
}

/** The values of properties of the container's unit, in the order of `names`. */
async function show(
  sandbox: GuestSandbox,
  container: GuestContainer,
  names: readonly string[],
): Promise<string> {
  const systemctl = sandbox.asUser ? USER_SYSTEMCTL : "systemctl";
  const text = await sandbox.guest.output(
    `${systemctl} show ${unitOf(container)} --property=${names.join(",")}`,
  );
  const values = new Map<string, string>();
  for (const line of text.split("\n"))
    values.set(line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1));
  return names.map((name) => values.get(name)).join(" ");
}

async function files(container: GuestContainer, names: readonly string[] = FILES): Promise<string> {
  return (await container.files(...names)).split("\n").join(" ");
}

/** A rootless container, whose root is GUEST_USER. */
function rootless(config: Config): void {
  setNamespace(config, "user", { type: "user" });
  config.linux.uidMappings = [{ containerID: 0, hostID: GUEST_USER, size: 1 }];
  config.linux.gidMappings = [{ containerID: 0, hostID: GUEST_USER, size: 1 }];
  for (const mount of config.mounts)
    if (mount.options !== undefined) mount.options = mount.options.filter((option) => option !== "gid=5");
}

function rootlessScope(
  sandbox: GuestSandbox,
  script: string,
  resources: Record<string, unknown>,
): GuestContainer {
  sandbox.asUser = true;
  return scoped(sandbox, script, resources, rootless);
}

const LIMITS = {
  memory: { limit: 64 * MIB, swap: 96 * MIB },
  pids: { limit: 20 },
  cpu: { quota: 20_000, period: 100_000, cpus: "1" },
  blockIO: { weight: 500 },
};

describeGuest(
  "systemd as pid 1",
  () => {
    guestSpec("create with limits: set in the unit and in the cgroup's files", DRIVER, async (sandbox) => {
      const container = scoped(sandbox, "sleep 999", LIMITS);
      await container.created();
      expect(await show(sandbox, container, ["Slice", "Delegate", "ActiveState"])).toBe(
        "system.slice yes active",
      );
      const unit = await show(sandbox, container, UNIT_LIMITS);
      expect(unit).toBe(`${64 * MIB} ${32 * MIB} 20 200ms 1 4950`);
      expect(await files(container)).toBe(`${64 * MIB} ${32 * MIB} 20 20000 100000 1 default 4950`);
    });

    guestSpec(
      "update: changes the unit and the cgroup's files, also after daemon-reload",
      DRIVER,
      async (sandbox) => {
        const container = scoped(sandbox, "sleep 999", LIMITS);
        await container.started();
        const size = String(32 * MIB);
        const memory = ["--memory", size, "--memory-swap", size];
        await container.updated(...memory, "--pids-limit", "9", "--cpu-quota", "50000", "--cpuset-cpus", "0");
        const unit = `${size} 0 9 500ms 0`;
        const inFiles = `${size} 0 9 50000 100000 0`;
        expect(await show(sandbox, container, UNIT_LIMITS.slice(0, -1))).toBe(unit);
        expect(await files(container, FILES.slice(0, -1))).toBe(inFiles);
        await sandbox.guest.output("systemctl daemon-reload");
        expect(await show(sandbox, container, UNIT_LIMITS.slice(0, -1))).toBe(unit);
        expect(await files(container, FILES.slice(0, -1))).toBe(inFiles);
      },
    );

    guestSpec(
      "update, a value refused: unit and files are as before",
      "promise: an update is applied whole or not at all",
      async (sandbox) => {
        const container = scoped(sandbox, "sleep 999", LIMITS);
        await container.started();
        const before = [await show(sandbox, container, UNIT_LIMITS), await files(container)];
        const result = await container.update({
          memory: { limit: 32 * MIB, swap: 32 * MIB },
          pids: { limit: 5 },
          cpu: { quota: 70_000, cpus: "0-1" },
          unified: { "memory.nothing": "1" },
        });
        sandbox.expectRefusal(result, /memory\.nothing/);
        expect([await show(sandbox, container, UNIT_LIMITS), await files(container)]).toEqual(before);
      },
    );

    guestSpec("run, init exceeds memory.limit: exit code 137, no unit left", DRIVER, async (sandbox) => {
      const memory = { limit: 16 * MIB, swap: 16 * MIB };
      expect((await scoped(sandbox, EXCEED, { memory }).run()).code).toBe(137);
    });

    for (const [what, devices, expected] of [
      ["denied", [DENY_ALL], "not permitted"],
      ["allowed", [DENY_ALL, { allow: true, ...DISK, access: "r" }], "records out"],
    ] as const) {
      guestSpec(
        `create with devices, one ${what}: still ${what} after daemon-reload and set-property`,
        "practice: at daemon-reload, systemd applies the properties of a unit again",
        async (sandbox) => {
          const container = scoped(sandbox, "sleep 999", { devices }, (config) => {
            config.linux.devices = [{ path: "/dev/disk", ...DISK }];
          });
          await container.started();
          const opened = async () => (await container.exec(...OPEN_DISK)).stdout.split("\n")[0];
          expect(await opened()).toBe(expected);
          await sandbox.guest.output("systemctl daemon-reload");
          expect(await opened()).toBe(expected);
          await sandbox.guest.output(`systemctl set-property --runtime ${unitOf(container)} TasksMax=77`);
          expect(await container.files("pids.max")).toBe("77");
          expect(await opened()).toBe(expected);
        },
      );
    }

    guestSpec(
      "create: sub-cgroups that the container makes, and controllers that it enables, survive daemon-reload",
      "CGROUP_DELEGATION.md of systemd",
      async (sandbox) => {
        const script =
          "cd /sys/fs/cgroup; mkdir a; echo 1 > a/cgroup.procs; echo +memory +pids > cgroup.subtree_control; echo 33 > a/pids.max; echo made; sleep 999";
        const container = scoped(sandbox, script, {}, (config) => {
          const mount = config.mounts.find(({ destination }) => destination === "/sys/fs/cgroup");
          if (mount?.options !== undefined) mount.options = mount.options.filter((option) => option !== "ro");
        });
        await container.started();
        await container.printed("made");
        await sandbox.guest.output("systemctl daemon-reload");
        expect(await container.files("cgroup.subtree_control", "a/pids.max")).toBe("memory pids\n33");
        expect((await container.exec("cat", "/proc/self/cgroup")).stdout).toBe("0::/a\n");
      },
    );

    guestSpec(
      "systemctl stop of the scope: the container is stopped, and delete works",
      DELETE,
      async (sandbox) => {
        const container = scoped(sandbox, "trap 'exit 0' TERM; echo up; sleep 999 & wait", {});
        await container.started();
        await container.printed("up");
        await sandbox.guest.output(`systemctl stop ${unitOf(container)}`);
        expect(await container.status()).toBe("stopped");
        expect((await container.command("delete")).code).toBe(0);
      },
    );

    guestSpec(
      "rootless, create and update with limits: a scope of the user's systemd, with these limits",
      USER,
      async (sandbox) => {
        const resources = {
          memory: { limit: 64 * MIB, swap: 64 * MIB },
          pids: { limit: 20 },
          cpu: { shares: 2048 },
        };
        const container = rootlessScope(sandbox, "sleep 999", resources);
        await container.started();
        expect(await show(sandbox, container, ["Slice", "MemoryMax", "TasksMax"])).toBe(
          `user.slice ${64 * MIB} 20`,
        );
        expect(await files(container, ["memory.max", "pids.max"])).toBe(`${64 * MIB} 20`);
        await container.updated(
          "--memory",
          String(32 * MIB),
          "--memory-swap",
          String(32 * MIB),
          "--pids-limit",
          "9",
        );
        expect(await show(sandbox, container, ["MemoryMax", "TasksMax"])).toBe(`${32 * MIB} 9`);
        expect(await files(container, ["memory.max", "pids.max"])).toBe(`${32 * MIB} 9`);
        expect((await container.exec("cat", "/proc/self/cgroup")).stdout).toBe("0::/\n");
      },
    );

    guestSpec(
      "rootless, run, init exceeds memory.limit: exit code 137, no unit left",
      USER,
      async (sandbox) => {
        const memory = { limit: 16 * MIB, swap: 16 * MIB };
        expect((await rootlessScope(sandbox, EXCEED, { memory }).run()).code).toBe(137);
      },
    );

    guestSpec(
      "rootless, create, controller not delegated: error that names it and says how to delegate it",
      "promise: the error for a missing controller names it, the cgroup where it is missing and what to change",
      async (sandbox) => {
        const result = await rootlessScope(sandbox, "true", { cpu: { cpus: "0" } }).create();
        const words = /\/cpu\/cpus: .*cpuset controller .*user-1234\.slice.*Delegate=/;
        sandbox.expectRefusal(result, /cpuset/, words);
      },
    );
  },
  SYSTEMD_GUEST,
);
