import { existsSync, mkdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect } from "vitest";
import { type Config, type Seccomp, writableCgroup } from "../harness/config.ts";
import type { Container } from "../harness/container.ts";
import { addProgram } from "../harness/helpers/c-program.ts";
import { openFilesOf, textOf } from "../harness/host/processes.ts";
import { becomeUser, ownFolder, rootlessShell } from "../harness/host/user.ts";
import { asObject, parseObject } from "../harness/json.ts";
import { expectRefusal } from "../harness/refusal.ts";
import { IS_RUNTS, which } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { skipWithout, spec } from "../harness/spec.ts";

const CLAUSE = "promise: --seccomp-record";
const ONLY_RUNTS = { both: "has no such option" };

const EQ = "SCMP_CMP_EQ";
const MASKED = "SCMP_CMP_MASKED_EQ";
const AF_UNIX = 1;
const AF_INET = 2;
const NAMESPACES = 0x7e020000;
const isX86 = process.arch === "x64";

interface Argument {
  readonly index: number;
  readonly value: number;
  readonly valueTwo?: number;
  readonly op: string;
}

function profileIn(file: string): Seccomp {
  return JSON.parse(readFileSync(file, "utf8"));
}

/** Calls that a profile allows, by rule: those with all arguments, or each with its comparison. */
function allowed({ syscalls = [] }: Seccomp): string[] {
  return syscalls.filter(({ args }) => args === undefined).flatMap(({ names }) => names);
}

/** The names of the first rule: the calls that were made, without those that any start needs. */
function made({ syscalls = [] }: Seccomp): readonly string[] {
  return syscalls[0]?.names ?? [];
}

function argumentsOf({ syscalls = [] }: Seccomp, name: string): Argument[] {
  return syscalls
    .filter(({ names }) => names.includes(name))
    .flatMap(({ args = [] }) => args.map((arg) => ({ ...arg, value: Number(arg.value) })));
}

function withProfile(container: Container, profile: Seccomp): void {
  container.config.linux.seccomp = profile;
  container.writeConfig();
}

function plainShell(sandbox: Sandbox, script: string, mutate: (config: Config) => void = () => undefined) {
  return sandbox.shell(script, (config) => {
    delete config.linux.seccomp;
    mutate(config);
  });
}

/** A container with a program of C, which runs without libraries. */
function programOf(sandbox: Sandbox, source: string): Container {
  const container = sandbox.container((config) => {
    delete config.linux.seccomp;
    config.process.args = ["/program"];
  });
  addProgram(sandbox, container, "program", `#define _GNU_SOURCE\n${source}`);
  return container;
}

/** Prints the errno of each call. */
const CALLS = `
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <unistd.h>
static void say(long result) { printf("%d ", result < 0 ? errno : 0); fflush(stdout); }
`;

async function until(text: string, printed: () => string): Promise<void> {
  for (const deadline = Date.now() + 20_000; printed() !== text; await sleep(20))
    if (Date.now() > deadline) throw new Error(`still ${printed()} after 20 s, not ${text}`);
}

/** The process that holds the recording. */
function holderOf(sandbox: Sandbox, container: Container): number {
  const record = parseObject(readFileSync(join(sandbox.root, container.id, "state.json"), "utf8"));
  return Number(asObject(record.recorder).pid);
}

