import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect } from "vitest";
import type { Config } from "../harness/config.ts";
import { RUNTIME } from "../harness/runtime.ts";
import { spec } from "../harness/spec.ts";

/** A container can't write the runtime's own files through the processes that the runtime has in it. */

/**
 * For each process whose executable is not of the image: opens the executable, waits for the end of the process, since a running program
 * can't be written, and then writes to the executable through the descriptor.
 */
const OVERWRITE = `
while :; do
  for p in /proc/[0-9]*; do
    [ $p = /proc/1 ] && continue
    [ $p/exe -ef /bin/busybox ] && continue
    {
      name=$(readlink /proc/$$/fd/9)
      case $name in /bin/busybox|'') continue;; esac
      echo "seen"
      while [ -e $p ]; do :; done
      sleep 0.05
      { echo evil 1<>/proc/$$/fd/9; } && echo "written: $name"
      { echo evil >/proc/$$/fd/9; } && echo "truncated: $name"
    } 9<$p/exe
  done
done 2>/dev/null`;

/** Commands by which a process of the runtime might execute its own executable once more. */
const COMMANDS = [["true"], ["/proc/self/exe", "0"], ["/evil"]];

function mayTrace(config: Config): void {
  const all = ["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_CHOWN", "CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"];
  config.process.capabilities = { bounding: all, effective: all, permitted: all };
  config.root.readonly = false;
}

function digests(): Record<string, string> {
  const folder = dirname(RUNTIME);
  const files = readdirSync(folder).filter((name) => /^(runts|koffi)/.test(name));
  const digest = (name: string) =>
    createHash("sha256")
      .update(readFileSync(join(folder, name)))
      .digest("hex");
  return Object.fromEntries(files.map((name) => [name, digest(name)]));
}

spec(
  "exec, the container opens /proc/PID/exe and writes to it later: no file of the runtime changes",
  "CVE-2019-5736",
  async (sandbox) => {
    const before = digests();
    const container = sandbox.shell(OVERWRITE, mayTrace);
    container.writeFile("evil", "#!/proc/self/exe 0\n", 0o755);
    await container.started();
    // On a busy machine the container may see nothing for a while.
    for (let round = 0; round < 6 || (container.printed() === "" && round < 200); round += 1)
      for (const command of COMMANDS) await container.exec(command);
    await container.kill("KILL");
    await container.until("stopped");
    expect([...new Set(container.printed().split("\n"))]).toEqual(["seen"]);
    expect(digests()).toEqual(before);
  },
);

for (const args of COMMANDS.slice(1)) {
  spec(`run ${args[0]}: not the host's executable`, "CVE-2019-5736", async (sandbox) => {
    const before = digests();
    const container = sandbox.container((config) => {
      mayTrace(config);
      config.process.args = args;
    });
    container.writeFile("evil", "#!/proc/self/exe 0\n", 0o755);
    const { code, stdout } = await container.run();
    // The stub runs, and finds no channel. The runtime would print its usage or version.
    expect([code === 0, stdout]).toEqual([false, ""]);
    expect(digests()).toEqual(before);
  });
}
