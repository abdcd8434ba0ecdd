import { join } from "node:path";
import { describe, expect } from "vitest";
import { type Seccomp, writableCgroup } from "../harness/config.ts";
import type { Container } from "../harness/container.ts";
import { addProgram } from "../harness/helpers/c-program.ts";
import {
  allowed,
  made,
  ONLY_RUNTS,
  plainShell,
  profileIn,
  until,
  withProfile,
} from "../harness/helpers/seccomp-recording.ts";
import { becomeUser, ownFolder, rootlessShell } from "../harness/host/user.ts";
import { IS_RUNTS, which } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { skipWithout, spec } from "../harness/spec.ts";

/** Which calls and arguments a recorded profile has. */

const CLAUSE = "promise: --seccomp-record";

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

function argumentsOf({ syscalls = [] }: Seccomp, name: string): Argument[] {
  return syscalls
    .filter(({ names }) => names.includes(name))
    .flatMap(({ args = [] }) => args.map((arg) => ({ ...arg, value: Number(arg.value) })));
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
});