describe.runIf(IS_RUNTS)("recorded seccomp profiles", () => {
  for (const noNewPrivileges of [true, false])
    spec(
      `run with --seccomp-record, noNewPrivileges ${noNewPrivileges}: runts, runc and crun run the program under its profile, unchanged`,
      CLAUSE,
      async (sandbox) => {
        const script =
          "echo $(ls /) | wc -w; (sleep 0; cat /etc/hostname 2> /dev/null); mkdir -p /dev/shm/a; exit 4";
        const container = plainShell(sandbox, script, (config) => {
          config.process.noNewPrivileges = noNewPrivileges;
        });
        const plain = await container.run();
        const file = sandbox.path("profile.json");
        const recorded = await container.run({ flags: ["--seccomp-record", file] });
        expect([recorded.code, recorded.stdout, recorded.stderr]).toEqual([4, plain.stdout, ""]);
        const profile = profileIn(file);
        expect(profile.defaultAction).toBe("SCMP_ACT_ERRNO");
        expect(made(profile)).toEqual(expect.arrayContaining(["execve", "wait4", "exit_group", "write"]));
        expect(argumentsOf(profile, "clone")).toEqual([
          { index: 0, value: NAMESPACES, valueTwo: 0, op: MASKED },
        ]);
        withProfile(container, profile);
        for (const runtime of [undefined, "/usr/sbin/runc", "/usr/bin/crun"]) {
          if (runtime !== undefined && which(runtime) === undefined) continue;
          const { code, stdout, stderr } = await container.run(runtime === undefined ? {} : { runtime });
          expect([runtime, code, stdout, stderr]).toEqual([runtime, 4, plain.stdout, plain.stderr]);
        }
        // The runtime has made these itself, before the program.
        for (const own of ["mount", "pivot_root", "sethostname", "unshare"])
          expect(allowed(profile)).not.toContain(own);
        container.config.process.args = ["sh", "-c", "sync; hostname other || echo no"];
        container.writeConfig();
        expect((await container.run()).stdout).toBe("no\n");
      },
      ONLY_RUNTS,
    );

  spec(
    "run with --seccomp-record, a program that passes arguments: those of socket, personality and the like are recorded",
    CLAUSE,
    async (sandbox, context) => {
      skipWithout(context, "gcc");
      const container = programOf(
        sandbox,
        `${CALLS}
int main(int argc, char **argv)
{
	say(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)); say(socket(AF_INET, SOCK_DGRAM, 0)); say(personality(0xffffffff));
	say(setns(-1, CLONE_NEWNET)); say(unshare(CLONE_FS));
	if (argc > 1) { say(socket(AF_NETLINK, SOCK_RAW, 0)); say(personality(PER_BSD)); say(unshare(CLONE_NEWUTS)); }
	return 0;
}`,
      );
      const file = sandbox.path("profile.json");
      const { stdout } = await container.run({ flags: ["--seccomp-record", file] });
      const profile = profileIn(file);
      const exactly = (index: number, value: number): Argument => ({ index, value, op: EQ });
      expect(argumentsOf(profile, "socket")).toEqual([exactly(0, AF_UNIX), exactly(0, AF_INET)]);
      expect(argumentsOf(profile, "personality")).toEqual([exactly(0, 0xffffffff)]);
      expect(argumentsOf(profile, "setns")).toEqual([exactly(1, 0x40000000)]);
      expect(argumentsOf(profile, "unshare")).toEqual([exactly(0, 0x200)]);
      withProfile(container, profile);
      container.config.process.args = ["/program", "more"];
      container.writeConfig();
      expect((await container.run()).stdout).toBe(`${stdout}1 1 1 `);
    },
    ONLY_RUNTS,
  );

  spec(
    "run with --seccomp-record, more values than a program has constants: the call is allowed with all, with a warning",
    CLAUSE,
    async (sandbox, context) => {
      skipWithout(context, "gcc");
      const container = programOf(
        sandbox,
        `${CALLS}
int main(void) { for (int i = 100; i < 3000; i++) socket(i, 0, 0); unshare(CLONE_FS); return 0; }`,
      );
      const file = sandbox.path("profile.json");
      const { code, stderr } = await container.run({ flags: ["--seccomp-record", file] });
      expect(code).toBe(0);
      expect(stderr).toMatch(/--seccomp-record: the profile allows .*socket.* with all arguments/);
      expect(made(profileIn(file))).toEqual(expect.arrayContaining(["socket", "unshare"]));
      expect(argumentsOf(profileIn(file), "socket")).toEqual([]);
    },
    ONLY_RUNTS,
  );

  for (const by of ["bpf", "notify"])
    spec(
      `run with --seccomp-record-by ${by}, 32-bit calls: their names and their architecture are recorded`,
      CLAUSE,
      async (sandbox, context) => {
        skipWithout(context, "gcc");
        if (!isX86) context.skip("int 0x80 is an instruction of x86");
        // getpgid(0) is 132 on x86, sethostname on x86-64; 121 is getpgid on x86-64, setdomainname on x86.
        const container = programOf(
          sandbox,
          `${CALLS}
int main(void)
{
	long result;
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(132L), "b"(0L) : "r8", "r9", "r10", "r11", "memory");
	say(socket(AF_UNIX, SOCK_STREAM, 0));
	__asm__ volatile("syscall" : "=a"(result) : "a"(0x40000000L | 186), "D"(0L) : "rcx", "r11", "memory");
	syscall(5000);
	return 0;
}`,
        );
        const file = sandbox.path("profile.json");
        const flags = ["--seccomp-record", file, "--seccomp-record-by", by];
        const { code, stderr } = await container.run({ flags });
        expect(code).toBe(0);
        expect(stderr).toMatch(/no name is known for some calls, .*: numbers that no system call has/);
        const profile = profileIn(file);
        expect(profile.architectures).toEqual(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]);
        expect(made(profile)).toEqual(expect.arrayContaining(["getpgid", "gettid"]));
        expect(allowed(profile)).not.toContain("sethostname");
        expect(argumentsOf(profile, "socket")).toEqual([{ index: 0, value: AF_UNIX, op: EQ }]);
        withProfile(container, profile);
        expect((await container.run()).code).toBe(0);
      },
      ONLY_RUNTS,
    );

  spec(
    "run with --seccomp-record-by notify: records what bpf records",
    CLAUSE,
    async (sandbox) => {
      const container = plainShell(sandbox, "ls / | sort | tail -1; (umask 7; true); exit 2");
      const files = ["bpf", "notify"].map((by) => ({ by, file: sandbox.path(`${by}.json`) }));
      for (const { by, file } of files) {
        const flags = ["--seccomp-record", file, "--seccomp-record-by", by];
        const { code, stderr } = await container.run({ flags });
        expect([by, code, stderr]).toEqual([by, 2, ""]);
      }
      const [bpf, notify] = files.map(({ file }) => profileIn(file));
      expect(notify).toEqual(bpf);
      expect(made(profileIn(files[0]?.file ?? ""))).toContain("umask");
    },
    ONLY_RUNTS,
  );

  spec(
    "run with --seccomp-record by a user without privileges: says once that each call waits, and records all the same",
    CLAUSE,
    async (sandbox) => {
      becomeUser(sandbox);
      const container = rootlessShell(sandbox, "umask 7; (cat /proc/self/comm); exit 3", (config) => {
        delete config.linux.seccomp;
      });
      const file = join(ownFolder(sandbox), "profile.json");
      const recorded = await container.run({ flags: ["--seccomp-record", file] });
      expect([recorded.code, recorded.stdout]).toEqual([3, "cat\n"]);
      expect(recorded.stderr).toMatch(
        /^time=\S+ level=warning msg="--seccomp-record: each system call waits for the runtime, since BPF can't be used: [^\n]*EPERM[^\n]*\n$/,
      );
      expect(made(profileIn(file))).toContain("umask");
      const refused = await container.run({
        flags: ["--seccomp-record", file, "--seccomp-record-by", "bpf"],
      });
      expect([refused.code, refused.stderr]).toEqual([
        1,
        expect.stringMatching(
          /^runts: --seccomp-record-by bpf: bpf .*EPERM: it needs CAP_BPF and CAP_PERFMON/,
        ),
      ]);
      withProfile(container, profileIn(file));
      const again = await container.run();
      expect([again.code, again.stdout, again.stderr]).toEqual([3, "cat\n", ""]);
      const created = await container.create({ flags: ["--seccomp-record", file] });
      expect(created.code).toBe(1);
      expect(created.stderr).toMatch(/can be used by `run` in the foreground only/);
    },
    ONLY_RUNTS,
  );

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
    "run with --seccomp-record, exec and a sub-cgroup: their calls are recorded, and not those by which exec joins",
    CLAUSE,
    async (sandbox) => {
      const script =
        "mkdir /sys/fs/cgroup/sub; echo $$ > /sys/fs/cgroup/sub/cgroup.procs; sync; echo ready; until [ -e /dev/shm/end ]; do :; done";
      const container = plainShell(sandbox, script, writableCgroup);
      const file = sandbox.path("profile.json");
      await container.started({ flags: ["--seccomp-record", file] });
      await until("ready", () => container.printed());
      expect((await container.exec(["sh", "-c", "umask 7; touch /dev/shm/end"])).code).toBe(0);
      await container.until("stopped");
      expect((await container.delete()).code).toBe(0);
      expect(made(profileIn(file))).toEqual(expect.arrayContaining(["sync", "umask"]));
      for (const own of ["setns", "capset", "setuid", "setgid", "close_range", "seccomp"])
        expect(made(profileIn(file))).not.toContain(own);
    },
    ONLY_RUNTS,
  );

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

  for (const by of ["bpf", "notify"])
    spec(
      `run with --seccomp-record-by ${by}, the container has a profile: it still denies, and what it denies is not recorded`,
      CLAUSE,
      async (sandbox) => {
        const container = sandbox.shell("sync; mkdir /dev/shm/a 2> /dev/null || echo no", (config) => {
          config.linux.seccomp = {
            defaultAction: "SCMP_ACT_ALLOW",
            syscalls: [{ names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 13 }],
          };
        });
        const file = sandbox.path("profile.json");
        const flags = ["--seccomp-record", file, "--seccomp-record-by", by];
        const { stdout, stderr } = await container.run({ flags });
        expect([stdout, stderr]).toEqual(["no\n", ""]);
        expect(made(profileIn(file))).toContain("sync");
        expect(allowed(profileIn(file)).filter((name) => name.startsWith("mkdir"))).toEqual([]);
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
