import { readdirSync, readlinkSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import { type Container, succeed } from "../harness/container.ts";
import { running } from "../harness/exec.ts";
import { countAbove, counting, criuSpec, imagesIn } from "../harness/helpers/checkpoint.ts";
import { startWatch } from "../harness/helpers/watcher.ts";
import { type InvokeOptions, IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { skipWithout, spec } from "../harness/spec.ts";

/** Commands without any process in sight of a container; and a test that the watcher finds descriptors of the host. */

const CLAUSE = "CVE-2016-9962, CVE-2024-21626";

/** Commands that need nothing in the container, in an order in which each is possible. */
const OTHERS: readonly (readonly string[])[] = [
  ["state"],
  ["ps"],
  ["events", "--stats"],
  ["report"],
  ["pause"],
  ["resume"],
  ["update", "--resources", "-"],
  ["mounts", "add"],
  ["mounts", "list"],
  ["mounts", "remove"],
  ["devices", "add"],
  ["devices", "list"],
  ["devices", "remove"],
  ["kill"],
  ["delete", "--force"],
];

/** `file` lists mounts. */
function command(words: readonly string[], { id }: Container, file: string): readonly string[] {
  const isChange = words[1] === "add" || words[1] === "remove";
  const changed = words[0] === "devices" ? "/dev/full:/dev/sub/added" : file;
  return [...words, id, ...(isChange ? [changed] : []), ...(words[0] === "kill" ? ["KILL"] : [])];
}

/** Files that are open in the caller of the host's `nsenter`, which takes them into the container, with its root and cwd. */
const OPEN = "5</etc 6</proc/self/attr/exec 7</proc/self/ns/pid 8</sys/fs/cgroup 9</etc/passwd 10<>/dev/null";
const EXPECTED = [
  ["root", "'..' leads to the root of the host"],
  ["cwd", "'..' leads to the root of the host"],
  ["fd/5", "'..' leads to the root of the host"],
  ["fd/6", "a procfs that is not the container's"],
  ["fd/7", "a namespace of the host"],
  ["fd/8", "'..' leads to the root of the host"],
  ["fd/9", "a file of the host"],
  ["fd/10", "a file of the host"],
] as const;

spec(
  "nsenter into a container, with descriptors of the host: the watcher of these tests finds each",
  "a test that can't fail proves nothing",
  async (sandbox, context) => {
    skipWithout(context, "gcc");
    const { pid } = await (await running(sandbox)).state();
    const watch = startWatch(sandbox);
    const wrapper = ["bash", "-c", `exec ${OPEN}; exec "$@"`, "bash", ...watch.wrapper];
    const entered = ["/usr/bin/nsenter", "--target", String(pid), "--pid", "true"];
    succeed("nsenter", await sandbox.run(entered, { wrapper }));
    const { findings, inSight } = await watch.watched();
    const found = findings.map(({ what, why }) => [what, why]);
    expect(found).toEqual(expect.arrayContaining(EXPECTED.map((pair) => [...pair])));
    expect(inSight).toBe(1);
  },
);

/** The descriptors of a process, each with its file. */
function descriptorsOf(pid: number): readonly string[] {
  const folder = `/proc/${pid}/fd`;
  return readdirSync(folder).map((fd) => `${fd} ${readlinkSync(`${folder}/${fd}`)}`);
}

async function expectOutOfSight(
  sandbox: Sandbox,
  words: readonly string[],
  options: Partial<InvokeOptions>,
): Promise<void> {
  const watch = startWatch(sandbox);
  succeed(words.join(" "), await sandbox.invoke(words, { ...options, wrapper: watch.wrapper }));
  const { findings, processes, inSight } = await watch.watched();
  expect([words[0], findings, inSight]).toEqual([words[0], [], 0]);
  expect(processes).toBeGreaterThan(0);
}

if (IS_RUNTS) {
  spec(
    "state, ps, events, report, pause, resume, update, mounts, devices, kill and delete, watched at each system call: no process in sight of the container",
    CLAUSE,
    async (sandbox, context) => {
      skipWithout(context, "gcc");
      const container = await running(sandbox, (config) => {
        config.root.readonly = false;
      });
      const file = sandbox.path("mounts.json");
      writeFileSync(
        file,
        JSON.stringify([{ destination: "/mnt", source: sandbox.temporary, options: ["bind", "ro"] }]),
      );
      const stdin = sandbox.path("resources.json");
      writeFileSync(stdin, "{}");
      for (const words of OTHERS) await expectOutOfSight(sandbox, command(words, container, file), { stdin });
    },
  );

  criuSpec(
    "checkpoint and restore, watched at each system call: no process in sight of the container, and its own keep their descriptors",
    CLAUSE,
    async (sandbox, context) => {
      skipWithout(context, "gcc");
      const container = await counting(sandbox);
      await countAbove(container, 1);
      const before = descriptorsOf((await container.state()).pid);
      const images = imagesIn(sandbox);
      await expectOutOfSight(sandbox, ["checkpoint", ...images.flags, container.id], {});
      const restoring = ["restore", "--bundle", container.bundle, "--detach", ...images.flags, container.id];
      await expectOutOfSight(sandbox, restoring, { stdout: "/dev/null" });
      expect(descriptorsOf((await container.state()).pid)).toEqual(before);
    },
  );
}
