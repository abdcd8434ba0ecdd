import { cpSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { podmanTests } from "../harness/engines/podman.ts";

const everyday = podmanTests();

const SYSTEMD = "/usr/lib/systemd/systemd";

const UNITS: Readonly<Record<string, string>> = {
  "default.target":
    "[Unit]\nDescription=All of it\nAllowIsolate=yes\nWants=hello.service\nAfter=hello.service\n",
  "hello.service":
    "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/usr/bin/sleep 997\nMemoryAccounting=no\nPrivateTmp=yes\n",
};

/** A rootfs with the host's /usr, and units of its own that start no service of the host. */
function makeRootfs(directory: string): string {
  const rootfs = join(directory, "systemd-rootfs");
  for (const folder of ["etc/systemd/system", "usr", "var", "run", "tmp", "proc", "sys", "dev", "root"])
    mkdirSync(join(rootfs, folder), { recursive: true });
  for (const name of ["bin", "sbin", "lib", "lib64"]) symlinkSync(`usr/${name}`, join(rootfs, name));
  for (const name of ["passwd", "group"]) cpSync(`/etc/${name}`, join(rootfs, "etc", name));
  for (const [name, text] of Object.entries(UNITS))
    writeFileSync(join(rootfs, "etc/systemd/system", name), text);
  return rootfs;
}

everyday(
  "run --systemd=always, systemd as pid 1: boots, starts units in their own cgroups, and ends on stop",
  async (engine, context) => {
    if (!existsSync(SYSTEMD)) return context.skip("no systemd on this machine: apt-get install systemd");
    const flags = ["--detach", "--name", "host", "--systemd=always", "--volume", "/usr:/usr:ro"];
    const env = ["--env", "SYSTEMD_GENERATOR_PATH=/nonexistent"];
    const started = await engine.call(
      "run",
      ...flags,
      ...env,
      "--rootfs",
      makeRootfs(engine.directory),
      SYSTEMD,
    );
    expect(started).toMatchObject({ code: 0, stderr: "" });
    try {
      const active = async (): Promise<string> =>
        (await engine.call("exec", "host", "systemctl", "is-active", "hello.service")).stdout;
      await expect.poll(active, { timeout: 60_000, interval: 500 }).toBe("active\n");
      const show = ["sh", "-c", "grep ^0: /proc/$(pidof -s sleep)/cgroup; cat /proc/1/comm"];
      expect((await engine.call("exec", "host", ...show)).stdout).toBe(
        "0::/system.slice/hello.service\nsystemd\n",
      );
      expect(await engine.call("stop", "--time", "30", "host")).toMatchObject({ code: 0, stderr: "" });
      expect((await engine.call("inspect", "--format", "{{.State.ExitCode}}", "host")).stdout).not.toBe(
        "137\n",
      );
    } finally {
      await engine.call("rm", "--force", "--time", "0", "host");
    }
  },
);
