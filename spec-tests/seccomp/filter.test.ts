import { expect } from "vitest";
import type { Config, Seccomp } from "../harness/config.ts";
import { byCase } from "../harness/peers.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "config-linux.md, Seccomp";
const CHMOD = ["chmod", "fchmod", "fchmodat", "fchmodat2"];
const ARCHITECTURES = [process.arch === "arm64" ? "SCMP_ARCH_AARCH64" : "SCMP_ARCH_X86_64"];

function filter(seccomp: Partial<Seccomp>, noNewPrivileges = true): (config: Config) => void {
  return (config) => {
    config.linux.seccomp = { defaultAction: "SCMP_ACT_ALLOW", architectures: ARCHITECTURES, ...seccomp };
    config.process.noNewPrivileges = noNewPrivileges;
    config.root.readonly = false;
  };
}

for (const noNewPrivileges of [true, false]) {
  const situation = `noNewPrivileges ${noNewPrivileges}`;

  spec(`run with an errno rule, ${situation}: the call fails with EPERM`, CLAUSE, async (sandbox) => {
    const rule = { names: CHMOD, action: "SCMP_ACT_ERRNO" };
    const container = sandbox.shell(
      "chmod 700 /tmp; echo $?; grep ^Seccomp: /proc/self/status",
      filter({ syscalls: [rule] }, noNewPrivileges),
    );
    const result = await container.run();
    expect(result.stderr).toMatch(/Operation not permitted/);
    expect(result.stdout).toBe("1\nSeccomp:\t2\n");
  });

  spec(
    `run with a default of errno and an allow list, ${situation}: the container starts`,
    CLAUSE,
    async (sandbox) => {
      const names =
        "read write close fstat newfstatat stat lstat mmap mprotect munmap brk rt_sigaction rt_sigprocmask rt_sigreturn execve " +
        "exit exit_group arch_prctl set_tid_address set_robust_list rseq prlimit64 getrandom readlink readlinkat getuid getgid " +
        "geteuid getegid setuid setgid setgroups ioctl writev open openat getpid futex prctl capset capget umask uname statx " +
        "getcwd chdir fcntl close_range getppid rt_sigsuspend wait4 dup dup2 dup3 getsockopt sched_yield openat2 faccessat2 faccessat setresuid setresgid";
      const container = sandbox.container((config) => {
        filter(
          {
            defaultAction: "SCMP_ACT_ERRNO",
            syscalls: [{ names: names.split(" "), action: "SCMP_ACT_ALLOW" }],
          },
          noNewPrivileges,
        )(config);
        config.process.args = ["echo", "started"];
      });
      expect(await container.output()).toBe("started\n");
    },
    { runc: "Go's runtime and the rest of the set-up need more system calls after the filter is loaded" },
  );

  spec(`run with a kill rule, ${situation}: the process dies of SIGSYS`, CLAUSE, async (sandbox) => {
    const rule = { names: CHMOD, action: "SCMP_ACT_KILL_PROCESS" };
    const container = sandbox.shell("chmod 700 /tmp; echo $?", filter({ syscalls: [rule] }, noNewPrivileges));
    expect((await container.run()).stdout).toBe("159\n");
  });
}

spec("run with errnoRet: the call fails with it", CLAUSE, async (sandbox) => {
  const rule = { names: CHMOD, action: "SCMP_ACT_ERRNO", errnoRet: 38 };
  expect((await sandbox.shell("chmod 700 /tmp", filter({ syscalls: [rule] })).run()).stderr).toMatch(
    /Function not implemented/,
  );
});

spec("run with a rule on an argument: only matching calls fail", CLAUSE, async (sandbox) => {
  // Engines' default profiles have such rules: they allow a few values of personality(2)'s argument.
  const rule = {
    names: ["kill"],
    action: "SCMP_ACT_ERRNO",
    args: [{ index: 1, value: 10, op: "SCMP_CMP_EQ" }],
  };
  const container = sandbox.shell(
    "trap 'echo usr2' USR2; kill -USR1 $$ || echo refused; kill -USR2 $$",
    filter({ syscalls: [rule] }),
  );
  expect((await container.run()).stdout).toBe("refused\nusr2\n");
});

