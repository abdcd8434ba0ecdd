import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { Config } from "../harness/config.ts";
import type { Container } from "../harness/container.ts";
import { openConsole } from "../harness/helpers/console.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

/** The runtime verifies the devices that it uses: the image or a volume may have other files by their names. */

/** A container whose /dev is a volume that somebody else has filled: `fill` gets its path. */
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
    `create, maskedPaths with a /dev/null that is a symlink to ${what}: masked by the real /dev/null`,
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
    { both: "older than the fix of CVE-2025-31133: masks with the container's /dev/null" },
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
    expectRefusal(await container.create(), inOurWords("/dev/null"));
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
    expectRefusal(
      await container.create({ flags: ["--console-socket", console.socket] }),
      inOurWords("/dev/console"),
    );
    expect(await sandbox.traces()).toEqual([]);
  },
);

for (const [what, fill] of [
  ["a regular file", (ptmx: string) => writeFileSync(ptmx, "")],
  ["a symlink to a file", (ptmx: string) => symlinkSync("/target", ptmx)],
] as const) {
  spec(
    `create with a terminal, /dev/pts/ptmx ${what}: error, nothing left`,
    "CVE-2025-52565",
    async (sandbox) => {
      const console = await openConsole(sandbox);
      const container = withVolumeAsDev(
        sandbox,
        "true",
        (dev) => fill(join(dev, "pts/ptmx")),
        (config) => {
          config.process.terminal = true;
          config.root.readonly = false;
        },
      );
      container.writeFile("target", "as it was\n");
      expectRefusal(
        await container.create({ flags: ["--console-socket", console.socket] }),
        inOurWords("/dev/pts/ptmx"),
      );
      expect(container.readFile("target")).toBe("as it was\n");
      expect(await sandbox.traces()).toEqual([]);
    },
  );
}
