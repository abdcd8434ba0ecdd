import { writeFileSync } from "node:fs";
import { expect } from "vitest";
import { expectInitAlone, running } from "../harness/exec.ts";
import { byCase } from "../harness/peers.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { spec } from "../harness/spec.ts";

const OTHER_WORDS = "exec has words of its own, or other exit codes, for the same errors";

const CLAUSE = "practice of runc and crun";
const WORDS = "engines: match the message and the exit code";

for (const code of [0, 1, 42, 255]) {
  spec(`exec, the program exits with ${code}: so does exec`, CLAUSE, async (sandbox) => {
    const container = await running(sandbox);
    expect((await container.exec(["sh", "-c", `exit ${code}`])).code).toBe(code);
  });
}

for (const [signal, code] of [
  ["TERM", 143],
  ["KILL", 137],
] as const) {
  spec(`exec, the program dies of SIG${signal}: exits with ${code}`, CLAUSE, async (sandbox) => {
    const container = await running(sandbox);
    expect((await container.exec(["sh", "-c", `kill -${signal} $$`])).code).toBe(code);
  });
}

spec("exec, SIGTERM to the waiting runtime: the program gets it", CLAUSE, async (sandbox) => {
  const container = await running(sandbox);
  const output = sandbox.path("out");
  const result = await container.exec(
    ["sh", "-c", "trap 'echo TERM; exit 9' TERM; echo up; while :; do sleep 0.02; done"],
    {
      stdout: output,
      whileRunning: async (pid) => {
        await expect.poll(() => container.printed(output)).toBe("up");
        process.kill(pid, "SIGTERM");
      },
    },
  );
  expect(result).toMatchObject({ code: 9, stdout: "up\nTERM\n" });
});

spec("exec, init is killed: the program ends, too", "pid_namespaces(7)", async (sandbox) => {
  const container = await running(sandbox);
  const output = sandbox.path("out");
  const result = await container.exec(["sh", "-c", "echo up; sleep 1000"], {
    stdout: output,
    whileRunning: async () => {
      await expect.poll(() => container.printed(output)).toBe("up");
      await container.kill("KILL");
    },
  });
  expect(result.code).toBe(137);
});

for (const [situation, command, words] of [
  ["a missing path", "/no-such", /exec: "\/no-such": stat \/no-such: no such file or directory/],
  ["in no folder of PATH", "no-such", /exec: "no-such": executable file not found in \$PATH/],
  ["a directory", "/etc", /exec: "\/etc": is a directory/],
  ["a file that is not executable", "/etc/passwd", /exec: "\/etc\/passwd": permission denied/],
] as const) {
  spec(
    `exec, the command is ${situation}: 255 and the reason, nothing left`,
    WORDS,
    async (sandbox) => {
      const container = await running(sandbox);
      const result = await container.exec([command], { flags: ["--pid-file", sandbox.path("pid")] });
      expectRefusal({ ...result, stderr: result.stderr.replaceAll('\\"', '"') }, words, 255);
      expect(result.code).toBe(255);
      await expectInitAlone(sandbox);
      expect(() => container.printed(sandbox.path("pid"))).toThrow("ENOENT");
      expect((await container.state()).status).toBe("running");
    },
    { crun: OTHER_WORDS },
  );
}

spec(
  "exec, the kernel refuses the program's format: 255, no pid file, nothing left",
  "promise: the same as for any other failure",
  async (sandbox) => {
    const container = sandbox.shell("exec sleep 1000");
    container.writeFile("bin/garbage", "garbage\n", 0o755);
    await container.started();
    const result = await container.exec(["/bin/garbage"], { flags: ["--pid-file", sandbox.path("pid")] });
    expectRefusal(result, /exec format error/i, 255);
    expect(result.code).toBe(255);
    await expectInitAlone(sandbox);
    expect(() => container.printed(sandbox.path("pid"))).toThrow("ENOENT");
  },
  {
    crun: OTHER_WORDS,
    runc: "reports to the parent for the last time before the execve that the kernel refuses, and exits with 1",
  },
);

spec("exec, command found in the PATH of --env: runs", CLAUSE, async (sandbox) => {
  const container = sandbox.shell("exec sleep 1000");
  container.writeFile("root/mine", "#!/bin/sh\necho mine\n", 0o755);
  await container.started();
  expect((await container.exec(["mine"], { flags: ["--env", "PATH=/root"] })).stdout).toBe("mine\n");
});

spec("exec, options after the command: passed to the command", CLAUSE, async (sandbox) => {
  const container = await running(sandbox);
  const result = await container.exec(["echo", "--tty", "-d", "--", "-x"]);
  expect(result).toMatchObject({ code: 0, stdout: "--tty -d -- -x\n" });
});

spec("exec without a command: error", CLAUSE, async (sandbox) => {
  expectRefusal(await (await running(sandbox)).exec([]), inOurWords("process args cannot be empty"), 255);
});

spec("exec with an unknown option: error", CLAUSE, async (sandbox) => {
  const container = await running(sandbox);
  const result = await container.exec(["true"], { flags: ["--no-such-option"] });
  expect(result.code).not.toBe(0);
  expect(result.stderr).toContain("no-such-option");
});

const deviations = byCase({
  crun: { reason: "exec does not check for missing args", before: "1.28" },
  cases: ["has no args"],
});

for (const [situation, words, text] of [
  ["is missing", "process.json: no such file or directory", undefined],
  ["is not JSON", "process.json: line 1, column 2: not valid JSON", "{"],
  ["has no args", "/args: is required", '{"cwd":"/","user":{"uid":0,"gid":0}}'],
  [
    "has a relative cwd",
    "/cwd: must be an absolute path",
    '{"cwd":"relative","args":["true"],"user":{"uid":0,"gid":0}}',
  ],
  ["has a negative uid", "/user/uid: ", '{"cwd":"/","args":["true"],"user":{"uid":-1,"gid":0}}'],
] as const) {
  spec(
    `exec --process, the file ${situation}: error, nothing left`,
    CLAUSE,
    async (sandbox) => {
      const container = await running(sandbox);
      if (text !== undefined) writeFileSync(sandbox.path("process.json"), text);
      const result = await container.exec([], { flags: ["--process", sandbox.path("process.json")] });
      expectRefusal(result, inOurWords(words), 255);
      await expectInitAlone(sandbox);
    },
    deviations(situation),
  );
}
