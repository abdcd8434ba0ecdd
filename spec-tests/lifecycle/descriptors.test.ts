import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { expect } from "vitest";
import { RUNTIME } from "../harness/runtime.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "runtime-linux.md, File descriptors";
// Only builtins, since a child or a substitution would have descriptors of its own.
const LIST_OPEN = 'cd /proc/$$/fd; for fd in *; do [ -L $fd ] && printf "$fd "; done; echo';

spec(
  "create with stray descriptors: only stdio reaches the program",
  `${CLAUSE}: stdio only by default`,
  async (sandbox) => {
    const container = sandbox.shell(LIST_OPEN);
    const wrapper = ["bash", "-c", 'exec 3</etc/passwd 4</etc 10</etc/passwd 251</etc; exec "$@"', "bash"];
    expect(await container.output({ wrapper })).toBe("0 1 2 \n");
  },
);

spec(
  "create with stray descriptors: none is open in the waiting init",
  `${CLAUSE}: stdio only by default`,
  async (sandbox) => {
    const container = sandbox.shell(`exec > /result; ${LIST_OPEN}`, (config) => {
      config.root.readonly = false;
    });
    await container.started({ wrapper: ["bash", "-c", 'exec 7</ 251</etc; exec "$@"', "bash"] });
    await container.until("stopped");
    expect(container.readFile("result")).toBe("0 1 2 \n");
  },
);

spec(
  "run --preserve-fds 2: descriptors 3 and 4 reach the program, 5 does not",
  "practice of runc and crun",
  async (sandbox) => {
    const container = sandbox.shell(`cat <&3; cat <&4; ${LIST_OPEN}`);
    for (const fd of [3, 4, 5]) writeFileSync(sandbox.path(`f${fd}`), `file ${fd}\n`);
    const open = [3, 4, 5].map((fd) => `${fd}<${sandbox.path(`f${fd}`)}`).join(" ");
    const wrapper = ["bash", "-c", `exec ${open}; exec "$@"`, "bash"];
    expect(await container.output({ wrapper, flags: ["--preserve-fds", "2"] })).toBe(
      "file 3\nfile 4\n0 1 2 3 4 \n",
    );
  },
);

spec(
  "create, LISTEN_FDS=1: descriptor 3 reaches the program, with LISTEN_PID 1",
  "practice of runc and crun",
  async (sandbox) => {
    const container = sandbox.shell(`cat <&3; echo $LISTEN_FDS $LISTEN_PID; ${LIST_OPEN}`);
    writeFileSync(sandbox.path("f3"), "socket\n");
    const wrapper = [
      "bash",
      "-c",
      `exec 3<${sandbox.path("f3")} 4</etc; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"`,
      "bash",
    ];
    expect(await container.output({ wrapper })).toBe("socket\n1 1\n0 1 2 3 \n");
  },
);

spec(
  "start, state, kill, delete into pipes: nothing holds them afterwards",
  "runtime-tools: the suite waits for their end",
  async (sandbox) => {
    const container = sandbox.shell("sleep 1000");
    await container.created();
    for (const args of [["start"], ["state"], ["kill"], ["delete", "--force"]]) {
      // spawnSync waits for the end of the pipes; a leaked one would hold it until the timeout.
      const result = spawnSync(RUNTIME, ["--root", sandbox.root, ...args, container.id], { timeout: 30_000 });
      expect([args, result.status, result.signal]).toEqual([args, 0, null]);
    }
  },
);
