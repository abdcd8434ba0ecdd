import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { expect } from "vitest";
import type { Config, Seccomp } from "../harness/config.ts";
import type { Container } from "../harness/container.ts";
import { kernelFilter } from "../harness/host/kernel-filter.ts";
import { byCase } from "../harness/peers.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { skipWithout, spec } from "../harness/spec.ts";

const CALLS_OF_ITS_OWN = "makes system calls of its own between the filter and the execve";
const ERRNO_UNCHECKED = "an errno for an action that has none, and a missing default action, are not errors";

const CLAUSE = "config-linux.md, Seccomp";
const NATIVE = process.arch === "arm64" ? "SCMP_ARCH_AARCH64" : "SCMP_ARCH_X86_64";
const CHMOD = ["chmod", "fchmod", "fchmodat", "fchmodat2"];

function withFilter(sandbox: Sandbox, script: string, seccomp: Partial<Seccomp>): Container {
  return sandbox.shell(script, (config: Config) => {
    config.linux.seccomp = { defaultAction: "SCMP_ACT_ALLOW", architectures: [NATIVE], ...seccomp };
    config.root.readonly = false;
  });
}

/** The calls of a shell with one child, without chmod. */
const ALL_BUT_CHMOD =
  "read write close fstat newfstatat stat lstat mmap mprotect munmap mremap brk rt_sigaction rt_sigprocmask rt_sigreturn " +
  "rt_sigtimedwait execve exit exit_group arch_prctl set_tid_address set_robust_list rseq prlimit64 getrandom readlink readlinkat " +
  "getuid getgid geteuid getegid getgroups setuid setgid ioctl writev open openat access faccessat faccessat2 getpid getppid gettid " +
  "futex prctl umask uname statx getcwd chdir fcntl wait4 dup dup2 dup3 pipe pipe2 poll ppoll clone clone3 fork vfork kill tgkill " +
  "sysinfo sched_yield sched_getaffinity getpgid getpgrp setpgid getsid lseek clock_gettime nanosleep clock_nanosleep";

const actionDeviations = byCase(
  {
    both: CALLS_OF_ITS_OWN,
    cases: ["SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"],
  },
  { runc: CALLS_OF_ITS_OWN, cases: ["SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"] },
);

for (const [action, output] of [
  ["SCMP_ACT_KILL", "159\n"],
  ["SCMP_ACT_KILL_THREAD", "159\n"],
  ["SCMP_ACT_KILL_PROCESS", "159\n"],
  ["SCMP_ACT_TRAP", "159\n"],
  ["SCMP_ACT_ERRNO", "1\n"],
  ["SCMP_ACT_TRACE", "1\n"],
  ["SCMP_ACT_LOG", "0\n"],
  ["SCMP_ACT_ALLOW", "0\n"],
] as const) {
  spec(
    `run with the default action ${action}: the action is taken for a call without a rule`,
    CLAUSE,
    async (sandbox) => {
      const container = withFilter(sandbox, "chmod 700 /tmp; echo $?", {
        defaultAction: action,
        syscalls: [{ names: ALL_BUT_CHMOD.split(" "), action: "SCMP_ACT_ALLOW" }],
      });
      expect((await container.run()).stdout).toBe(output);
    },
    actionDeviations(action),
  );

  spec(`run with the action ${action}: the action is taken`, CLAUSE, async (sandbox) => {
    const container = withFilter(sandbox, "chmod 700 /tmp; echo $?", {
      syscalls: [{ names: CHMOD, action }],
    });
    const result = await container.run();
    expect(result.stdout).toBe(output);
    // Without a tracer, its calls fail with ENOSYS: seccomp(2).
    if (action === "SCMP_ACT_TRACE") expect(result.stderr).toMatch(/Function not implemented/);
  });
}

spec(
  "run with the action SCMP_ACT_TRAP: the signal can be caught, unlike that of KILL",
  CLAUSE,
  async (sandbox) => {
    const script = "trap 'echo caught' SYS; kill -USR1 $$; echo on";
    const rule = (action: string) => [{ names: ["kill"], action }];
    const trapped = await withFilter(sandbox, script, { syscalls: rule("SCMP_ACT_TRAP") }).run();
    expect(trapped.stdout).toMatch(/^caught\n/);
    const killed = await withFilter(sandbox, script, { syscalls: rule("SCMP_ACT_KILL_PROCESS") }).run();
    expect(killed).toMatchObject({ stdout: "", code: 159 });
  },
);

