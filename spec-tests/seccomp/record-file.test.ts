import { existsSync, mkdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect } from "vitest";
import type { Seccomp } from "../harness/config.ts";
import { allowed, made, ONLY_RUNTS, plainShell, profileIn } from "../harness/helpers/seccomp-recording.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import { spec } from "../harness/spec.ts";

/** The file of a recorded profile: it is made, replaced or merged. */

const CLAUSE = "promise: --seccomp-record";

describe.runIf(IS_RUNTS)("recorded seccomp profiles", () => {
  spec(
    "run with --seccomp-merge: adds to the profile in the file, whose own rules stay",
    CLAUSE,
    async (sandbox) => {
      const file = sandbox.path("profile.json");
      const flags = ["--seccomp-record", file, "--seccomp-merge"];
      const record = async (script: string): Promise<Seccomp> => {
        const { code, stderr } = await plainShell(sandbox, script).run({ flags });
        expect([code, stderr]).toEqual([0, ""]);
        return profileIn(file);
      };
      const first = await record("umask 7");
      const both = await record("mkdir /dev/shm/a; umask");
      expect(made(first)).not.toContain("mkdir");
      expect(made(both)).toEqual([...new Set([...made(first), ...made(both)])].sort());
      expect(made(both).some((name) => name.startsWith("mkdir"))).toBe(true);
      // Nothing more to add.
      expect(await record("mkdir /dev/shm/a; umask 7")).toEqual(both);
      const own = { names: ["kill"], action: "SCMP_ACT_KILL_PROCESS" };
      writeFileSync(
        file,
        JSON.stringify({ ...both, defaultErrnoRet: 38, syscalls: [own, ...(both.syscalls ?? [])] }),
      );
      const { stderr } = await plainShell(sandbox, "sync; kill -0 1").run({ flags });
      expect(stderr).toMatch(/the profile denies calls by name that the container has made: kill/);
      const merged = profileIn(file);
      expect([merged.defaultErrnoRet, merged.syscalls?.[0]]).toEqual([38, own]);
      expect(merged.syscalls?.[1]?.names).toContain("sync");
      expect(allowed({ ...merged, syscalls: merged.syscalls?.slice(1) ?? [] })).not.toContain("kill");
      // Without the option, the profile is a new one.
      await plainShell(sandbox, "true").run({ flags: ["--seccomp-record", file] });
      expect(made(profileIn(file))).not.toContain("sync");
      expect(profileIn(file).defaultErrnoRet).toBeUndefined();
    },
    ONLY_RUNTS,
  );

  spec(
    "run with --seccomp-record to a file that can't be written or merged: error, and nothing is made",
    CLAUSE,
    async (sandbox) => {
      const container = plainShell(sandbox, "true");
      const folder = sandbox.path("folder");
      mkdirSync(folder);
      const refused = async (words: RegExp, ...flags: readonly string[]): Promise<void> => {
        for (const command of [container.run({ flags }), container.create({ flags })]) {
          const { code, stderr } = await command;
          expect([code, stderr]).toEqual([1, expect.stringMatching(words)]);
        }
        expect(existsSync(join(sandbox.root, container.id))).toBe(false);
      };
      const record = (file: string) => ["--seccomp-record", file];
      await refused(/^runts: --seccomp-record .*none\/a: ENOENT/, ...record(join(folder, "none/a")));
      await refused(/^runts: --seccomp-record .*folder: is not a regular file\n/, ...record(folder));
      await refused(/^runts: --seccomp-record \/dev\/null: is not a regular file\n/, ...record("/dev/null"));
      const bad = sandbox.path("bad.json");
      const merge = [...record(bad), "--seccomp-merge"];
      writeFileSync(bad, "{}");
      await refused(/bad.json.*defaultAction/, ...merge);
      writeFileSync(bad, JSON.stringify({ defaultAction: "SCMP_ACT_ALLOW" }));
      await refused(/\/defaultAction: SCMP_ACT_ALLOW lets all calls pass/, ...merge);
      await refused(/^runts: --seccomp-merge needs --seccomp-record/, "--seccomp-merge");
      await refused(/must be bpf or notify/, ...record(bad), "--seccomp-record-by", "ptrace");
      const traced = await container.run({ flags: [...record(bad), "--seccomp-trace"] });
      expect(traced.stderr).toMatch(/^runts: --seccomp-trace can't be used with --seccomp-record/);
      // A container that can't be started leaves no profile, and the file is as it was.
      container.config.process.args = ["/none"];
      container.writeConfig();
      const failed = await container.run({ flags: record(bad) });
      expect(failed.code).toBe(1);
      expect(readFileSync(bad, "utf8")).toBe(JSON.stringify({ defaultAction: "SCMP_ACT_ALLOW" }));
    },
    ONLY_RUNTS,
  );

  spec(
    "run with --seccomp-record through a symbolic link: the file behind it is replaced",
    CLAUSE,
    async (sandbox) => {
      const container = plainShell(sandbox, "true");
      const file = sandbox.path("profile.json");
      const link = sandbox.path("link.json");
      writeFileSync(file, "old");
      symlinkSync(file, link);
      expect((await container.run({ flags: ["--seccomp-record", link] })).code).toBe(0);
      expect(readlinkSync(link)).toBe(file);
      expect(made(profileIn(file))).toContain("execve");
    },
    ONLY_RUNTS,
  );
});
