import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import { DEFAULT_PATH } from "../harness/config.ts";
import type { Container } from "../harness/container.ts";
import { expectInitAlone } from "../harness/exec.ts";
import { startUnderSubreaper } from "../harness/helpers/subreaper.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { IS_RUNTS, type Result } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";
import { FAILURES, type Failure, file } from "./exec-failures.ts";

/**
 * The error for a program that can't be executed has the words that engines match, then the file and what is wrong with it. The peers
 * don't say that: only the failure is required of them.
 */
const CLAUSE = "promise: the error names the cause; engines: their words and no others";

/** The exit code that podman derives from an error, by its expressions in their order. */
function podmanCode(text: string): number {
  if (/permission denied|operation not permitted/i.test(text)) return 126;
  return /executable file not found in|no such file or directory|open executable/i.test(text) ? 127 : 125;
}

function expectReason(result: Result, { words, hint, podman }: Failure, code: number): void {
  if (!IS_RUNTS) {
    expectRefusal(result);
    return;
  }
  expectRefusal(result, words, code);
  const [line = "", ...rest] = result.stderr.trimEnd().split("\n");
  expect(rest).toEqual([]);
  if (hint === "") expect(line).not.toContain("(");
  else expect(line).toContain(hint);
  expect(podmanCode(line)).toBe(podman);
}

function containerFor(
  sandbox: Sandbox,
  { process, prepare, mutate }: Failure,
  command?: string[],
): Container {
  const container = sandbox.container((config) => {
    if (command === undefined) Object.assign(config.process, process);
    else config.process.args = command;
    config.root.readonly = false;
    mutate?.(config);
  });
  prepare(container.rootfs);
  return container;
}

for (const failure of FAILURES) {
  const { situation, atCreate } = failure;

  spec(`run, args[0] ${situation}: error that names the cause, nothing left`, CLAUSE, async (sandbox) => {
    const container = containerFor(sandbox, failure);
    expectReason(await container.run(), failure, 1);
    expect(await sandbox.traces()).toEqual([]);
  });

  spec(
    `create and start, args[0] ${situation}: error that names the cause`,
    CLAUSE,
    async (sandbox) => {
      const container = containerFor(sandbox, failure);
      const created = await container.create();
      if (!IS_RUNTS) {
        // The peers' start doesn't wait for the execve.
        if (created.code === 0 && (await container.start()).code === 0) await container.until("stopped");
        return;
      }
      if (atCreate === true) {
        expectReason(created, failure, 1);
        expect(await sandbox.traces()).toEqual([]);
        return;
      }
      expect(created.code).toBe(0);
      expectReason(await container.start(), failure, 1);
      await container.until("stopped");
    },
    {
      runc: {
        reason:
          "start doesn't wait for the execve, and delete leaves the cgroup of a container that ends right away",
        sometimes: true,
      },
    },
  );

  spec(`exec, command ${situation}: error that names the cause, nothing left`, CLAUSE, async (sandbox) => {
    const container = containerFor(sandbox, failure, ["/bin/sleep", "1000"]);
    await container.started();
    const process = { cwd: "/", env: [DEFAULT_PATH], user: { uid: 0, gid: 0 }, ...failure.process };
    writeFileSync(sandbox.path("process.json"), JSON.stringify(process));
    expectReason(
      await container.exec([], { flags: ["--process", sandbox.path("process.json")] }),
      failure,
      255,
    );
    await expectInitAlone(sandbox);
  });
}

for (const action of ["SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS"]) {
  spec(
    `run, a filter with ${action} for all calls that could look for the cause: the error without the cause`,
    CLAUSE,
    async (sandbox) => {
      const container = sandbox.container((config) => {
        config.process.args = ["/tmp/empty"];
        config.linux.seccomp = {
          defaultAction: "SCMP_ACT_ALLOW",
          syscalls: [{ names: ["openat2", "openat", "open", "statx", "newfstatat", "faccessat2"], action }],
        };
      });
      file(container.rootfs, "/tmp/empty", "");
      const result = await container.run();
      expectRefusal(result, inOurWords("/process/args/0: "));
      if (IS_RUNTS) expect(result.stderr).toMatch(/exec format error\n$/);
      expect(await sandbox.traces()).toEqual([]);
    },
  );
}

spec(
  "start, a program that the kernel refuses: the container exits with 127, as in a shell",
  CLAUSE,
  async (sandbox) => {
    const container = sandbox.container((config) => {
      config.process.args = ["/tmp/empty"];
    });
    file(container.rootfs, "/tmp/empty", "");
    const report = await startUnderSubreaper(sandbox, container).report();
    if (IS_RUNTS) expect(report).toEqual({ parent: true, start: 1, exit: 127 });
    else expect(report.exit).not.toBe(0);
  },
);

/** Makes a path to an empty directory, through as many symlinks as the kernel follows, each of the greatest length. Returns the path. */
function makeLinkChain(rootfs: string): string {
  const LINKS = 39;
  const detours = "tmp/../".repeat(580);
  mkdirSync(`${rootfs}/end`);
  for (let index = 0; index < LINKS; index += 1)
    symlinkSync(`/${detours}${index === LINKS - 1 ? "end" : `l${index + 1}`}`, `${rootfs}/l${index}`);
  return "/l0";
}

for (const command of ["run", "exec"] as const) {
  spec(
    `${command}, a PATH of 10 folders behind 39 long symlinks each: the plain error, since the search for a cause is bounded`,
    "promise: a container can't hold the runtime up",
    async (sandbox) => {
      const container = sandbox.shell("sleep 1000");
      const way = makeLinkChain(container.rootfs);
      const path = Array.from({ length: 10 }, () => way).join(":");
      const args = ["nope"];
      const env = [`PATH=${path}`];
      let result: Result;
      if (command === "run") {
        Object.assign(container.config.process, { args, env });
        container.writeConfig();
        result = await container.run();
      } else {
        await container.started();
        result = await container.exec(args, { flags: ["--env", env[0] ?? ""] });
      }
      expectRefusal(
        result,
        inOurWords('exec: "nope": executable file not found in $PATH\n'),
        command === "exec" ? 255 : 1,
      );
    },
  );
}
