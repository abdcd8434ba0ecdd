import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import type { Container } from "../harness/container.ts";
import { expectRefusal } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const PIDS_ALONE = "ps prints pids alone, and takes no options for ps";

const CLAUSE = "practice of runc and crun";

/** A started container with three processes. */
async function three(sandbox: Sandbox): Promise<Container> {
  const container = sandbox.shell("sleep 1000 & sleep 1000 & echo ready; wait");
  await container.started();
  await expect.poll(() => container.printed()).toBe("ready");
  return container;
}

/** Pids of the host, as the kernel lists them. */
function pidsOf({ id }: Container): number[] {
  return readFileSync(`/sys/fs/cgroup/${id}/cgroup.procs`, "utf8").trim().split("\n").map(Number);
}

async function listed(sandbox: Sandbox, { id }: Container): Promise<unknown> {
  const { code, stdout } = await sandbox.invoke(["ps", "--format", "json", id]);
  expect(code).toBe(0);
  return JSON.parse(stdout);
}

spec("ps --format json, running: a list of the host's pids", `${CLAUSE}; engines`, async (sandbox) => {
  const container = await three(sandbox);
  const pids = pidsOf(container);
  expect(pids).toHaveLength(3);
  expect(pids).toContain((await container.state()).pid);
  expect(await listed(sandbox, container)).toEqual(pids);
});

spec(
  "ps --format json, processes in sub-cgroups: among them",
  CLAUSE,
  async (sandbox) => {
    const container = await three(sandbox);
    const pids = pidsOf(container);
    mkdirSync(`/sys/fs/cgroup/${container.id}/a/b`, { recursive: true });
    writeFileSync(`/sys/fs/cgroup/${container.id}/a/b/cgroup.procs`, String(pids[1]));
    const found = await listed(sandbox, container);
    expect(found).toHaveLength(3);
    expect(found).toEqual(expect.arrayContaining(pids));
  },
  { crun: { reason: "ps does not look below a sub-cgroup that holds no process itself", before: "1.28" } },
);

spec("ps --format json, created: init alone", CLAUSE, async (sandbox) => {
  const container = sandbox.container();
  await container.created();
  expect(await listed(sandbox, container)).toEqual([(await container.state()).pid]);
});

spec("ps --format json, paused: as when running", CLAUSE, async (sandbox) => {
  const container = await three(sandbox);
  await sandbox.invoke(["pause", container.id]);
  expect(await listed(sandbox, container)).toEqual(pidsOf(container));
});

spec("ps, stopped: nothing, and no error", CLAUSE, async (sandbox) => {
  const container = sandbox.container();
  await container.started();
  await container.until("stopped");
  expect([null, []]).toContainEqual(await listed(sandbox, container));
  const { code, stdout } = await sandbox.invoke(["ps", container.id]);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^[^\n]*\bPID\b[^\n]*\n$/);
});

for (const flags of [[], ["--format", "table"], ["-f", "table"]]) {
  spec(`${["ps", ...flags].join(" ")}: a title, and a line for each process`, CLAUSE, async (sandbox) => {
    const container = await three(sandbox);
    const { code, stdout } = await sandbox.invoke(["ps", ...flags, container.id]);
    expect(code).toBe(0);
    const [title = "", ...lines] = stdout.trimEnd().split("\n");
    const column = title.trim().split(/\s+/).indexOf("PID");
    const pids = lines.map((line) => Number(line.trim().split(/\s+/)[column]));
    expect(pids.sort()).toEqual(pidsOf(container).sort());
  });
}

spec(
  "ps with options of ps: its columns",
  "practice of runc",
  async (sandbox) => {
    const container = await three(sandbox);
    const { code, stdout } = await sandbox.invoke(["ps", container.id, "-A", "-o", "pid,comm"]);
    expect(code).toBe(0);
    const [title, ...lines] = stdout.trimEnd().split("\n");
    expect(title?.trim()).toMatch(/^PID +COMMAND$/);
    expect(lines.map((line) => Number(line.trim().split(/\s+/)[0])).sort()).toEqual(pidsOf(container).sort());
  },
  { crun: PIDS_ALONE },
);

spec(
  "ps with -f after the id: an option of ps",
  "practice of runc",
  async (sandbox) => {
    const container = await three(sandbox);
    const { code, stdout } = await sandbox.invoke(["ps", container.id, "-ef"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^UID +PID /);
  },
  { crun: PIDS_ALONE },
);

spec(
  "ps with options that leave the PID out: error",
  "practice of runc",
  async (sandbox) => {
    const container = await three(sandbox);
    const result = await sandbox.invoke(["ps", container.id, "-A", "-o", "comm"]);
    expectRefusal(result, "couldn't find PID field in ps output");
  },
  { crun: PIDS_ALONE },
);

spec(
  "ps with options that ps refuses: its error",
  "practice of runc",
  async (sandbox) => {
    const container = await three(sandbox);
    expectRefusal(await sandbox.invoke(["ps", container.id, "--no-such-option"]), "exit status 1");
  },
  { crun: PIDS_ALONE },
);

spec("ps --format xml: error", CLAUSE, async (sandbox) => {
  const container = await three(sandbox);
  expectRefusal(await sandbox.invoke(["ps", "--format", "xml", container.id]), "invalid format");
});

spec(
  "ps, unknown id: error in the words that engines match",
  "engines: does not exist",
  async (sandbox) => {
    expectRefusal(await sandbox.invoke(["ps", `${sandbox.tag}none`]), "does not exist");
  },
  { crun: { reason: "has words of its own for the same errors", before: "1.28" } },
);

if (IS_RUNTS) {
  for (const [situation, entry] of [
    ["the working directory", "."],
    ["a relative directory", "bin"],
  ] as const) {
    spec(
      `ps, PATH begins with ${situation}: a program of that name in there is not run`,
      "promise: the working directory may be a bundle of anybody's",
      async (sandbox) => {
        const container = await three(sandbox);
        const cwd = sandbox.path("untrusted");
        for (const folder of [cwd, `${cwd}/bin`]) {
          mkdirSync(folder, { recursive: true });
          writeFileSync(`${folder}/ps`, `#!/bin/sh\n: > ${cwd}/executed\n`, { mode: 0o755 });
        }
        const env = { PATH: `${entry}:/usr/bin:/bin` };
        const { code, stdout, stderr } = await sandbox.invoke(["ps", container.id], { cwd, env });
        expect(existsSync(`${cwd}/executed`)).toBe(false);
        expect([code, stderr]).toEqual([0, ""]);
        expect(stdout.trim().split("\n")).toHaveLength(4);
      },
    );
  }
}
