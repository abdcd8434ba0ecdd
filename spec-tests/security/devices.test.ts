import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { outside } from "../harness/canary.ts";
import type { Config } from "../harness/config.ts";
import { openConsole } from "../harness/console.ts";
import type { Container } from "../harness/container.ts";
import { expectRefusal } from "../harness/refusal.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

/** The devices that the runtime itself uses are verified ones, whatever the image or a volume has by their names. */

/** A container whose /dev is a volume that somebody else has filled; `fill` gets the folder. */
function withVolumeAsDev(
  sandbox: Sandbox,
  script: string,
  fill: (dev: string) => void,
  mutate: (config: Config) => void = () => undefined,
): Container {
  const dev = sandbox.path("dev");
  mkdirSync(join(dev, "pts"), { recursive: true });
  fill(dev);
  return sandbox.shell(script, (config) => {
    config.mounts = config.mounts.filter(({ destination }) => !destination.startsWith("/dev"));
    config.mounts.push({ destination: "/dev", type: "bind", source: dev, options: ["bind"] });
    config.linux.readonlyPaths = [];
    mutate(config);
  });
}

for (const [what, target] of [
  ["a file of procfs", "/proc/sys/kernel/core_pattern"],
  ["a file of the image", "/etc/passwd"],
] as const) {
  spec(
    `create, maskedPaths with a /dev/null that is a symlink to ${what}: masked by the real one`,
    "CVE-2025-31133",
    async (sandbox) => {
      const container = withVolumeAsDev(
        sandbox,
        "stat -c %t:%T /secret; cat /secret; echo end",
        (dev) => symlinkSync(target, join(dev, "null")),
        (config) => {
          config.linux.maskedPaths = ["/secret"];
        },
      );
      container.writeFile("secret", "secret\n");
      expect(await container.output()).toBe("1:3\nend\n");
    },
  );
}

spec(
  "create, an image whose /dev/null is a symlink: error, nothing left",
  "CVE-2025-31133",
  async (sandbox) => {
    const container = sandbox.container((config) => {
      config.mounts = config.mounts.filter(({ destination }) => !destination.startsWith("/dev"));
    });
    symlinkSync("/proc/sysrq-trigger", join(container.rootfs, "dev/null"));
    expectRefusal(await container.create(), "/dev/null");
    expect(await sandbox.traces()).toEqual([]);
  },
);

spec(
  "create with a terminal, /dev/console a symlink: the terminal is not mounted where it leads",
  "CVE-2025-52565",
  async (sandbox) => {
    const console = await openConsole(sandbox);
    const container = withVolumeAsDev(
      sandbox,
      "stat -c %F /target",
      (dev) => symlinkSync("/target", join(dev, "console")),
      (config) => {
        config.process.terminal = true;
        config.mounts.push({
          destination: "/dev/pts",
          type: "devpts",
          source: "devpts",
          options: ["newinstance", "ptmxmode=0666"],
        });
      },
    );
    container.writeFile("target", "");
    expectRefusal(await container.create({ flags: ["--console-socket", console.socket] }), "/dev/console");
    expect(await sandbox.traces()).toEqual([]);
  },
);

for (const [what, fill] of [
  ["a regular file", (dev: string, _canary: string) => writeFileSync(join(dev, "pts/ptmx"), "")],
  ["a symlink to a file", (dev: string, canary: string) => symlinkSync(canary, join(dev, "pts/ptmx"))],
  [
    "a symlink to /dev/null",
    (dev: string, _canary: string) => symlinkSync("/dev/null", join(dev, "pts/ptmx")),
  ],
] as const) {
  spec(
    `create with a terminal, /dev/pts/ptmx ${what}: error, nothing left`,
    "CVE-2025-52565",
    async (sandbox) => {
      const host = outside(sandbox);
      const console = await openConsole(sandbox);
      const container = withVolumeAsDev(
        sandbox,
        "true",
        (dev) => fill(dev, host.file),
        (config) => {
          config.process.terminal = true;
        },
      );
      expectRefusal(await container.create({ flags: ["--console-socket", console.socket] }), "/dev/pts/ptmx");
      host.expectUntouched();
      expect(await sandbox.traces()).toEqual([]);
    },
  );
}
