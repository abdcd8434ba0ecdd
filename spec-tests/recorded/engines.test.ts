import { expect } from "vitest";
import { recordedNames, useRecorded } from "../harness/engines/recorded.ts";
import { openConsole } from "../harness/helpers/console.ts";
import { byCase } from "../harness/peers.ts";
import { spec } from "../harness/spec.ts";

const deviations = byCase({
  crun: "an empty blockIO needs the io controller",
  cases: [
    "compose-up-two-services",
    "docker-device",
    "docker-network-bridge",
    "docker-privileged",
    "docker-run-true",
    "docker-run-tty",
    "docker-seccomp",
    "docker-tmpfs-shm",
    "docker-ulimit-sysctl-oom",
    "docker-userns-remap-run",
  ],
});

for (const name of recordedNames()) {
  spec(
    `create, start, state, kill and delete, ${name}: all succeed`,
    "recorded from the engine",
    async (sandbox) => {
      const container = sandbox.container();
      const { terminal } = useRecorded(
        sandbox,
        container,
        name,
        "echo recorded config runs; exec sleep 1000",
      );
      const console = terminal ? await openConsole(sandbox) : undefined;
      const flags = console === undefined ? [] : ["--console-socket", console.socket];
      const created = await container.create({ flags });
      expect(created).toMatchObject({ code: 0, stdout: "", stderr: "" });
      expect(await container.state()).toMatchObject({
        id: container.id,
        status: "created",
        bundle: container.bundle,
      });
      expect(await container.start()).toMatchObject({ code: 0, stdout: "", stderr: "" });
      expect((await container.state()).status).toBe("running");
      await expect.poll(() => container.printed(console?.file)).toBe("recorded config runs");
      expect((await container.kill("KILL")).code).toBe(0);
      await container.until("stopped");
      expect((await container.delete()).code).toBe(0);
      expect(await sandbox.traces()).toEqual([]);
    },
    deviations(name),
  );
}
