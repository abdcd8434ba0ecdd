import { existsSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect } from "vitest";
import type { Container } from "../harness/container.ts";
import {
  made,
  ONLY_RUNTS,
  plainShell,
  profileIn,
  until,
  withProfile,
} from "../harness/helpers/seccomp-recording.ts";
import { openFilesOf, textOf } from "../harness/host/processes.ts";
import { asObject, parseObject } from "../harness/json.ts";
import { expectRefusal } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { skipWithout, spec } from "../harness/spec.ts";

/** Recordings of containers that outlive the command: a process holds them until `delete` writes the profile. */

const CLAUSE = "promise: --seccomp-record";

/** The process that holds the recording. */
function holderOf(sandbox: Sandbox, container: Container): number {
  const record = parseObject(readFileSync(join(sandbox.root, container.id, "state.json"), "utf8"));
  return Number(asObject(record.recorder).pid);
}

describe.runIf(IS_RUNTS)("recorded seccomp profiles", () => {
  spec(
    "create with --seccomp-record: delete writes the profile, and a process outside of the container holds the recording until then",
    CLAUSE,
    async (sandbox) => {
      const container = plainShell(sandbox, "umask 7; exit 0");
      const file = sandbox.path("profile.json");
      const created = await container.created({ flags: ["--seccomp-record", file] });
      expect(created.stderr).toBe("");
      const holder = holderOf(sandbox, container);
      expect(openFilesOf(holder).sort()).toEqual([
        "anon_inode:bpf-map",
        "anon_inode:bpf-map",
        expect.stringMatching(/^anon_inode:bpf[-_]link$/),
        expect.stringMatching(/^anon_inode:inotify$/),
      ]);
      expect(textOf(`/proc/${holder}/cgroup`)).toBe(textOf("/proc/self/cgroup"));
      expect(readlinkSync(`/proc/${holder}/cwd`)).toBe("/");
      expect((await container.start()).code).toBe(0);
      await container.until("stopped");
      expect(existsSync(file)).toBe(false);
      const deleted = await container.delete();
      expect([deleted.code, deleted.stderr]).toEqual([0, ""]);
      expect(made(profileIn(file))).toContain("umask");
      withProfile(container, profileIn(file));
      expect((await container.run()).code).toBe(0);
    },
    ONLY_RUNTS,
  );

  spec(
    "run with --keep and --seccomp-record, the recording can't begin: error, nothing left",
    CLAUSE,
    async (sandbox) => {
      const container = plainShell(sandbox, "true", (config) => {
        // A user who may have no cgroup gets none, if the config does not ask for it.
        delete config.linux.cgroupsPath;
        delete config.linux.resources;
      });
      const result = await container.run({
        globals: ["--rootless", "true"],
        flags: ["--keep", "--seccomp-record", sandbox.path("profile.json")],
        wrapper: [
          "unshare",
          "--mount",
          "sh",
          "-c",
          'mount -o remount,bind,ro /sys/fs/cgroup; exec "$@"',
          "sh",
        ],
      });
      expectRefusal(result, "--seccomp-record: the container has no cgroup");
      expect(await sandbox.traces()).toEqual([]);
    },
    ONLY_RUNTS,
  );

  spec(
    "create with --seccomp-record and --seccomp-merge, then delete --force of a container that runs: adds its calls",
    CLAUSE,
    async (sandbox) => {
      const file = sandbox.path("profile.json");
      const flags = ["--seccomp-record", file, "--seccomp-merge", "--seccomp-record-by", "bpf"];
      for (const script of ["umask 7; echo ready; sleep 100", "sync; echo ready; sleep 100"]) {
        const container = plainShell(sandbox, script);
        await container.started({ flags });
        await until("ready", () => container.printed());
        const deleted = await container.delete("--force");
        expect([deleted.code, deleted.stderr]).toEqual([0, ""]);
      }
      expect(made(profileIn(file))).toEqual(expect.arrayContaining(["umask", "sync"]));
    },
    ONLY_RUNTS,
  );

  spec(
    "create with --seccomp-record-by bpf, never started, or its holder killed: delete says that there is no profile",
    CLAUSE,
    async (sandbox) => {
      const file = sandbox.path("profile.json");
      const flags = ["--seccomp-record", file, "--seccomp-record-by", "bpf"];
      const container = plainShell(sandbox, "true");
      await container.created({ flags });
      const unused = await container.delete();
      expect([unused.code, unused.stderr]).toEqual([
        0,
        expect.stringMatching(/profile.json is not written: the container has executed no program/),
      ]);
      // Its execve(2) is called, and fails.
      container.writeFile("bad", "#!/none\n", 0o755);
      container.config.process.args = ["/bad"];
      container.writeConfig();
      const failed = await container.run({ flags: ["--detach", ...flags] });
      expect([failed.code, failed.stderr, existsSync(file)]).toEqual([
        1,
        expect.stringMatching(/profile.json is not written: the container has executed no program/),
        false,
      ]);
      container.config.process.args = ["true"];
      container.writeConfig();
      await container.started({ flags });
      await container.until("stopped");
      process.kill(holderOf(sandbox, container), "SIGKILL");
      const lost = await container.delete();
      expect([lost.code, lost.stderr]).toEqual([
        0,
        expect.stringMatching(
          /profile.json is not written: process \d+, which held the recording, has ended/,
        ),
      ]);
      expect(existsSync(file)).toBe(false);
    },
    ONLY_RUNTS,
  );

  spec(
    "create with --seccomp-record, the record damaged: delete --force leaves no process that holds the recording",
    CLAUSE,
    async (sandbox) => {
      const container = plainShell(sandbox, "sleep 100");
      await container.created({ flags: ["--seccomp-record", sandbox.path("profile.json")] });
      const holder = holderOf(sandbox, container);
      writeFileSync(join(sandbox.root, container.id, "state.json"), "{");
      expect((await container.delete("--force")).code).toBe(0);
      await until("false", () => String(existsSync(`/proc/${holder}/fd/64`)));
    },
    ONLY_RUNTS,
  );

  spec(
    "create with --seccomp-record, killed while it writes a record: delete --force leaves nothing, no process that holds a recording either",
    CLAUSE,
    async (sandbox, context) => {
      skipWithout(context, "strace");
      const codes: number[] = [];
      // Before anything else is made, at the end, and when the holder is there already. The last round succeeds.
      for (const when of [1, 2, 3, 4]) {
        const container = plainShell(sandbox, "sleep 1000");
        const inject = `inject=renameat2:error=EIO:signal=KILL:when=${when}`;
        const wrapper = ["strace", "-qq", "-o", "/dev/null", "-e", inject];
        const flags = ["--seccomp-record", sandbox.path("profile.json")];
        codes.push((await container.create({ flags, wrapper })).code);
        expect([when, (await container.delete("--force")).code]).toEqual([when, 0]);
      }
      expect(codes).toEqual([137, 137, 137, 0]);
      await expect.poll(() => sandbox.traces()).toEqual([]);
    },
    ONLY_RUNTS,
  );

  spec(
    "run with --seccomp-record and --detach: delete writes the profile",
    CLAUSE,
    async (sandbox) => {
      const container = plainShell(sandbox, "umask 7");
      const file = sandbox.path("profile.json");
      const { code } = await container.run({ flags: ["--detach", "--seccomp-record", file] });
      expect(code).toBe(0);
      await container.until("stopped");
      expect((await container.delete()).stderr).toBe("");
      expect(made(profileIn(file))).toContain("umask");
    },
    ONLY_RUNTS,
  );
});
