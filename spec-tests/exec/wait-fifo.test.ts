import { execFileSync } from "node:child_process";
import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import type { Container } from "../harness/container.ts";
import { expectInitAlone, running } from "../harness/exec.ts";
import { openPidfdReceiver } from "../harness/helpers/pidfd.ts";
import { openSeccompAgent } from "../harness/helpers/seccomp-agent.ts";
import { expectRefusal } from "../harness/refusal.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "runc#5373: exec --exec-wait-fifo, a proposal";
const NOT_YET = { both: "has no such option" };

function fifoIn(sandbox: Sandbox): string {
  const fifo = sandbox.path("go");
  execFileSync("mkfifo", ["-m", "600", fifo]);
  return fifo;
}

/** The mapping of a program that was executed: the stub is in memory. */
const executableOf = (pid: number) => readlinkSync(`/proc/${pid}/exe`);

async function waiting(
  sandbox: Sandbox,
  container: Container,
  fifo: string,
  command: string[],
  flags: string[] = [],
  stdout?: string,
): Promise<number> {
  const pidFile = sandbox.path("pid");
  const all = ["--detach", "--pid-file", pidFile, "--exec-wait-fifo", fifo, ...flags];
  const result = await container.exec(command, { flags: all, ...(stdout !== undefined && { stdout }) });
  expect(result).toMatchObject({ code: 0, stderr: "" });
  return Number(container.printed(pidFile));
}

spec(
  "exec --detach --exec-wait-fifo: returns while the process waits; a reader gets one byte, and the program runs with that pid",
  CLAUSE,
  async (sandbox) => {
    const receiver = await openPidfdReceiver(sandbox);
    const container = await running(sandbox);
    const fifo = fifoIn(sandbox);
    const flags = ["--pidfd-socket", receiver.socket];
    const out = sandbox.path("out");
    const pid = await waiting(
      sandbox,
      container,
      fifo,
      ["sh", "-c", "echo ran; exec sleep 1000"],
      flags,
      out,
    );
    expect(await receiver.received()).toEqual({ message: "setns", fds: 1, pid });
    expect(executableOf(pid)).toMatch(/^\/memfd:/);
    expect(container.printed(out)).toBe("");
    expect(await readFile(fifo, "utf8")).toBe("0");
    await expect.poll(() => container.printed(out)).toBe("ran");
    await expect.poll(() => readFileSync(`/proc/${pid}/comm`, "utf8")).toBe("sleep\n");
  },
  NOT_YET,
);

spec(
  "exec --exec-wait-fifo, in the foreground: waits for the reader, then for the program, and exits with its code",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox);
    const fifo = fifoIn(sandbox);
    const pidFile = sandbox.path("pid");
    const result = await container.exec(["sh", "-c", "echo ran; exit 7"], {
      flags: ["--pid-file", pidFile, "--exec-wait-fifo", fifo],
      whileRunning: async () => {
        await expect.poll(() => existsSync(pidFile)).toBe(true);
        expect(executableOf(Number(container.printed(pidFile)))).toMatch(/^\/memfd:/);
        expect(await readFile(fifo, "utf8")).toBe("0");
      },
    });
    expect(result).toMatchObject({ code: 7, stdout: "ran\n", stderr: "" });
  },
  NOT_YET,
);

spec(
  "exec --exec-wait-fifo, the executable is removed meanwhile: exit code 127",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox);
    const fifo = fifoIn(sandbox);
    const pidFile = sandbox.path("pid");
    const program = join(container.rootfs, "vanishing");
    writeFileSync(program, "#!/bin/sh\n", { mode: 0o755 });
    const result = await container.exec(["/vanishing"], {
      flags: ["--pid-file", pidFile, "--exec-wait-fifo", fifo],
      whileRunning: async () => {
        await expect.poll(() => existsSync(pidFile)).toBe(true);
        rmSync(program);
        expect(await readFile(fifo, "utf8")).toBe("0");
      },
    });
    expect(result.code).toBe(127);
  },
  NOT_YET,
);

