import { existsSync, mkdirSync } from "node:fs";
import { expect } from "vitest";
import { asObject } from "../harness/json.ts";
import { expectRefusal } from "../harness/refusal.ts";
import { spec } from "../harness/spec.ts";

spec(
  "list: a table with a header and a line for each container",
  "practice of runc and crun",
  async (sandbox) => {
    const [first, second] = [sandbox.container(), sandbox.shell("sleep 1000")];
    await first.created();
    await second.started();
    const { code, stdout } = await sandbox.invoke(["list"]);
    expect(code).toBe(0);
    const [head, ...lines] = stdout.trim().split("\n");
    expect(head).toMatch(/^(ID|NAME) +PID +STATUS +BUNDLE/);
    expect(lines).toHaveLength(2);
    expect(lines.find((line) => line.startsWith(first.id))).toMatch(/ created /);
    expect(lines.find((line) => line.startsWith(second.id))).toMatch(/ running /);
  },
);

spec("list --format json: an array of states", "practice of runc and crun", async (sandbox) => {
  const container = sandbox.container();
  await container.created();
  const { stdout } = await sandbox.invoke(["list", "--format", "json"]);
  const listed: unknown = JSON.parse(stdout);
  expect(listed).toHaveLength(1);
  if (!Array.isArray(listed)) throw new Error("not an array");
  expect(asObject(listed[0])).toMatchObject({
    id: container.id,
    status: "created",
    bundle: container.bundle,
  });
});

spec("list --quiet: only ids", "practice of runc and crun", async (sandbox) => {
  const container = sandbox.container();
  await container.created();
  expect((await sandbox.invoke(["list", "--quiet"])).stdout).toBe(`${container.id}\n`);
});

spec("list with no container: no line, no error", "practice of runc and crun", async (sandbox) => {
  mkdirSync(sandbox.root, { mode: 0o700 });
  expect(await sandbox.invoke(["list", "--quiet"])).toMatchObject({ code: 0, stdout: "" });
  const json = await sandbox.invoke(["list", "--format", "json"]);
  expect(json.code).toBe(0);
  expect([null, []]).toContainEqual(JSON.parse(json.stdout));
});

for (const [command, ...flags] of [["list"], ["list", "--quiet"], ["list", "--format", "json"]] as const) {
  spec(
    `${[command, ...flags].join(" ")} with a --root that does not exist: error, the folder is not made`,
    "practice of runc since 1.2",
    async (sandbox) => {
      expectRefusal(await sandbox.invoke([command, ...flags]), /no such file or directory/);
      expect(existsSync(sandbox.root)).toBe(false);
    },
    {
      crun: "makes the directory of --root for list, too",
      runc: { reason: "makes the directory of --root for list, too", before: "1.2" },
    },
  );
}
