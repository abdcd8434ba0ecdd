import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { type Container, succeed } from "../harness/container.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { skipWithout, spec } from "../harness/spec.ts";

/**
 * A process whose first thread has ended runs on, but its state in /proc is that of a process that has ended. So a container could seem
 * to be stopped, and could not be killed.
 */
const CLAUSE = "pthread_exit(3), proc_pid_stat(5)";

const WITHOUT_LEADER = `
#include <pthread.h>
#include <unistd.h>
static void *work(void *unused) {
  write(1, "working\\n", 8);
  for (;;) pause();
}
int main(void) {
  pthread_t thread;
  pthread_create(&thread, 0, work, 0);
  pthread_exit(0);
}`;

function build(sandbox: Sandbox, container: Container): void {
  const source = sandbox.path("without-leader.c");
  writeFileSync(source, WITHOUT_LEADER);
  execFileSync("gcc", ["-static", "-pthread", "-o", join(container.rootfs, "without-leader"), source]);
}

spec(
  "state and kill, the first thread of init has ended: state says running, kill ends it",
  CLAUSE,
  async (sandbox, context) => {
    skipWithout(context, "gcc");
    const container = sandbox.container((config) => {
      config.process.args = ["/without-leader"];
    });
    build(sandbox, container);
    await container.started();
    await expect.poll(() => container.printed()).toBe("working");
    expect((await container.state()).status).toBe("running");
    expect((await container.delete()).code).not.toBe(0);
    succeed("kill", await container.kill("KILL"));
    await container.until("stopped");
    succeed("delete", await container.delete());
  },
  { both: "a process whose first thread has ended counts as ended" },
);

for (const command of ["kill KILL", "delete --force"] as const) {
  spec(
    `${command}, shared pid namespace, the first thread of a process has ended: the process is killed`,
    CLAUSE,
    async (sandbox, context) => {
      skipWithout(context, "gcc");
      const container = sandbox.shell("/without-leader & exec sleep 1000", (config) => {
        config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "pid");
      });
      build(sandbox, container);
      await container.started();
      await expect.poll(() => container.printed()).toBe("working");
      if (command === "kill KILL") {
        succeed("kill", await container.kill("KILL"));
        await container.until("stopped");
      } else succeed("delete", await container.delete("--force"));
      await expect.poll(() => sandbox.processes()).toEqual([]);
    },
    {
      crun: "cgroup.kill does not reach a process whose first thread has ended",
      runc: { reason: "cgroup.kill does not reach a process whose first thread has ended", sometimes: true },
    },
  );
}
