import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import { DEFAULT_PATH } from "../harness/config.ts";
import { expectInitAlone, running } from "../harness/exec.ts";
import { execUnderSubreaper } from "../harness/helpers/subreaper.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { spec } from "../harness/spec.ts";

const RUNS_WITHOUT_PID_FILE = "leaves the process running when its pid file can't be written";

const CLAUSE = "practice of runc and crun";

spec("exec --detach --pid-file: returns at once, the pid is the host's", CLAUSE, async (sandbox) => {
  const container = await running(sandbox);
  const pidFile = sandbox.path("pid");
  const result = await container.exec(["sleep", "777"], { flags: ["--detach", "--pid-file", pidFile] });
  expect(result).toEqual({ code: 0, stdout: "", stderr: "" });
  const pid = readFileSync(pidFile, "utf8");
  expect(pid).toMatch(/^[1-9]\d*$/);
  const command = () => readFileSync(`/proc/${pid}/cmdline`, "utf8");
  await expect.poll(command).toBe("sleep\u0000777\0");
});

spec("exec --pid-file in the foreground: the pid is the host's", CLAUSE, async (sandbox) => {
  const container = await running(sandbox);
  const pidFile = sandbox.path("pid");
  let command = "";
  const result = await container.exec(["sleep", "777"], {
    flags: ["--pid-file", pidFile],
    whileRunning: async () => {
      await expect.poll(() => existsSync(pidFile)).toBe(true);
      const pid = Number(readFileSync(pidFile, "utf8"));
      const read = () => readFileSync(`/proc/${pid}/cmdline`, "utf8");
      await expect.poll(read).toContain("sleep");
      command = read();
      process.kill(pid, "SIGTERM");
    },
  });
  expect(result.code).toBe(128 + 15);
  expect(command).toBe("sleep\u0000777\0");
});

spec(
  "exec --detach, command not found: 255, no pid file, nothing left",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox);
    const result = await container.exec(["no-such"], {
      flags: ["--detach", "--pid-file", sandbox.path("pid")],
    });
    expect(result.code).toBe(255);
    expect(existsSync(sandbox.path("pid"))).toBe(false);
    await expectInitAlone(sandbox);
  },
  { crun: { reason: "exits with 1, not 255, if the program is not found", from: "1.28" } },
);

spec(
  "exec, pid file that can't be written: error, nothing left",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox);
    writeFileSync(sandbox.path("file"), "");
    const flags = ["--detach", "--pid-file", sandbox.path("file/pid")];
    expectRefusal(
      await container.exec(["sleep", "1000"], { flags }),
      inOurWords("write the pid file: "),
      255,
    );
    await expectInitAlone(sandbox);
  },
  { crun: RUNS_WITHOUT_PID_FILE },
);

for (const flags of [[], ["--detach"]]) {
  spec(
    `${["exec", ...flags, "--pid-file"].join(" ")} in a missing folder: error, the folder is not made, nothing left`,
    CLAUSE,
    async (sandbox) => {
      const container = await running(sandbox);
      const pidFile = ["--pid-file", sandbox.path("none/pid")];
      const result = await container.exec(["sleep", "1000"], { flags: [...flags, ...pidFile] });
      expectRefusal(result, /no such file or directory/i, 255);
      expect(existsSync(sandbox.path("none"))).toBe(false);
      await expectInitAlone(sandbox);
    },
    { crun: RUNS_WITHOUT_PID_FILE },
  );
}

for (const [situation, script, end] of [
  ["the exit code", "exit 6", { exit: 6 }],
  ["the signal", "kill -KILL $$", { signal: 9 }],
] as const) {
  spec(
    `exec --detach below a subreaper: the program becomes its child, ${situation} arrives`,
    "engines: conmon and containerd's shim wait for it",
    async (sandbox) => {
      const container = await running(sandbox);
      const file = sandbox.path("process.json");
      const args = ["sh", "-c", `sleep 0.3; ${script}`];
      writeFileSync(file, JSON.stringify({ args, cwd: "/", env: [DEFAULT_PATH], user: { uid: 0, gid: 0 } }));
      const report = await execUnderSubreaper(sandbox, container, ["--process", file]).report();
      expect(report).toEqual({ parent: true, ...end });
    },
  );
}
