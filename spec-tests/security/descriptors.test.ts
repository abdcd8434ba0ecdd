import { readFileSync } from "node:fs";
import { expect } from "vitest";
import type { Config } from "../harness/config.ts";
import type { Container } from "../harness/container.ts";
import { running } from "../harness/exec.ts";
import { withOpen } from "../harness/helpers/descriptors.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { spec } from "../harness/spec.ts";

/** A container can neither trace a process of the runtime, nor reach the host through one. */

/** The capabilities that docker and podman give a container's root. They suffice to trace any process that is dumpable. */
const USUAL = [
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_FOWNER",
  "CAP_FSETID",
  "CAP_KILL",
  "CAP_MKNOD",
  "CAP_NET_BIND_SERVICE",
  "CAP_SETFCAP",
  "CAP_SETGID",
  "CAP_SETPCAP",
  "CAP_SETUID",
  "CAP_SYS_CHROOT",
];

function withCapabilities(...more: readonly string[]): (config: Config) => void {
  return (config) => {
    const all = [...USUAL, ...more];
    config.process.capabilities = { bounding: all, effective: all, permitted: all };
  };
}

/**
 * A script for the container's init that looks at each new process. It uses only builtins, since spawning processes would take too
 * long. The program that the tests execute is called `true`: a process by another name is the runtime's.
 */
function watch(look: string): string {
  return `
while :; do
  for p in /proc/[0-9]*; do
    [ $p = /proc/1 ] && continue
    { read name <$p/comm; } 2>/dev/null || continue
    [ "$name" = true ] && continue
    ${look}
  done
done 2>/dev/null`;
}

const ROUNDS = 12;

/** Executes until the watcher has seen some of the runtime's processes: on a busy machine it may see none for a while. */
async function execWatched(container: Container): Promise<void> {
  for (let round = 0; round < ROUNDS || (container.printed() === "" && round < 500); round += 1)
    await container.exec(["true"]);
  await container.kill("KILL");
  await container.until("stopped");
}

spec(
  "exec, the container's root has the usual capabilities: it can't trace the process",
  "CVE-2016-9962",
  async (sandbox) => {
    // Reads the name again, since the process may have become the program by now.
    const look =
      'echo seen; if [ -e $p/exe ] || [ -e $p/root/ ]; then read again <$p/comm && [ "$again" = "$name" ] && echo traceable; fi';
    const container = sandbox.shell(watch(look), withCapabilities());
    await container.started();
    await execWatched(container);
    expect([...new Set(container.printed().split("\n"))]).toEqual(["seen"]);
  },
);

spec(
  "exec, watched with CAP_SYS_PTRACE: the process has no capability beyond the container's",
  "CVE-2016-9962",
  async (sandbox) => {
    const look = '{ while read key value; do [ "$key" = CapPrm: ] && echo $value; done; } <$p/status';
    const container = sandbox.shell(watch(look), withCapabilities("CAP_SYS_PTRACE"));
    await container.started();
    await execWatched(container);
    const sets = [...new Set(container.printed().split("\n"))].map((text) => BigInt(`0x${text}`));
    expect(sets.length).toBeGreaterThan(0);
    const own = /CapBnd:\s*(\w+)/.exec((await status(sandbox)).stdout)?.[1] ?? "";
    for (const set of sets) expect((set & ~BigInt(`0x${own}`)).toString(16)).toBe("0");
  },
  { both: "the process of exec keeps all capabilities of the caller until its last step" },
);

/** The status of a program in a container like the one above, which shows its capabilities. */
async function status(sandbox: Parameters<typeof running>[0]) {
  return sandbox
    .container((config) => {
      withCapabilities("CAP_SYS_PTRACE")(config);
      config.process.args = ["cat", "/proc/self/status"];
    })
    .run();
}

/** Numbers by which a runtime may have directories of the host open when it changes to the working directory. */
const NUMBERS = [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14];
const LOOK = "pwd; cat etc/hostname ../etc/hostname ../../etc/hostname ../../../../../etc/hostname";

for (const number of NUMBERS) {
  spec(`run, cwd /proc/self/fd/${number}: never on the host`, "CVE-2024-21626", async (sandbox) => {
    const container = sandbox.shell(LOOK, (config) => {
      config.process.cwd = `/proc/self/fd/${number}`;
    });
    const wrapper = ["bash", "-c", 'exec 7</ 9</etc; exec "$@"', "bash"];
    expectOutOfReach(await container.run({ wrapper }));
  });
}

spec("exec, cwd /proc/self/fd/N for any N: never on the host", "CVE-2024-21626", async (sandbox) => {
  const container = await running(sandbox);
  const wrapper = ["bash", "-c", 'exec 7</ 9</etc; exec "$@"', "bash"];
  for (const number of NUMBERS) {
    const flags = ["--cwd", `/proc/self/fd/${number}`];
    expectOutOfReach(await container.exec(["sh", "-c", LOOK], { flags, wrapper }));
  }
});

spec(
  "run and exec, cwd a folder of the host that --preserve-fds passes on: error",
  "CVE-2024-21626",
  async (sandbox) => {
    const wrapper = ["bash", "-c", 'exec 3</; exec "$@"', "bash"];
    const container = sandbox.shell(LOOK, (config) => {
      config.process.cwd = "/proc/self/fd/3";
    });
    const ran = await container.run({ wrapper, flags: ["--preserve-fds", "1"] });
    expectRefusal(ran, inOurWords("/process/cwd"));
    const other = await running(sandbox);
    const flags = ["--preserve-fds", "1", "--cwd", "/proc/self/fd/3"];
    const executed = await other.exec(["sh", "-c", LOOK], { wrapper, flags });
    expectRefusal(executed, inOurWords("/process/cwd"), 255);
    expect(ran.stdout + executed.stdout).toBe("");
  },
);

spec(
  "run and exec --preserve-fds 12 with nothing open, cwd /proc/self/fd/N for any N: never on the host",
  "CVE-2024-21626",
  async (sandbox) => {
    const other = await running(sandbox);
    for (const number of NUMBERS) {
      const cwd = `/proc/self/fd/${number}`;
      const container = sandbox.shell(LOOK, (config) => {
        config.process.cwd = cwd;
      });
      const wrapper = withOpen({});
      expectOutOfReach(await container.run({ wrapper, flags: ["--preserve-fds", "12"] }));
      const flags = ["--preserve-fds", "12", "--cwd", cwd];
      expectOutOfReach(await other.exec(["sh", "-c", LOOK], { wrapper, flags }));
    }
  },
);

function expectOutOfReach({ code, stdout }: { code: number; stdout: string }): void {
  expect(code).not.toBe(0);
  expect(stdout).not.toContain(readFileSync("/etc/hostname", "utf8").trim());
}
