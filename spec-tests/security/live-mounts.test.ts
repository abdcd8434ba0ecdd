import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { Mount } from "../harness/config.ts";
import { type Container, succeed } from "../harness/container.ts";
import { running } from "../harness/exec.ts";
import { addProgram } from "../harness/helpers/c-program.ts";
import { expectRefusal } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { skipWithout, spec } from "../harness/spec.ts";

/**
 * A process of the container waits for a mount, and tries at once what the mount's options forbid. A descriptor that it opened before
 * they are in force would keep working.
 */

/** A window of some microseconds is hit within a few rounds. */
const ROUNDS = 30;

/** Tries again and again to open a file for writing, and a device; prints each success. Two processes make better use of two processors. */
const ATTACKER = `
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
int main(void) {
  puts("waiting");
  fflush(stdout);
  fork();
  for (;;) {
    int file = open("/mnt/new/file", O_WRONLY);
    if (file >= 0) { puts("writable"); fflush(stdout); close(file); }
    int made = open("/mnt/new/made", O_CREAT | O_RDWR, 0600);
    if (made >= 0) { puts("made"); fflush(stdout); close(made); }
    int device = open("/mnt/new/device", O_RDONLY);
    if (device >= 0) { puts("device"); fflush(stdout); close(device); }
  }
}`;

/** A container with the attacker. Its root file system is read-only, so that the attacker can only write to a mount. */
async function attacked(sandbox: Sandbox): Promise<Container> {
  const container = sandbox.container((config) => {
    config.root.readonly = true;
    config.process.args = ["/attacker"];
  });
  addProgram(sandbox, container, "attacker", ATTACKER);
  mkdirSync(join(container.rootfs, "mnt/new"), { recursive: true });
  await container.started();
  await expect.poll(() => container.printed()).toBe("waiting");
  return container;
}

async function addAndRemove(sandbox: Sandbox, { id }: Container, mount: Mount): Promise<void> {
  const list = sandbox.path("mounts.json");
  writeFileSync(list, JSON.stringify([mount]));
  for (let round = 0; round < ROUNDS; round += 1) {
    succeed("mounts add", await sandbox.invoke(["mounts", "add", id, list]));
    succeed("mounts remove", await sandbox.invoke(["mounts", "remove", id, list]));
  }
  rmSync(list);
}

if (IS_RUNTS) {
  const PROMISE = "promise: a mount is in its final state before the container can see it";

  spec(
    "mounts add, a read-only bind mount with nodev: a process that waits for it can neither write nor open a device",
    PROMISE,
    async (sandbox, context) => {
      skipWithout(context, "gcc");
      const source = sandbox.path("source");
      mkdirSync(source);
      writeFileSync(join(source, "file"), "");
      succeed("mknod", await sandbox.run(["mknod", join(source, "device"), "c", "1", "3"]));
      const container = await attacked(sandbox);
      const options = ["rbind", "ro", "nodev", "nosuid", "noexec"];
      await addAndRemove(sandbox, container, { destination: "/mnt/new", source, options });
      expect(container.printed()).toBe("waiting");
    },
  );

  spec(
    "mounts add, a read-only tmpfs, with tmpcopyup and without: a process that waits for it can't write",
    PROMISE,
    async (sandbox, context) => {
      skipWithout(context, "gcc");
      const container = await attacked(sandbox);
      for (const options of [["ro"], ["ro", "tmpcopyup"]])
        await addAndRemove(sandbox, container, {
          destination: "/mnt/new",
          type: "tmpfs",
          source: "tmpfs",
          options,
        });
      expect(container.printed()).toBe("waiting");
    },
  );

  spec(
    "delete --force while the container holds up mounts add by freezing its cgroup: the container is deleted, mounts add fails",
    "promise: a container can't hold up delete",
    async (sandbox, context) => {
      skipWithout(context, "strace");
      const container = await running(sandbox);
      const list = sandbox.path("mounts.json");
      writeFileSync(list, JSON.stringify([{ destination: "/tmp", type: "tmpfs", source: "tmpfs" }]));
      const delay = "inject=move_mount:delay_enter=2000000";
      const added = sandbox.invoke(["mounts", "add", container.id, list], {
        wrapper: ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=move_mount", "-e", delay],
      });
      const cgroup = join("/sys/fs/cgroup", container.config.linux.cgroupsPath ?? "");
      const processes = () => readFileSync(join(cgroup, "cgroup.procs"), "utf8").trim().split("\n").length;
      await expect.poll(processes).toBe(2);
      writeFileSync(join(cgroup, "cgroup.freeze"), "1");
      const deleted = await container.delete("--force");
      expect([deleted.code, deleted.stderr]).toEqual([0, ""]);
      const { code, stderr } = await added;
      // strace may print a message of its own about the killed process.
      expect([code, stderr]).toEqual([
        1,
        expect.stringMatching(/^runts: the process that was being set up ended .*$/m),
      ]);
    },
  );

  spec(
    "mounts remove, a symlink of the container to a masked path: refused by name, and the path stays masked",
    "promise: a mask can't be removed through another name",
    async (sandbox) => {
      const container = sandbox.shell("exec sleep 1000", (config) => {
        config.linux.maskedPaths = ["/var/hidden"];
      });
      mkdirSync(join(container.rootfs, "var/hidden"), { recursive: true });
      writeFileSync(join(container.rootfs, "var/hidden/secret"), "");
      mkdirSync(join(container.rootfs, "mnt"), { recursive: true });
      symlinkSync("/var/hidden", join(container.rootfs, "mnt/link"));
      await container.started();
      expect(await container.exec(["ls", "/var/hidden"])).toMatchObject({ code: 0, stdout: "" });
      const list = sandbox.path("mounts.json");
      writeFileSync(list, JSON.stringify([{ destination: "/mnt/link", type: "tmpfs" }]));
      expectRefusal(
        await sandbox.invoke(["mounts", "remove", container.id, list]),
        /\/0\/destination: \/mnt\/link leads to what is mounted on \/var\/hidden/,
      );
      expect(await container.exec(["ls", "/var/hidden"])).toMatchObject({ code: 0, stdout: "" });
    },
  );
}
