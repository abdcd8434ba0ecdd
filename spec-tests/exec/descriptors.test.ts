import { readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import type { Config } from "../harness/config.ts";
import { running } from "../harness/exec.ts";
import { withOpen } from "../harness/helpers/descriptors.ts";
import { giveToMappedRoot, mapIds } from "../harness/host/user-namespace.ts";
import { byCase } from "../harness/peers.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "practice of runc and crun";
// Only builtins, since a child or a substitution would have its own descriptors.
const LIST_OPEN = 'cd /proc/$$/fd; for fd in *; do [ -L $fd ] && printf "$fd "; done; echo';

spec("exec: stdin, stdout and stderr are the caller's", CLAUSE, async (sandbox) => {
  const container = await running(sandbox);
  writeFileSync(sandbox.path("in"), "typed\n");
  const result = await container.exec(["sh", "-c", "read line; echo got $line; echo err >&2"], {
    stdin: sandbox.path("in"),
  });
  expect(result).toEqual({ code: 0, stdout: "got typed\n", stderr: "err\n" });
});

spec("exec: 1 MB of output arrives whole", CLAUSE, async (sandbox) => {
  const container = await running(sandbox);
  const { stdout } = await container.exec([
    "sh",
    "-c",
    "dd if=/dev/zero bs=1024 count=1024 2>/dev/null | tr '\\0' x",
  ]);
  expect(stdout.length).toBe(1024 * 1024);
});

spec(
  "exec with stray descriptors: only stdio reaches the program",
  "runtime-linux.md, File descriptors",
  async (sandbox) => {
    const container = await running(sandbox);
    const wrapper = ["bash", "-c", 'exec 3</etc/passwd 4</etc 10</etc/passwd 251</etc; exec "$@"', "bash"];
    expect((await container.exec(["sh", "-c", LIST_OPEN], { wrapper })).stdout).toBe("0 1 2 \n");
  },
);

spec("exec --preserve-fds 2: descriptors 3 and 4 reach the program, 5 does not", CLAUSE, async (sandbox) => {
  const container = await running(sandbox);
  for (const fd of [3, 4, 5]) writeFileSync(sandbox.path(`f${fd}`), `file ${fd}\n`);
  const open = [3, 4, 5].map((fd) => `${fd}<${sandbox.path(`f${fd}`)}`).join(" ");
  const wrapper = ["bash", "-c", `exec ${open}; exec "$@"`, "bash"];
  const result = await container.exec(["sh", "-c", `cat <&3; cat <&4; ${LIST_OPEN}`], {
    wrapper,
    flags: ["--preserve-fds", "2"],
  });
  expect(result.stdout).toBe("file 3\nfile 4\n0 1 2 3 4 \n");
});

spec(
  "exec --preserve-fds 38 with 9 and 40 open: only those two reach the program",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox);
    for (const fd of [9, 40]) writeFileSync(sandbox.path(`f${fd}`), `file ${fd}\n`);
    // An option after the command belongs to the command.
    const command = ["sh", "-c", `cat <&9; cat <&40; ${LIST_OPEN}`, "--preserve-fds", "60"];
    const result = await container.exec(command, {
      wrapper: withOpen({ 9: sandbox.path("f9"), 40: sandbox.path("f40"), 50: "/etc" }),
      flags: ["--preserve-fds=38"],
    });
    expect(result).toEqual({ code: 0, stdout: "file 9\nfile 40\n0 1 2 40 9 \n", stderr: "" });
  },
  { runc: "a closed descriptor of --preserve-fds is an error" },
);

/** A script for the container that prints the executable and the descriptors of each new process as soon as it appears. */
const WATCH = `
while :; do
  for pid in /proc/[0-9]*; do
    [ $pid = /proc/1 ] && continue
    to=$(readlink $pid/exe) && echo "exe $to"
    for fd in $pid/fd/*; do to=$(readlink $fd) && echo "fd $to"; done
  done
done 2>/dev/null`;