spec(
  "exec --exec-wait-fifo, a reader that is there before: the program runs at once",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox);
    const fifo = fifoIn(sandbox);
    const holder = openSync(fifo, "r+");
    try {
      const result = await container.exec(["echo", "ran"], { flags: ["--exec-wait-fifo", fifo] });
      expect(result).toMatchObject({ code: 0, stdout: "ran\n" });
    } finally {
      closeSync(holder);
    }
  },
  NOT_YET,
);

spec(
  "exec --exec-wait-fifo, a reader that closes at once: the program runs, and SIGPIPE has its default action",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox);
    const fifo = fifoIn(sandbox);
    const out = sandbox.path("out");
    await waiting(sandbox, container, fifo, ["grep", "SigIgn", "/proc/self/status"], [], out);
    closeSync(openSync(fifo, "r"));
    await expect.poll(() => container.printed(out)).toBe("SigIgn:\t0000000000000000");
  },
  NOT_YET,
);

spec(
  "exec --exec-wait-fifo --preserve-fds: no descriptor of the host but the fifo while it waits, and the kept ones for the program",
  "promise: nothing of the host in the container; CVE-2016-9962",
  async (sandbox) => {
    const container = await running(sandbox);
    const fifo = fifoIn(sandbox);
    const kept = sandbox.path("kept");
    writeFileSync(kept, "");
    sandbox.wrapper = ["sh", "-c", `exec 3<${kept} 4<${kept}; exec "$@"`, "sh"];
    const pid = await waiting(sandbox, container, fifo, ["sleep", "1000"], ["--preserve-fds", "2"]);
    const links = () =>
      Object.fromEntries(
        readdirSync(`/proc/${pid}/fd`).map((fd): [string, string] => [
          fd,
          readlinkSync(`/proc/${pid}/fd/${fd}`),
        ]),
      );
    const { 0: _in, 1: _out, 2: _err, ...others } = links();
    expect(others).toEqual({ 3: kept, 4: kept, 5: fifo, 6: "anon_inode:inotify" });
    // Open for writing only.
    expect(readFileSync(`/proc/${pid}/fdinfo/5`, "utf8")).toMatch(/^flags:\s*02?[0-9]*1$/m);
    expect(await readFile(fifo, "utf8")).toBe("0");
    await expect.poll(() => Object.keys(links())).toEqual(["0", "1", "2", "3", "4"]);
  },
  NOT_YET,
);

spec(
  "delete --force while a process of exec waits for its reader: nothing is left",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox);
    const fifo = fifoIn(sandbox);
    await waiting(sandbox, container, fifo, ["true"]);
    expect((await container.delete("--force")).code).toBe(0);
    expect(await sandbox.traces()).toEqual([]);
  },
  NOT_YET,
);

for (const [what, make, words] of [
  ["a regular file", (path: string) => writeFileSync(path, ""), "is not a fifo"],
  ["a missing file", () => undefined, "no such file or directory"],
] as const) {
  spec(
    `exec --exec-wait-fifo with ${what}: error that names it, nothing of the process is left`,
    CLAUSE,
    async (sandbox) => {
      const container = await running(sandbox);
      const path = sandbox.path("given");
      make(path);
      const result = await container.exec(["true"], { flags: ["--exec-wait-fifo", path] });
      expectRefusal(result, words, 255);
      expect(result.stderr).toContain(`--exec-wait-fifo ${path}`);
      await expectInitAlone(sandbox);
    },
    NOT_YET,
  );
}

spec(
  "exec --exec-wait-fifo, a filter that notifies an agent: error, nothing of the process is left",
  CLAUSE,
  async (sandbox) => {
    const agent = await openSeccompAgent(sandbox);
    const container = await running(sandbox, (config) => {
      config.process.noNewPrivileges = true;
      config.linux.seccomp = {
        defaultAction: "SCMP_ACT_ALLOW",
        syscalls: [{ names: ["mkdir"], action: "SCMP_ACT_NOTIFY" }],
        listenerPath: agent.socket,
      };
    });
    const result = await container.exec(["true"], { flags: ["--exec-wait-fifo", fifoIn(sandbox)] });
    expectRefusal(result, "/linux/seccomp: a filter that notifies an agent can't be used", 255);
    await expect.poll(() => sandbox.processes().filter((line) => !line.includes("python")).length).toBe(1);
  },
  NOT_YET,
);