spec("run with a masked-equal rule on an argument: only matching calls fail", CLAUSE, async (sandbox) => {
  const rule = {
    names: ["kill"],
    action: "SCMP_ACT_ERRNO",
    args: [{ index: 1, value: 8, valueTwo: 8, op: "SCMP_CMP_MASKED_EQ" }],
  };
  const container = sandbox.shell(
    "trap 'echo usr1' USR1; trap 'echo int' INT; kill -USR1 $$ || echo refused; kill -INT $$",
    filter({ syscalls: [rule] }),
  );
  expect((await container.run()).stdout).toBe("refused\nint\n");
});

spec("run with a name that no kernel knows: skipped", "practice of runc and crun", async (sandbox) => {
  const rule = { names: ["syscall_of_the_future", ...CHMOD], action: "SCMP_ACT_ERRNO" };
  const result = await sandbox.shell("chmod 700 /tmp", filter({ syscalls: [rule] })).run();
  expect(result.stderr).toMatch(/Operation not permitted/);
});

spec(
  "run with a rule equal to the default action: no error",
  "practice of runc and crun",
  async (sandbox) => {
    const rule = { names: CHMOD, action: "SCMP_ACT_ALLOW" };
    expect(await sandbox.shell("echo ran", filter({ syscalls: [rule] })).output()).toBe("ran\n");
  },
);

spec("run without seccomp: no filter", CLAUSE, async (sandbox) => {
  expect(await sandbox.shell("grep ^Seccomp: /proc/self/status").output()).toBe("Seccomp:\t0\n");
});

spec(
  "run without CAP_SYS_ADMIN and without noNewPrivileges: the filter is loaded before capabilities go",
  "runtime-tools",
  async (sandbox) => {
    const rule = { names: CHMOD, action: "SCMP_ACT_ERRNO" };
    const container = sandbox.shell("chmod 700 /tmp", (config) => {
      filter({ syscalls: [rule] }, false)(config);
      config.process.capabilities = { bounding: [], effective: [], permitted: [] };
      config.process.user = { uid: 1000, gid: 1000 };
    });
    expect((await container.run()).stderr).toMatch(/Operation not permitted/);
  },
);

const deviations = byCase({ crun: "an unknown flag passes", cases: ["an unknown flag"] });

for (const [situation, pointer, seccomp] of [
  ["an unknown action", "defaultAction", { defaultAction: "SCMP_ACT_NOSUCH" }],
  [
    "an unknown action in a rule",
    "syscalls/0/action",
    { syscalls: [{ names: ["chmod"], action: "SCMP_ACT_NOSUCH" }] },
  ],
  ["an unknown architecture", "architectures/0", { architectures: ["SCMP_ARCH_NOSUCH"] }],
  [
    "an unknown operator",
    "syscalls/0/args/0/op",
    {
      syscalls: [
        { names: ["kill"], action: "SCMP_ACT_ERRNO", args: [{ index: 0, value: 1, op: "SCMP_CMP_NOSUCH" }] },
      ],
    },
  ],
  ["an unknown flag", "flags/0", { flags: ["SECCOMP_FILTER_FLAG_NOSUCH"] }],
  [
    "an argument index above 5",
    "syscalls/0/args/0/index",
    {
      syscalls: [
        { names: ["kill"], action: "SCMP_ACT_ERRNO", args: [{ index: 6, value: 1, op: "SCMP_CMP_EQ" }] },
      ],
    },
  ],
] as const) {
  spec(
    `create, seccomp with ${situation}: error, nothing left`,
    CLAUSE,
    async (sandbox) => {
      const container = sandbox.container((config) => {
        filter({})(config);
      });
      container.writeConfig(
        JSON.stringify({
          ...container.config,
          linux: { ...container.config.linux, seccomp: { ...container.config.linux.seccomp, ...seccomp } },
        }),
      );
      expectRefusal(await container.create(), inOurWords(`/linux/seccomp/${pointer}: `));
      expect(await sandbox.traces()).toEqual([]);
    },
    deviations(situation),
  );
}

spec("run with a rule without names: skipped, the others hold", CLAUSE, async (sandbox) => {
  const container = sandbox.shell("chmod 700 /tmp; echo $?", (config) => {
    const syscalls = [
      { names: [], action: "SCMP_ACT_KILL" },
      { names: ["chmod", "fchmod", "fchmodat", "fchmodat2"], action: "SCMP_ACT_ERRNO" },
    ];
    config.linux.seccomp = { defaultAction: "SCMP_ACT_ALLOW", syscalls };
    config.root.readonly = false;
  });
  expect(await container.output()).toBe("1\n");
});
