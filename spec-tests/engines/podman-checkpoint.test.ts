import { join } from "node:path";
import { expect } from "vitest";
import { IMAGE, type Podman, podmanTests } from "../harness/engines/podman.ts";
import { criuProblem } from "../harness/helpers/checkpoint.ts";

const everyday = podmanTests();
const TICK = "i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.05; done";

/** The numbers that the container has printed, in order. */
async function ticks(engine: Podman, name: string): Promise<number[]> {
  const { stdout } = await engine.call("logs", name);
  return [...stdout.matchAll(/^tick (\d+)\r?\n/gm)].map(([, tick]) => Number(tick));
}

async function tickAbove(engine: Podman, name: string, number: number): Promise<number> {
  const last = async () => (await ticks(engine, name)).at(-1) ?? 0;
  await expect.poll(last).toBeGreaterThan(number);
  return last();
}

async function status(engine: Podman, name: string): Promise<string> {
  return (await engine.call("inspect", "--format", "{{.State.Status}}", name)).stdout.trim();
}

for (const [what, ...options] of [["a pipe"], ["a terminal", "--tty"]] as const) {
  everyday(
    `container checkpoint, restore, ${what}: the program continues where it was`,
    async (engine, context) => {
      const problem = criuProblem();
      if (problem !== undefined) context.skip(problem);
      await engine.call("run", "--detach", ...options, "--name", "saved", IMAGE, "sh", "-c", TICK);
      await tickAbove(engine, "saved", 3);
      expect(await engine.call("container", "checkpoint", "saved")).toMatchObject({ code: 0, stderr: "" });
      expect(await status(engine, "saved")).toBe("exited");
      const reached = (await ticks(engine, "saved")).at(-1) ?? 0;
      expect(await engine.call("container", "restore", "saved")).toMatchObject({ code: 0, stderr: "" });
      expect(await status(engine, "saved")).toBe("running");
      await tickAbove(engine, "saved", reached);
      const all = await ticks(engine, "saved");
      expect(all).toEqual(all.map((_, index) => index + 1));
      expect((await engine.call("exec", "saved", "echo", "words")).stdout).toBe("words\n");
      expect((await engine.call("stop", "--time", "0", "saved")).code).toBe(0);
      expect(await status(engine, "saved")).toBe("exited");
      expect((await engine.call("rm", "saved")).code).toBe(0);
    },
  );
}

everyday(
  "container checkpoint --leave-running --export, restore --import: a second container continues from there",
  async (engine, context) => {
    const problem = criuProblem();
    if (problem !== undefined) context.skip(problem);
    const file = join(engine.directory, "exported.tar.gz");
    await engine.call("run", "--detach", "--name", "first", IMAGE, "sh", "-c", TICK);
    const reached = await tickAbove(engine, "first", 3);
    const exported = await engine.call(
      "container",
      "checkpoint",
      "--leave-running",
      "--export",
      file,
      "first",
    );
    expect(exported).toMatchObject({ code: 0, stderr: "" });
    expect(await status(engine, "first")).toBe("running");
    await tickAbove(engine, "first", reached);
    expect((await engine.call("rm", "--force", "--time", "0", "first")).code).toBe(0);
    const imported = await engine.call("container", "restore", "--import", file, "--name", "second");
    expect(imported).toMatchObject({ code: 0, stderr: "" });
    await tickAbove(engine, "second", reached);
    expect((await engine.call("rm", "--force", "--time", "0", "second")).code).toBe(0);
  },
);

everyday("container checkpoint, container not running: refused", async (engine, context) => {
  const problem = criuProblem();
  if (problem !== undefined) context.skip(problem);
  await engine.call("create", "--name", "idle", IMAGE, "true");
  expect((await engine.call("container", "checkpoint", "idle")).code).toBe(125);
  expect((await engine.call("rm", "idle")).code).toBe(0);
});
