import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { type Config, writableCgroup } from "../harness/config.ts";
import { type Container, succeed } from "../harness/container.ts";
import { running } from "../harness/exec.ts";
import { addProgram } from "../harness/helpers/c-program.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { skipWithout, spec } from "../harness/spec.ts";

/** A process of the container waits for a device, or changes the directories on the way to it. */

/** A window of some microseconds is hit within a few rounds. */
const ROUNDS = 30;

/** Tries again and again to open the node, which its group may. Prints each success. Two processes make better use of two processors. */
const OPENER = `
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
int main(void) {
  puts("waiting");
  fflush(stdout);
  fork();
  for (;;) {
    int device = open("/dev/added", O_WRONLY);
    if (device >= 0) { puts("opened"); fflush(stdout); close(device); }
  }
}`;

/** Exchanges a directory of /dev and a link to a volume, again and again. */
const EXCHANGER = `
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
int main(void) {
  mkdir("/dev/sub", 0755);
  symlink("/volume", "/dev/link");
  puts("waiting");
  fflush(stdout);
  for (;;) renameat2(AT_FDCWD, "/dev/sub", AT_FDCWD, "/dev/link", RENAME_EXCHANGE);
}`;

async function attacked(
  sandbox: Sandbox,
  source: string,
  mutate: (config: Config) => void = () => undefined,
): Promise<Container> {
  const container = sandbox.container((config) => {
    config.process.args = ["/attacker"];
    mutate(config);
  });
  addProgram(sandbox, container, "attacker", source);
  mkdirSync(join(container.rootfs, "volume"));
  await container.started();
  await expect.poll(() => container.printed()).toBe("waiting");
  return container;
}

/** The kernel's log, which any user with the right to write to the node may open. */
function hostNode(sandbox: Sandbox): string {
  const path = sandbox.path("node");
  execFileSync("mknod", ["-m", "620", path, "c", "1", "11"]);
  execFileSync("chown", ["7:8", path]);
  return path;
}

if (IS_RUNTS) {
  spec(
    "devices add, a node of another group: a process of root's group that waits for it can't open it",
    "promise: a node has no permissions until it has its owner",
    async (sandbox, context) => {
      skipWithout(context, "gcc");
      const node = hostNode(sandbox);
      const container = await attacked(sandbox, OPENER, (config) => {
        config.process.user = { uid: 1000, gid: 0 };
        delete config.process.capabilities;
      });
      for (let round = 0; round < ROUNDS; round += 1) {
        succeed("add", await sandbox.invoke(["devices", "add", container.id, `${node}:/dev/added`]));
        succeed("remove", await sandbox.invoke(["devices", "remove", container.id, "/dev/added"]));
      }
      expect(container.printed()).toBe("waiting");
      execFileSync("chmod", ["622", node]);
      succeed("add", await sandbox.invoke(["devices", "add", container.id, `${node}:/dev/added`]));
      await expect.poll(() => container.printed()).toMatch(/opened/);
    },
  );

  spec(
    "devices add, a directory of the path exchanged for a link to a volume meanwhile: no node in the volume",
    "promise: no node is made in a volume of the host where a link leads to",
    async (sandbox, context) => {
      skipWithout(context, "gcc");
      const node = hostNode(sandbox);
      const volume = sandbox.path("volume");
      mkdirSync(volume);
      const container = await attacked(sandbox, EXCHANGER, (config) => {
        config.mounts.push({ destination: "/volume", source: volume, options: ["bind"] });
      });
      const codes = new Set<number>();
      for (let round = 0; round < ROUNDS; round += 1) {
        const { code, stderr } = await sandbox.invoke([
          "devices",
          "add",
          container.id,
          `${node}:/dev/sub/added`,
        ]);
        codes.add(code);
        if (code !== 0)
          expect(stderr).toMatch(
            /^runts: [^\n]*(symbolic link|exists|not a directory|no such file)[^\n]*\n$/,
          );
        expect(readdirSync(volume)).toEqual([]);
        if (code === 0) await sandbox.invoke(["devices", "remove", container.id, "/dev/sub/added"]);
      }
      expect([...codes].sort()).toEqual([0, 1]);
    },
  );

  spec(
    "delete --force while the container holds up devices add by freezing its cgroup: the container is deleted, devices add fails",
    "promise: a container can't hold up delete",
    async (sandbox, context) => {
      skipWithout(context, "strace");
      const container = await running(sandbox, writableCgroup);
      const node = hostNode(sandbox);
      const delay = "inject=mknodat:delay_enter=2000000";
      const added = sandbox.invoke(["devices", "add", container.id, `${node}:/dev/added`], {
        wrapper: ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=mknodat", "-e", delay],
      });
      const cgroup = join("/sys/fs/cgroup", container.config.linux.cgroupsPath ?? "");
      const processes = () => readFileSync(join(cgroup, "cgroup.procs"), "utf8").trim().split("\n").length;
      await expect.poll(processes).toBe(2);
      writeFileSync(join(cgroup, "cgroup.freeze"), "1");
      const deleted = await container.delete("--force");
      expect([deleted.code, deleted.stderr]).toEqual([0, ""]);
      const { code, stderr } = await added;
      // On a busy machine devices add looks at the cgroup again after it was frozen. strace may print a message of its own about the killed process.
      expect([code, stderr]).toEqual([
        1,
        expect.stringMatching(
          /^runts: (?:the process that was being set up ended|container|cannot change a paused container).*$/m,
        ),
      ]);
    },
  );
}
