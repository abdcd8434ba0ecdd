import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import type { Container } from "../harness/container.ts";
import { expectRefusal } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const PIDS_ALONE = "ps prints only pids, and takes no options for ps";

const CLAUSE = "practice of runc and crun";

/** A running container with three processes. */
async function withThree(sandbox: Sandbox): Promise<Container> {
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
  const container = await withThree(sandbox);
  const pids = pidsOf(container);
  expect(pids).toHaveLength(3);
  expect(pids).toContain((await container.state()).pid);
  expect(await listed(sandbox, container)).toEqual(pids);
});

spec(
  "ps --format json, processes in sub-cgroups: listed too",
  CLAUSE,
  async (sandbox) => {
    const container = await withThree(sandbox);
    const pids = pidsOf(container);
    mkdirSync(`/sys/fs/cgroup/${container.id}/a/b`, { recursive: true });
    writeFileSync(`/sys/fs/cgroup/${container.id}/a/b/cgroup.procs`, String(pids[1]));
    const found = await listed(sandbox, container);
    expect(found).toHaveLength(3);
    expect(found).toEqual(expect.arrayContaining(pids));
  },
  { crun: { reason: "ps does not look below a sub-cgroup that holds no process itself", before: "1.28" } },
);

spec("ps --format json, created: only init", CLAUSE, async (sandbox) => {
  const container = sandbox.container();
  await container.created();
  expect(await listed(sandbox, container)).toEqual([(await container.state()).pid]);
});

spec("ps --format json, paused: the same list as when running", CLAUSE, async (sandbox) => {
  const container = await withThree(sandbox);
  await sandbox.invoke(["pause", container.id]);
  expect(await listed(sandbox, container)).toEqual(pidsOf(container));
});

spec("ps, stopped: an empty list, no error", CLAUSE, async (sandbox) => {
  const container = sandbox.container();
  await container.started();
  await container.until("stopped");
  expect([null, []]).toContainEqual(await listed(sandbox, container));
  const { code, stdout } = await sandbox.invoke(["ps", container.id]);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^[^\n]*\bPID\b[^\n]*\n$/);
});

for (const flags of [[], ["--format", "table"], ["-f", "table"]]) {
  spec(`${["ps", ...flags].join(" ")}: a header, and a line for each process`, CLAUSE, async (sandbox) => {
    const container = await withThree(sandbox);
    const { code, stdout } = await sandbox.invoke(["ps", ...flags, container.id]);
    expect(code).toBe(0);
    const [title = "", ...lines] = stdout.trimEnd().split("\n");
    const column = title.trim().split(/\s+/).indexOf("PID");
    const pids = lines.map((line) => Number(line.trim().split(/\s+/)[column]));
    expect(pids.sort()).toEqual(pidsOf(container).sort());
  });
}

spec(
  "ps with options for ps(1): prints the columns that they ask for",
  "practice of runc",
  async (sandbox) => {
    const container = await withThree(sandbox);
    const { code, stdout } = await sandbox.invoke(["ps", container.id, "-A", "-o", "pid,comm"]);
    expect(code).toBe(0);
    const [title, ...lines] = stdout.trimEnd().split("\n");
    expect(title?.trim()).toMatch(/^PID +COMMAND$/);
    expect(lines.map((line) => Number(line.trim().split(/\s+/)[0])).sort()).toEqual(pidsOf(container).sort());
  },
  { crun: PIDS_ALONE },
);

spec(
  "ps with -ef after the id: an option for ps(1)",
  "practice of runc",
  async (sandbox) => {
    const container = await withThree(sandbox);
    const { code, stdout } = await sandbox.invoke(["ps", container.id, "-ef"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^UID +PID /);
  },
  { crun: PIDS_ALONE },
);

spec(
  "ps with options for ps(1) that leave the PID out: error",
  "practice of runc",
  async (sandbox) => {
    const container = await withThree(sandbox);
    const result = await sandbox.invoke(["ps", container.id, "-A", "-o", "comm"]);
    expectRefusal(result, "couldn't find PID field in ps output");
  },
  { crun: PIDS_ALONE },
);

spec(
  "ps with options that ps(1) refuses: the error of ps(1)",
  "practice of runc",
  async (sandbox) => {
    const container = await withThree(sandbox);
    expectRefusal(await sandbox.invoke(["ps", container.id, "--no-such-option"]), "exit status 1");
  },
  { crun: PIDS_ALONE },
);

spec("ps --format xml: error", CLAUSE, async (sandbox) => {
  const container = await withThree(sandbox);
  expectRefusal(await sandbox.invoke(["ps", "--format", "xml", container.id]), "invalid format");
});

spec(
  "ps, unknown id: error in the words that engines match",
  "engines: does not exist",
  async (sandbox) => {
    expectRefusal(await sandbox.invoke(["ps", `${sandbox.tag}none`]), "does not exist");
  },
  { crun: { reason: "words the same errors differently", before: "1.28" } },
);

if (IS_RUNTS) {
  for (const [situation, entry] of [
    ["the working directory", "."],
    ["a relative directory", "bin"],
  ] as const) {
    spec(
      `ps, PATH begins with ${situation}: a ps in that directory is not executed`,
      "promise: the working directory may be an untrusted bundle",
      async (sandbox) => {
        const container = await withThree(sandbox);
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