spec(
  "create with defaultErrnoRet for an action that has none: error",
  CLAUSE,
  async (sandbox) => {
    const container = withFilter(sandbox, "true", { defaultAction: "SCMP_ACT_ALLOW", defaultErrnoRet: 5 });
    expectRefusal(await container.create(), IS_RUNTS ? "/linux/seccomp/defaultErrnoRet" : undefined);
  },
  { runc: ERRNO_UNCHECKED },
);

spec(
  "create with errnoRet for an action that has none: error, nothing left",
  CLAUSE,
  async (sandbox) => {
    const syscalls = [{ names: CHMOD, action: "SCMP_ACT_KILL", errnoRet: 5 }];
    const container = withFilter(sandbox, "true", { syscalls });
    expectRefusal(await container.create(), IS_RUNTS ? "/linux/seccomp/syscalls/0/errnoRet" : undefined);
    expect(await sandbox.traces()).toEqual([]);
  },
  { runc: ERRNO_UNCHECKED },
);

spec("create with an errnoRet that is not an errno: error that names it", "practice", async (sandbox) => {
  const container = withFilter(sandbox, "true", { defaultAction: "SCMP_ACT_ERRNO", defaultErrnoRet: 4095 });
  expectRefusal(await container.create(), IS_RUNTS ? "/linux/seccomp/defaultErrnoRet" : undefined);
});

spec(
  "create without defaultAction: error, nothing left",
  CLAUSE,
  async (sandbox) => {
    const container = withFilter(sandbox, "true", {});
    const { defaultAction: _none, ...rest } = container.config.linux.seccomp ?? { defaultAction: "" };
    const text = JSON.stringify({ ...container.config, linux: { ...container.config.linux, seccomp: rest } });
    container.writeConfig(text);
    expectRefusal(await container.create(), inOurWords("/linux/seccomp/defaultAction: "));
    expect(await sandbox.traces()).toEqual([]);
  },
  { runc: ERRNO_UNCHECKED },
);

const flagDeviations = byCase({
  runc: { reason: "flags came with runc 1.2", before: "1.2" },
  cases: [
    '["SECCOMP_FILTER_FLAG_TSYNC"]',
    '["SECCOMP_FILTER_FLAG_LOG"]',
    '["SECCOMP_FILTER_FLAG_SPEC_ALLOW"]',
    '["SECCOMP_FILTER_FLAG_LOG","SECCOMP_FILTER_FLAG_SPEC_ALLOW","SECCOMP_FILTER_FLAG_TSYNC"]',
  ],
});

for (const flags of [
  [],
  ["SECCOMP_FILTER_FLAG_TSYNC"],
  ["SECCOMP_FILTER_FLAG_LOG"],
  ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"],
  ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC"],
]) {
  spec(
    `start with the flags ${JSON.stringify(flags)}: the kernel has LOG if it is listed`,
    CLAUSE,
    async (sandbox) => {
      const syscalls = [{ names: CHMOD, action: "SCMP_ACT_ERRNO" }];
      const container = withFilter(sandbox, "sleep 1000", { flags, syscalls });
      await container.started();
      const { pid } = await container.state();
      // LOG is the only flag that the kernel reports.
      expect(kernelFilter(pid).flags).toBe(flags.includes("SECCOMP_FILTER_FLAG_LOG") ? 2 : 0);
    },
    flagDeviations(JSON.stringify(flags)),
  );
}

const COMPARISONS: readonly (readonly [op: string, refused: string])[] = [
  ["SCMP_CMP_NE", "INT USR2"],
  ["SCMP_CMP_LT", "INT"],
  ["SCMP_CMP_LE", "INT USR1"],
  ["SCMP_CMP_EQ", "USR1"],
  ["SCMP_CMP_GE", "USR1 USR2"],
  ["SCMP_CMP_GT", "USR2"],
];
/** Signals 2, 10 and 12. */
const SIGNALS = "trap : INT USR1 USR2; for s in INT USR1 USR2; do kill -$s $$ 2>/dev/null || echo $s; done";

for (const [op, refused] of COMPARISONS) {
  spec(`run with a rule on an argument by ${op}: only matching calls fail`, CLAUSE, async (sandbox) => {
    const syscalls = [{ names: ["kill"], action: "SCMP_ACT_ERRNO", args: [{ index: 1, value: 10, op }] }];
    const output = await withFilter(sandbox, SIGNALS, { syscalls }).run();
    expect(output.stdout.trim().split("\n").join(" ")).toBe(refused);
  });
}

