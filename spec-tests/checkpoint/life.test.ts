import { execFileSync } from "node:child_process";
import {
  existsSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { expect } from "vitest";
import {
  checkpoint,
  count,
  countAbove,
  counting,
  criuSpec,
  imagesIn,
  NO_STREAMS,
  restore,
  saveAndRestore,
  startedShell,
  succeeded,
} from "../harness/helpers/checkpoint.ts";
import { parseObject } from "../harness/json.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";

const CLAUSE = "practice of runc";

criuSpec(
  "checkpoint, restore: the program continues where it was, in a new process",
  CLAUSE,
  async (sandbox) => {
    const container = await counting(sandbox);
    const before = await container.state();
    await countAbove(container, 5);
    const images = imagesIn(sandbox);
    succeeded(await checkpoint(sandbox, container, images), images, "dump.log");
    // On the host, nothing of the container is left.
    expect((await container.stateCommand()).stderr).toContain("does not exist");
    expect(sandbox.processes()).toEqual([]);
    expect(existsSync(`/sys/fs/cgroup/${container.id}`)).toBe(false);
    const saved = count(container);
    succeeded(await restore(sandbox, container, images), images, "restore.log");
    const after = await container.state();
    expect(after).toMatchObject({ id: container.id, status: "running", bundle: container.bundle });
    expect(after.pid).not.toBe(before.pid);
    await countAbove(container, saved);
    expect(readFileSync(`/proc/${after.pid}/cgroup`, "utf8")).toContain(`0::/${container.id}\n`);
  },
);

criuSpec("restore: exec, pause, resume, events, kill and delete work afterwards", CLAUSE, async (sandbox) => {
  const container = await counting(sandbox);
  await countAbove(container, 1);
  await saveAndRestore(sandbox, container);
  const executed = await container.exec(["sh", "-c", "hostname; readlink /proc/self/ns/pid"]);
  const { pid } = await container.state();
  expect(executed).toMatchObject({ code: 0, stdout: `box\n${readlinkSync(`/proc/${pid}/ns/pid`)}\n` });
  expect((await sandbox.invoke(["pause", container.id])).code).toBe(0);
  expect((await container.state()).status).toBe("paused");
  expect((await sandbox.invoke(["resume", container.id])).code).toBe(0);
  const { stdout } = await sandbox.invoke(["events", "--stats", container.id]);
  expect(parseObject(stdout)).toMatchObject({ type: "stats", id: container.id });
  expect((await container.kill("KILL")).code).toBe(0);
  await container.until("stopped");
  expect((await container.delete()).code).toBe(0);
  expect(await sandbox.traces()).toEqual([]);
});

criuSpec(
  "restore: works twice from the same images, and the restored container can be saved again",
  CLAUSE,
  async (sandbox) => {
    const container = await counting(sandbox);
    await countAbove(container, 5);
    const first = await saveAndRestore(sandbox, container);
    const second = imagesIn(sandbox, "second");
    const reached = await countAbove(container, count(container) + 5);
    succeeded(await checkpoint(sandbox, container, second), second, "dump.log");
    succeeded(await restore(sandbox, container, second), second, "restore.log");
    await countAbove(container, reached);
    expect((await container.delete("--force")).code).toBe(0);
    succeeded(await restore(sandbox, container, first), first, "restore.log");
    await countAbove(container, 5);
  },
);

criuSpec(
  "checkpoint --leave-running: the container runs on, and can be restored after its end",
  CLAUSE,
  async (sandbox) => {
    const container = await counting(sandbox);
    const before = await container.state();
    await countAbove(container, 1);
    const images = imagesIn(sandbox);
    succeeded(await checkpoint(sandbox, container, images, "--leave-running"), images, "dump.log");
    expect(await container.state()).toEqual(before);
    await countAbove(container, count(container));
    expectRefusal(
      await restore(sandbox, container, images, [], {}),
      "container with given ID already exists",
    );
    expect(await container.state()).toEqual(before);
    expect((await container.delete("--force")).code).toBe(0);
    succeeded(await restore(sandbox, container, images), images, "restore.log");
  },
);

criuSpec(
  "restore, another id and cgroup: the container runs in the cgroup of its config",
  CLAUSE,
  async (sandbox) => {
    const container = await counting(sandbox);
    await countAbove(container, 5);
    const images = imagesIn(sandbox);
    succeeded(await checkpoint(sandbox, container, images), images, "dump.log");
    const other = `${container.id}-other`;
    container.config.linux.cgroupsPath = `/${other}`;
    container.writeConfig();
    const flags = ["restore", "--bundle", container.bundle, "--detach", ...images.flags, other];
    sandbox.atEnd(async () => void (await sandbox.invoke(["delete", "--force", other])));
    succeeded(await sandbox.invoke(flags, { ...NO_STREAMS }), images, "restore.log");
    const state = parseObject((await sandbox.invoke(["state", other])).stdout);
    expect(state.status).toBe("running");
    expect(readFileSync(`/proc/${String(state.pid)}/cgroup`, "utf8")).toContain(`0::/${other}\n`);
    expect((await sandbox.invoke(["delete", "--force", other])).code).toBe(0);
  },
);

criuSpec("checkpoint of a paused container: saved, and running after restore", CLAUSE, async (sandbox) => {
  const container = await counting(sandbox);
  await countAbove(container, 5);
  expect((await sandbox.invoke(["pause", container.id])).code).toBe(0);
  await saveAndRestore(sandbox, container);
  expect((await container.state()).status).toBe("running");
  await countAbove(container, count(container));
});

criuSpec(
  "restore in the foreground: exits with the program's code, and deletes the container",
  CLAUSE,
  async (sandbox) => {
    const script = "trap 'exit 17' TERM; echo x >/tmp/trapped; while :; do sleep 0.02; done";
    const container = await startedShell(sandbox, script);
    await expect.poll(() => existsSync(`${container.rootfs}/tmp/trapped`)).toBe(true);
    const images = imagesIn(sandbox);
    succeeded(await checkpoint(sandbox, container, images), images, "dump.log");
    const result = await sandbox.invoke(
      ["restore", "--bundle", container.bundle, ...images.flags, container.id],
      {
        ...NO_STREAMS,
        whileRunning: async (pid) => {
          const state = async () => (await container.stateCommand()).stdout;
          await expect.poll(state).toContain('"status": "running"');
          process.kill(pid, "SIGTERM");
        },
      },
    );
    expect(result.code).toBe(17);
    expect(await sandbox.traces()).toEqual([]);
  },
);

criuSpec("restore --pid-file: holds the pid of init", CLAUSE, async (sandbox) => {
  const container = await counting(sandbox);
  const images = imagesIn(sandbox);
  succeeded(await checkpoint(sandbox, container, images), images, "dump.log");
  const file = sandbox.path("restored.pid");
  succeeded(await restore(sandbox, container, images, ["--pid-file", file]), images, "restore.log");
  expect(readFileSync(file, "utf8")).toBe(String((await container.state()).pid));
});

criuSpec(
  "checkpoint, restore without --work-path: the logs are beside the images",
  CLAUSE,
  async (sandbox) => {
    const container = await counting(sandbox);
    const images = sandbox.path("images");
    const saved = await sandbox.invoke(["checkpoint", "--image-path", images, container.id]);
    expect(saved).toMatchObject({ code: 0, stdout: "", stderr: "" });
    for (const file of ["dump.log", "descriptors.json", "inventory.img"])
      expect(existsSync(`${images}/${file}`)).toBe(true);
    expect(statSync(images).mode & 0o777).toBe(0o700);
    expect(JSON.parse(readFileSync(`${images}/descriptors.json`, "utf8"))).toHaveLength(3);
    const flags = ["restore", "--bundle", container.bundle, "--detach", "--image-path", images, container.id];
    expect((await sandbox.invoke(flags, { ...NO_STREAMS })).code).toBe(0);
    expect(existsSync(`${images}/restore.log`)).toBe(true);
  },
);

criuSpec(
  "checkpoint of a container that was not started, or has stopped: refused",
  CLAUSE,
  async (sandbox) => {
    const images = imagesIn(sandbox);
    const created = sandbox.container();
    await created.created();
    expectRefusal(await checkpoint(sandbox, created, images), /cannot be checkpointed in created state/i);
    expect((await created.state()).status).toBe("created");
    const stopped = sandbox.container();
    await stopped.started();
    await stopped.until("stopped");
    expectRefusal(await checkpoint(sandbox, stopped, images), /cannot be checkpointed in stopped state/i);
  },
);

criuSpec("checkpoint, unknown id: container does not exist", CLAUSE, async (sandbox) => {
  expectRefusal(
    await checkpoint(sandbox, sandbox.container(), imagesIn(sandbox)),
    "container does not exist",
  );
});

for (const [what, words, damage] of [
  ["pstree.img is cut off", "criu failed: ", (images: string) => truncateSync(`${images}/pstree.img`, 6)],
  ["the memory is missing", "criu failed: ", (images: string) => rmSync(`${images}/pages-1.img`)],
  [
    "descriptors.json is not JSON",
    "descriptors.json is damaged",
    (images: string) => writeFileSync(`${images}/descriptors.json`, "["),
  ],
  [
    "descriptors.json is a fifo",
    "descriptors.json: not a regular file",
    (images: string) => {
      rmSync(`${images}/descriptors.json`);
      execFileSync("mkfifo", [`${images}/descriptors.json`]);
    },
  ],
  [
    "the image path is empty",
    "descriptors.json: no such file or directory",
    (images: string) => rmSync(images, { recursive: true }),
  ],
] as const) {
  criuSpec(`restore, ${what}: error, and nothing left behind`, "runtime.md, Errors", async (sandbox) => {
    const container = await counting(sandbox);
    const images = imagesIn(sandbox);
    succeeded(await checkpoint(sandbox, container, images), images, "dump.log");
    damage(images.images);
    expectRefusal(await restore(sandbox, container, images, [], {}), inOurWords(words));
    expect((await container.stateCommand()).stderr).toContain("does not exist");
    expect(await sandbox.traces()).toEqual([]);
  });
}