const PTRACE = ["CAP_SYS_PTRACE"];

function mayTrace(config: Config): void {
  config.process.capabilities = { bounding: PTRACE, effective: PTRACE, permitted: PTRACE };
}

function mayTraceInUserNamespace(config: Config): void {
  mayTrace(config);
  mapIds(config);
}

const deviations = byCase({
  crun: {
    reason: "the descriptor of the host's cgroup folder is open in the process for a moment",
    sometimes: true,
  },
  runc: [
    { reason: "its own descriptors are open in the process for a moment", sometimes: true, before: "1.2" },
    {
      reason:
        "the process of exec is runc's own executable, seen through a read-only overlay, until its execve",
      from: "1.2",
    },
  ],
  cases: ["with CAP_SYS_PTRACE"],
});

for (const [situation, mutate] of [
  ["from inside", undefined],
  ["with CAP_SYS_PTRACE", mayTrace],
  ["with CAP_SYS_PTRACE in a user namespace", mayTraceInUserNamespace],
] as const) {
  spec(
    `exec, watched ${situation}: neither descriptors of the host nor the runtime's executable are seen in it`,
    "CVE-2016-9962, CVE-2019-5736",
    async (sandbox) => {
      const container = sandbox.shell(WATCH, mutate);
      if (container.config.linux.uidMappings !== undefined) giveToMappedRoot(container);
      await container.started();
      // On a busy machine the watcher may see nothing for a while.
      for (let round = 0; round < 15 || (container.printed() === "" && round < 500); round += 1)
        await container.exec(["true"]);
      await container.kill("KILL");
      await container.until("stopped");
      const lines = [...new Set(container.printed().trimEnd().split("\n"))];
      // The shell's children and the files that they read. The output files of this test are left out below.
      const ofContainer = /^(exe|fd) (\/bin\/busybox|\/dev\/null|\/|\/proc\/\d+\/fd|\/etc\/passwd)$/;
      const anonymous = /^(exe|fd) (\/memfd:|socket:|pipe:|anon_inode:)/;
      const found = lines.filter((line) => !ofContainer.test(line) && !anonymous.test(line));
      expect(found.filter((line) => !line.startsWith(`fd ${sandbox.directory}/`))).toEqual([]);
    },
    deviations(situation),
  );
}

spec(
  "exec, in the foreground: the waiting runtime is in no namespace of the container",
  "promise",
  async (sandbox) => {
    const container = await running(sandbox);
    const output = sandbox.path("out");
    await container.exec(["sh", "-c", "echo /proc/[0-9]*; exec sleep 1000"], {
      stdout: output,
      whileRunning: async (pid) => {
        await expect.poll(() => container.printed(output)).not.toBe("");
        await sleep(50);
        for (const name of ["mnt", "pid", "net", "ipc", "uts", "cgroup"]) {
          expect(readlinkSync(`/proc/${pid}/ns/${name}`)).toBe(readlinkSync(`/proc/self/ns/${name}`));
        }
        process.kill(pid, "SIGTERM");
      },
    });
    // Init, and the program itself.
    expect(container.printed(output).split(" ").length).toBe(2);
  },
);

spec(
  "exec --detach: no descriptor of the runtime is open in the program",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox);
    const pidFile = sandbox.path("pid");
    await container.exec(["sleep", "1000"], { flags: ["--detach", "--pid-file", pidFile] });
    const pid = readFileSync(pidFile, "utf8");
    // execve(2) closes descriptors one by one, and the runtime continues as soon as the one that it waits for is closed.
    await expect.poll(() => readdirSync(`/proc/${pid}/fd`).sort()).toEqual(["0", "1", "2"]);
    expect(readlinkSync(`/proc/${pid}/exe`)).toMatch(/\/bin\/busybox$/);
  },
  { crun: { reason: "exec --detach may end before the program is executed", sometimes: true } },
);
