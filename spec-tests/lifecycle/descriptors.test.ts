import { spawnSync } from "node:child_process";
import { readdirSync, readlinkSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import { withOpen } from "../harness/helpers/descriptors.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { IS_RUNTS, RUNTIME } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const CLOSED_IS_AN_ERROR = "a closed descriptor of --preserve-fds is an error";
const OWN_DESCRIPTORS_PASS =
  "with LISTEN_FDS, takes its own descriptors for those of --preserve-fds and hands them to the program";

const CLAUSE = "runtime-linux.md, File descriptors";
// Only builtins, since a child or a substitution would have its own descriptors.
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
  { crun: "sets LISTEN_FDS but not LISTEN_PID" },
);

/** Makes the files to open as descriptors 9 and 40. */
function filesFor9And40(sandbox: Sandbox): Record<number, string> {
  for (const fd of [9, 40]) writeFileSync(sandbox.path(`f${fd}`), `file ${fd}\n`);
  return { 9: sandbox.path("f9"), 40: sandbox.path("f40") };
}

spec(
  "run --preserve-fds 38 with 9 and 40 open: only those two reach the program",
  "practice of crun, which podman's --preserve-fd relies on",
  async (sandbox) => {
    const container = sandbox.shell(`cat <&9; cat <&40; ${LIST_OPEN}`);
    const wrapper = withOpen(filesFor9And40(sandbox));
    expect(await container.output({ wrapper, flags: ["--preserve-fds", "38"] })).toBe(
      "file 9\nfile 40\n0 1 2 40 9 \n",
    );
  },
  { runc: CLOSED_IS_AN_ERROR },
);

spec(
  "run --preserve-fds 90 with nothing open: nothing reaches the program",
  "practice of crun",
  async (sandbox) => {
    const container = sandbox.shell(LIST_OPEN);
    expect(await container.output({ wrapper: withOpen({}), flags: ["--preserve-fds=90"] })).toBe("0 1 2 \n");
  },
  { runc: CLOSED_IS_AN_ERROR },
);

spec(
  "create --preserve-fds 38 with 9 and 40 open: the waiting init holds nothing else of the host",
  "CVE-2016-9962, CVE-2024-21626",
  async (sandbox) => {
    const container = sandbox.shell("true");
    await container.created({ wrapper: withOpen(filesFor9And40(sandbox)), flags: ["--preserve-fds", "38"] });
    const { pid } = await container.state();
    const found = new Map<string, string>();
    for (const fd of readdirSync(`/proc/${pid}/fd`)) {
      if (Number(fd) > 2) found.set(fd, readlinkSync(`/proc/${pid}/fd/${fd}`));
    }
    expect([found.get("9"), found.get("40")]).toEqual([sandbox.path("f9"), sandbox.path("f40")]);
    for (const fd of ["9", "40"]) found.delete(fd);
    const harmless = /^(anon_inode:|\/memfd:|pipe:|socket:)/;
    expect([...found.values()].filter((target) => !harmless.test(target))).toEqual([]);
    const inGaps = [...found].filter(([fd]) => Number(fd) < 40);
    if (IS_RUNTS)
      expect(new Set(inGaps.map(([, target]) => target))).toEqual(new Set(["anon_inode:[eventfd]"]));
  },
  {
    crun: "its own descriptors, in 1.28 even the host's root directory, take the numbers of closed ones",
    runc: CLOSED_IS_AN_ERROR,
  },
);

spec(
  "create, LISTEN_FDS=1 and --preserve-fds 4 with 3 and 6 open: only those two reach the program",
  "practice of crun",
  async (sandbox) => {
    const container = sandbox.shell(`cat <&3; cat <&6; ${LIST_OPEN}`);
    for (const fd of [3, 6]) writeFileSync(sandbox.path(`f${fd}`), `file ${fd}\n`);
    const files = { 3: sandbox.path("f3"), 6: sandbox.path("f6"), 8: "/etc" };
    const wrapper = withOpen(files, "LISTEN_FDS=1 LISTEN_PID=$$");
    expect(await container.output({ wrapper, flags: ["--preserve-fds", "4"] })).toBe(
      "file 3\nfile 6\n0 1 2 3 6 \n",
    );
  },
  { runc: OWN_DESCRIPTORS_PASS },
);

spec(
  "create, LISTEN_FDS=2 and --preserve-fds 2 with 4 closed: error, nothing left",
  "sd_listen_fds(3): sockets are passed from 3 on",
  async (sandbox) => {
    const wrapper = withOpen({ 3: "/etc", 5: "/etc", 6: "/etc" }, "LISTEN_FDS=2 LISTEN_PID=$$");
    const result = await sandbox.container().create({ wrapper, flags: ["--preserve-fds", "2"] });
    expectRefusal(result, inOurWords("LISTEN_FDS=2: file descriptor 4 is not open"));
    expect(await sandbox.traces()).toEqual([]);
  },
  {
    crun: "skips any number of closed descriptors, those of LISTEN_FDS as well",
    runc: OWN_DESCRIPTORS_PASS,
  },
);

spec(
  "start, state, kill, delete with pipes as stdio: no process keeps them open afterwards",
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