spec(
  "run with two comparisons of one argument: either is enough",
  "practice of runc and crun",
  async (sandbox) => {
    const args = [2, 12].map((value) => ({ index: 1, value, op: "SCMP_CMP_EQ" }));
    const syscalls = [{ names: ["kill"], action: "SCMP_ACT_ERRNO", args }];
    expect((await withFilter(sandbox, SIGNALS, { syscalls }).run()).stdout).toBe("INT\nUSR2\n");
  },
);

spec("run with comparisons of two arguments: both are needed", CLAUSE, async (sandbox) => {
  const rule = (pid: number) => [
    {
      names: ["kill"],
      action: "SCMP_ACT_ERRNO",
      args: [
        { index: 0, value: pid, op: "SCMP_CMP_EQ" },
        { index: 1, value: 10, op: "SCMP_CMP_EQ" },
      ],
    },
  ];
  expect((await withFilter(sandbox, SIGNALS, { syscalls: rule(1) }).run()).stdout).toBe("USR1\n");
  expect((await withFilter(sandbox, SIGNALS, { syscalls: rule(2) }).run()).stdout).toBe("");
});

spec("run with a value of more than 53 bits: compared exactly", CLAUSE, async (sandbox) => {
  const seek = (offset: string) =>
    `dd if=/dev/zero of=/dev/null bs=1 count=0 skip=${offset} 2>/dev/null; echo $?`;
  const container = withFilter(sandbox, `${seek("9007199254740992")}; ${seek("9007199254740993")}`, {
    syscalls: [
      {
        names: ["lseek"],
        action: "SCMP_ACT_KILL_PROCESS",
        args: [{ index: 1, value: 9007199254740000, op: "SCMP_CMP_EQ" }],
      },
    ],
  });
  container.writeConfig(JSON.stringify(container.config).replace("9007199254740000", "9007199254740993"));
  expect((await container.run()).stdout).toBe("0\n159\n");
});

const CALLER = `
#include <errno.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(void)
{
	syscall(600);
	int newer = errno;
	syscall(SYS_getpgid, 0);
	printf("%d %d\\n", newer, errno);
	return 0;
}
`;

spec(
  "run with a default of errno, a call newer than all in the profile: ENOSYS",
  "practice of runc: libc falls back on it",
  async (sandbox, context) => {
    skipWithout(context, "gcc");
    const names =
      "read write close fstat newfstatat mmap mprotect munmap brk rt_sigaction rt_sigprocmask rt_sigreturn execve ioctl " +
      "exit exit_group arch_prctl set_tid_address set_robust_list rseq prlimit64 getrandom readlink readlinkat futex writev";
    const container = sandbox.container((config) => {
      config.linux.seccomp = {
        defaultAction: "SCMP_ACT_ERRNO",
        defaultErrnoRet: 71,
        architectures: [NATIVE],
        syscalls: [{ names: names.split(" "), action: "SCMP_ACT_ALLOW" }],
      };
      config.process.args = ["/caller"];
    });
    writeFileSync(sandbox.path("caller.c"), CALLER);
    execFileSync("gcc", ["-static", "-o", `${container.rootfs}/caller`, sandbox.path("caller.c")]);
    expect(await container.output()).toBe("38 71\n");
  },
  {
    crun: "calls newer than the profile get the default errno",
    runc: "opens files after it has loaded the filter, which this profile denies",
  },
);

const ARCHITECTURES =
  "X86 X86_64 X32 ARM AARCH64 MIPS MIPS64 MIPS64N32 MIPSEL MIPSEL64 MIPSEL64N32 PPC PPC64 PPC64LE S390 S390X PARISC PARISC64 " +
  "RISCV64 LOONGARCH64 M68K SH SHEB";

spec("create with each architecture of the specification: its name is known", CLAUSE, async (sandbox) => {
  for (const name of ARCHITECTURES.split(" ")) {
    const container = withFilter(sandbox, "true", { architectures: [NATIVE, `SCMP_ARCH_${name}`] });
    const { code, stderr } = await container.create();
    // A filter can't have architectures of two byte orders, and old libseccomps lack some.
    if (code !== 0 && IS_RUNTS) expect(stderr).toMatch(/libseccomp cannot add this architecture here/);
  }
});
