import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { Config } from "../harness/config.ts";
import { writableCgroup } from "../harness/config.ts";
import type { Container } from "../harness/container.ts";
import { giveToMappedRoot, mapIds } from "../harness/host/user-namespace.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "engines: systemd as init, podman run --systemd=always";
const SYSTEMD = "/usr/lib/systemd/systemd";

/** podman's default capabilities. podman also gives systemd a writable cgroup, and tmpfs where it keeps its state. */
const CAPABILITIES =
  "CHOWN DAC_OVERRIDE FOWNER FSETID KILL NET_BIND_SERVICE SETFCAP SETGID SETPCAP SETUID SYS_CHROOT"
    .split(" ")
    .map((name) => `CAP_${name}`);

/** A target with one service that stays, and none of the host's units. */
const UNITS = {
  "spec.target": "[Unit]\nDefaultDependencies=no\nWants=stay.service\n",
  "stay.service": "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/bin/sleep 999\n",
  "system.slice": "[Unit]\nDefaultDependencies=no\n",
};

function configure(config: Config): void {
  config.process.args = [
    SYSTEMD,
    "--system",
    "--unit=spec.target",
    "--log-target=console",
    "--show-status=0",
  ];
  config.process.env?.push("container=oci", "SYSTEMD_UNIT_PATH=/etc/units", "SYSTEMD_GENERATOR_PATH=/none");
  config.process.capabilities = {
    bounding: CAPABILITIES,
    effective: CAPABILITIES,
    permitted: CAPABILITIES,
  };
  config.process.noNewPrivileges = false;
  config.root.readonly = false;
  config.mounts.push({ destination: "/usr", type: "bind", source: "/usr", options: ["rbind", "ro"] });
  for (const destination of ["/run", "/tmp"])
    config.mounts.push({ destination, type: "tmpfs", source: "tmpfs", options: ["mode=755"] });
  writableCgroup(config);
}

/** Makes libraries and loader of the rootfs the host's. The commands of busybox stay. */
function furnish({ rootfs }: Container): void {
  for (const name of ["lib", "lib64"]) {
    rmSync(join(rootfs, name), { recursive: true, force: true });
    symlinkSync(`usr/${name}`, join(rootfs, name));
  }
  mkdirSync(join(rootfs, "etc/units"));
  for (const [name, text] of Object.entries(UNITS)) writeFileSync(join(rootfs, "etc/units", name), text);
  writeFileSync(join(rootfs, "etc/machine-id"), "0123456789abcdef0123456789abcdef\n");
}

async function booted(sandbox: Sandbox, mapped: boolean): Promise<Container> {
  const container = sandbox.container((config) => {
    configure(config);
    if (mapped) mapIds(config);
  });
  furnish(container);
  if (mapped) giveToMappedRoot(container);
  await container.started();
  const service = `/sys/fs/cgroup/${container.id}/system.slice/stay.service/cgroup.procs`;
  await expect
    .poll(() => (existsSync(service) ? readFileSync(service, "utf8") : container.printed()), {
      timeout: 60_000,
    })
    .toMatch(/^\d+\n$/);
  return container;
}

for (const mapped of [false, true]) {
  const where = mapped ? "in a user namespace" : "as the host's root";
  spec(
    `systemd inside, ${where}: services run in their own cgroups; exec, pause, ps and delete reach all of them`,
    CLAUSE,
    async (sandbox, context) => {
      if (!existsSync(SYSTEMD)) context.skip("needs systemd: apt-get install systemd");
      const container = await booted(sandbox, mapped);
      const inside = async (...command: readonly string[]) => (await container.exec(command)).stdout;
      expect(await inside("systemctl", "is-active", "stay.service")).toBe("active\n");
      // systemd has left the container's top cgroup, which could not enable controllers otherwise.
      expect(await inside("cat", "/proc/1/cgroup")).toMatch(/^0::\/init\.scope$/m);
      expect(await inside("cat", "/proc/self/cgroup")).toMatch(/^0::\/init\.scope$/m);
      await inside("systemctl", "restart", "stay.service");
      expect(await inside("systemctl", "is-active", "stay.service")).toBe("active\n");
      const all = JSON.parse((await sandbox.invoke(["ps", "--format", "json", container.id])).stdout);
      expect(all).toHaveLength(2);
      expect((await sandbox.invoke(["pause", container.id])).code).toBe(0);
      expect((await container.state()).status).toBe("paused");
      expect((await sandbox.invoke(["resume", container.id])).code).toBe(0);
      expect(await inside("systemctl", "is-active", "stay.service")).toBe("active\n");
      expect((await container.delete("--force")).code).toBe(0);
      expect(await sandbox.traces()).toEqual([]);
    },
    {
      crun: "exec joins the top cgroup, which has to be empty for systemd",
      runc: "exec joins the top cgroup, which has to be empty for systemd; in a user namespace systemd can make no cgroups",
    },
  );
}
