import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { startSwapper } from "../harness/helpers/swapper.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import { spec } from "../harness/spec.ts";

/**
 * Another container that shares the root file system exchanges the directory that procfs is mounted on for an empty one, and back, which
 * needs no capability: rename(2), RENAME_EXCHANGE. A path that is masked in between must not be left out.
 */

const CREATES = 30;

/** Opens the masked and read-only files wherever procfs and sysfs have been moved to. Writes nothing. */
const LOOK = [
  "for folder in /proc /proc.other /sys /sys.other; do",
  "  (: >>$folder/sys/kernel/core_pattern) 2>/dev/null && echo $folder/sys is writable;",
  "  [ -s $folder/keys ] && echo $folder/keys is not masked;",
  '  [ -n "$(ls $folder/kernel 2>/dev/null)" ] && echo $folder/kernel is not masked;',
  "done; true",
].join("\n");

spec(
  "create while the mount points of procfs and sysfs are exchanged for others: every path is masked or read-only, or create fails",
  "config-linux.md, Masked Paths, Readonly Paths",
  async (sandbox) => {
    const container = sandbox.shell(LOOK, (config) => {
      config.root.readonly = false;
      config.linux.maskedPaths = ["/proc/keys", "/sys/kernel"];
      config.linux.readonlyPaths = ["/proc/sys", "/proc/bus"];
    });
    const pairs = ["proc", "sys"].map((name) => {
      const path = join(container.rootfs, name);
      for (const folder of [path, `${path}.other`]) mkdirSync(folder, { recursive: true });
      return [path, `${path}.other`] as const;
    });
    await startSwapper(sandbox, pairs);
    const outcomes = new Set<string>();
    for (let round = 0; round < CREATES; round += 1) {
      const { code, stderr } = await container.create();
      if (code !== 0 && IS_RUNTS)
        expect(stderr).toMatch(/^runts: \/mounts\/\d+: .* is not where it was mounted: .*\n$/);
      if (code === 0 && (await container.start()).code === 0) {
        await container.until("stopped");
        expect(container.printed()).toBe("");
      }
      outcomes.add(code === 0 ? "a container" : "an error");
      expect((await container.delete("--force")).code).toBe(0);
    }
    expect(outcomes).toContain("a container");
  },
  { both: "looks masked paths up by name, and leaves out those that are missing at that moment" },
);
