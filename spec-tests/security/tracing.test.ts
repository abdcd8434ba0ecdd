import { expect } from "vitest";
import { type Config, setNamespace } from "../harness/config.ts";
import type { Container } from "../harness/container.ts";
import { addProgram } from "../harness/helpers/c-program.ts";
import { giveRootfsTo } from "../harness/rootfs.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { skipWithout, spec } from "../harness/spec.ts";

const BASE = 100_000;

/** A window of some microseconds is found within these rounds. */
const ROUNDS = 30;

/**
 * Seizes each new process in its pid namespace, and prints the name of the process. The kernel gives pids in order, so it tries the next
 * few pids again and again, which takes a microsecond.
 */
const TRACER = `
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void) {
  int last = open("/proc/sys/kernel/ns_last_pid", O_RDONLY);
  puts("tracing");
  fflush(stdout);
  for (;;) {
    char text[16] = {0};
    pread(last, text, sizeof text - 1, 0);
    int next = atoi(text) + 1;
    for (int round = 0; round < 200; round++) {
      for (int pid = next; pid < next + 3; pid++) {
        if (ptrace(PTRACE_SEIZE, pid, 0, 0) != 0) continue;
        char path[32], name[32] = {0};
        snprintf(path, sizeof path, "/proc/%d/comm", pid);
        read(open(path, O_RDONLY), name, sizeof name - 1);
        printf("seized %s", name);
        fflush(stdout);
        // Only a stopped tracee can be detached, and one that has ended goes to its parent once its tracer has waited for it.
        ptrace(PTRACE_INTERRUPT, pid, 0, 0);
        waitpid(pid, 0, __WALL);
        ptrace(PTRACE_DETACH, pid, 0, 0);
      }
    }
  }
}`;

function mapped({ linux }: Config): void {
  linux.namespaces.push({ type: "user" });
  linux.uidMappings = [{ containerID: 0, hostID: BASE, size: 65_536 }];
  linux.gidMappings = [{ containerID: 0, hostID: BASE, size: 65_536 }];
}

async function tracer(sandbox: Sandbox): Promise<Container> {
  const container = sandbox.container((config) => {
    mapped(config);
    const capabilities = ["CAP_SYS_PTRACE"];
    config.process.capabilities = {
      bounding: capabilities,
      effective: capabilities,
      permitted: capabilities,
    };
    config.process.args = ["/tracer"];
  });
  addProgram(sandbox, container, "tracer", TRACER);
  giveRootfsTo(container.rootfs, { uid: BASE, gid: BASE });
  await container.started();
  await expect.poll(() => container.printed()).toBe("tracing");
  return container;
}

spec(
  "create in the user and pid namespace of a container with CAP_SYS_PTRACE: it can't trace the set-up",
  "CVE-2016-9962, for a joined namespace: the set-up has the host's root directory, and is root",
  async (sandbox, context) => {
    skipWithout(context, "gcc");
    const watching = await tracer(sandbox);
    const { pid } = await watching.state();
    const container = sandbox.container((config) => {
      setNamespace(config, "user", { type: "user", path: `/proc/${pid}/ns/user` });
      setNamespace(config, "pid", { type: "pid", path: `/proc/${pid}/ns/pid` });
    });
    giveRootfsTo(container.rootfs, { uid: BASE, gid: BASE });
    for (let round = 0; round < ROUNDS; round += 1) {
      await container.created();
      expect((await container.delete("--force")).code).toBe(0);
    }
    expect(watching.printed()).toBe("tracing");
  },
  {
    crun: {
      reason: "its process can be traced as soon as it is cloned into a joined pid namespace",
      sometimes: true,
    },
  },
);

spec(
  "exec into a container with a user namespace and CAP_SYS_PTRACE: it can't trace the set-up",
  "CVE-2016-9962",
  async (sandbox, context) => {
    skipWithout(context, "gcc");
    const watching = await tracer(sandbox);
    for (let round = 0; round < ROUNDS; round += 1) await watching.exec(["true"]);
    const lines = watching.printed().split("\n");
    // The program itself is in the container's user namespace, and may be traced.
    expect(lines.filter((line) => line !== "seized true")).toEqual(["tracing"]);
  },
);
