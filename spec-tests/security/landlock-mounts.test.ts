import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { NO_PEER, ONE_DIRECTORY, runningProbe, withProbe, withRules } from "../harness/helpers/landlock.ts";
import { spec } from "../harness/spec.ts";

/** Mounts in a container that has rules. */

const CLAUSE = "promise: docs/landlock.md";

spec(
  "mounts add to a container with Landlock rules: the mount is made, and falls under the rules of the directories above it",
  CLAUSE,
  async (sandbox) => {
    const container = await runningProbe(sandbox);
    const list = sandbox.path("mounts.json");
    const tmpfs = (destination: string) => ({ destination, type: "tmpfs", source: "tmpfs" });
    writeFileSync(list, JSON.stringify([tmpfs("/allowed/dir"), tmpfs("/denied/dir")]));
    expect(await sandbox.invoke(["mounts", "add", container.id, list])).toMatchObject({ code: 0 });
    const write = "for place in allowed denied; do echo > /$place/dir/file && echo $place; done";
    const { stdout, stderr } = await container.exec(["sh", "-c", write]);
    expect(stdout).toBe("allowed\n");
    expect(stderr).toContain("/denied/dir/file: Permission denied");
  },
  NO_PEER,
);

spec(
  "mounts add at the path of a Landlock rule: the rule is for the directory below, and for the mount in the next exec",
  CLAUSE,
  async (sandbox) => {
    const container = withProbe(sandbox, (config) => {
      withRules(ONE_DIRECTORY)(config);
      const script =
        "until [ -e /allowed/go ]; do sleep 0.1; done; /probe write_file /allowed > /dev/shm/seen; sleep 1000";
      config.process.args = ["sh", "-c", script];
    });
    await container.started();
    const source = sandbox.path("source");
    mkdirSync(source);
    writeFileSync(join(source, "file"), "text");
    const list = sandbox.path("mounts.json");
    writeFileSync(list, JSON.stringify([{ destination: "/allowed", source, options: ["bind"] }]));
    expect(await sandbox.invoke(["mounts", "add", container.id, list])).toMatchObject({ code: 0 });
    expect((await container.exec(["/probe", "write_file", "/allowed"])).stdout).toBe(
      "write_file /allowed: ok\n",
    );
    writeFileSync(join(source, "go"), "");
    await expect
      .poll(async () => (await container.exec(["cat", "/dev/shm/seen"])).stdout)
      .toBe("write_file /allowed: EACCES\n");
  },
  NO_PEER,
);

spec(
  "run with CAP_SYS_ADMIN and Landlock rules for files: the container can't mount",
  CLAUSE,
  async (sandbox) => {
    const script = "mount -t tmpfs tmpfs /mnt || umount /dev/shm || echo neither";
    const container = sandbox.shell(script, (config) => {
      withRules({ handledAccess: { handledAccessFS: ["make_dir"] } })(config);
      const sets = ["CAP_SYS_ADMIN"];
      config.process.capabilities = { bounding: sets, permitted: sets, effective: sets };
    });
    expect(await container.output()).toBe("neither\n");
  },
  NO_PEER,
);
