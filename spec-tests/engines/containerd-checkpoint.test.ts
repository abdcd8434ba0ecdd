import { join } from "node:path";
import { expect } from "vitest";
import { containerdTests } from "../harness/engines/containerd.ts";
import { needsContainerd } from "../harness/engines/containerd-settings.ts";
import { lines, runCommand } from "../harness/engines/engine.ts";
import { inPod } from "../harness/engines/pods.ts";
import { which } from "../harness/runtime.ts";

const check = containerdTests();

const UNCONFINED = 1;

/** A container is restored by the CRI only with an image that a registry has, and there is none. `ctr containers restore` needs none. */
check(
  "CRI checkpoint: an archive of processes, files and config; the container goes on",
  async (engine, context) => {
    needsContainerd("2.0", context);
    if (which("criu") === undefined) return context.skip("criu is not installed: apt-get install criu");
    const archive = join(engine.directory, "checkpoint.tar");
    await inPod(engine, {}, async (start) => {
      const script = "i=0; while :; do i=$((i+1)); echo $i > /next; mv /next /count; sleep 0.02; done";
      const id = await start({ command: ["sh", "-c", script], seccomp: UNCONFINED });
      const count = async (): Promise<number> => Number((await engine.cri.exec(id, "cat", "/count")).stdout);
      await expect.poll(count).toBeGreaterThan(5);
      await engine.cri.checkpoint(id, archive);
      const names = lines((await runCommand(["tar", "-tf", archive])).stdout);
      for (const name of [
        "checkpoint/inventory.img",
        "rootfs-diff.tar",
        "config.dump",
        "spec.dump",
        "dump.log",
      ])
        expect(names).toContain(name);
      const written = 'tar -xOf "$1" rootfs-diff.tar | tar -tz';
      expect(lines((await runCommand(["sh", "-c", written, "sh", archive])).stdout)).toContain("count");
      const before = await count();
      await expect.poll(count).toBeGreaterThan(before);
    });
  },
);
