import { expect } from "vitest";
import type { Container } from "../harness/container.ts";
import { type LazyParent, startLazyParent } from "../harness/helpers/lazy-parent.ts";
import { startUnderSubreaper } from "../harness/helpers/subreaper.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const WAITS_FOR_INIT =
  "waits for the end of init, which the kernel delays until all processes in its pid namespace are reaped";

const CLAUSE = "engines: init is reparented to the subreaper, its exit status reaches it";

spec("create below a subreaper: init becomes its child, the exit code arrives", CLAUSE, async (sandbox) => {
  const container = sandbox.shell("exit 7");
  expect(await startUnderSubreaper(sandbox, container).report()).toEqual({ parent: true, exit: 7 });
});

spec("create below a subreaper: the signal that ended the program arrives", CLAUSE, async (sandbox) => {
  // Pid 1 of a pid namespace ignores its own signals, so the program shares the host's.
  const container = sandbox.shell("kill -KILL $$", (config) => {
    config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "pid");
    config.mounts = config.mounts.map((mount) =>
      mount.destination === "/proc"
        ? { destination: "/proc", type: "none", source: "/proc", options: ["rbind"] }
        : mount,
    );
  });
  expect(await startUnderSubreaper(sandbox, container).report()).toEqual({ parent: true, signal: 9 });
});

const UNREAPED =
  "pid_namespaces(7): pid 1 waits until all processes of its namespace are reaped; practice: crun deletes at once";

/** A container with a zombie of `exec --detach` that its parent does not reap: it keeps an ending init from becoming a zombie. */
async function withZombie(
  sandbox: Sandbox,
  finish: (container: Container, parent: LazyParent) => Promise<void>,
): Promise<void> {
  const container = sandbox.shell("sleep 1000", (config) => {
    config.root.readonly = false;
  });
  const parent = startLazyParent(sandbox);
  expect(await parent.runtime("create", "--bundle", container.bundle, container.id)).toBe(0);
  expect(await parent.runtime("start", container.id)).toBe(0);
  expect(await parent.runtime("exec", "--detach", container.id, "sh", "-c", "echo > /tmp/ran")).toBe(0);
  await expect.poll(() => container.readFile("tmp/ran")).toBe("\n");
  await finish(container, parent);
  await parent.stop();
}

spec(
  "delete --force with a process of exec that nobody reaps: deleted",
  UNREAPED,
  async (sandbox) => {
    await withZombie(sandbox, async (container, parent) => {
      expect(await parent.runtime("delete", "--force", container.id)).toBe(0);
      expect(await parent.runtime("state", container.id)).not.toBe(0);
    });
  },
  { runc: WAITS_FOR_INIT },
);

spec(
  "kill KILL with a process of exec that nobody reaps: stopped, and can be deleted",
  UNREAPED,
  async (sandbox) => {
    await withZombie(sandbox, async (container, parent) => {
      expect(await parent.runtime("kill", container.id, "KILL")).toBe(0);
      await container.until("stopped");
      expect(await parent.runtime("delete", container.id)).toBe(0);
    });
  },
  {
    crun: "takes init for running while the kernel delays its end until all processes in its pid namespace are reaped",
    runc: WAITS_FOR_INIT,
  },
);

spec(
  "wait with a process of exec that nobody reaps: returns, with init's exit code",
  UNREAPED,
  async (sandbox) => {
    await withZombie(sandbox, async (container) => {
      const waiting = sandbox.invoke(["wait", container.id]);
      expect((await container.kill("KILL")).code).toBe(0);
      expect(await waiting).toEqual({ code: 0, stdout: "137\n", stderr: "" });
      expect((await container.state()).status).toBe("stopped");
      expect((await container.delete()).code).toBe(0);
    });
  },
  { both: "has no such command" },
);

spec("delete --force before start, below a parent that does not reap: deleted", UNREAPED, async (sandbox) => {
  const container = sandbox.shell("true");
  const parent = startLazyParent(sandbox);
  expect(await parent.runtime("create", "--bundle", container.bundle, container.id)).toBe(0);
  expect(await parent.runtime("delete", "--force", container.id)).toBe(0);
  await parent.stop();
});
