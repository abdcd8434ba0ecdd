import { readFileSync } from "node:fs";
import { describe, expect } from "vitest";
import type { Config } from "../harness/config.ts";
import { asObject, parseObject } from "../harness/json.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "promise: seccomp explain and --seccomp-trace";

const denying = (config: Config): void => {
  config.linux.seccomp = {
    defaultAction: "SCMP_ACT_ALLOW",
    syscalls: [
      { names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 13 },
      { names: ["sethostname"], action: "SCMP_ACT_ERRNO" },
      {
        names: ["kill"],
        action: "SCMP_ACT_KILL_PROCESS",
        args: [{ index: 1, value: 10, op: "SCMP_CMP_EQ" }],
      },
    ],
  };
};

describe.runIf(IS_RUNTS)("explained seccomp profiles", () => {
  spec("seccomp explain ID and --bundle: the rule by which the kernel decides", CLAUSE, async (sandbox) => {
    const container = sandbox.shell("sleep 100", denying);
    await container.created();
    for (const where of [[container.id], ["--bundle", container.bundle]]) {
      const explain = async (...words: string[]) => {
        const flags = where.length === 2 ? where : [];
        const ids = where.length === 2 ? [] : where;
        const { code, stdout, stderr } = await sandbox.invoke([
          "seccomp",
          ...flags,
          "--json",
          "explain",
          ...ids,
          ...words,
        ]);
        expect([code, stderr]).toEqual([0, ""]);
        const { allowed, pointer, action } = parseObject(stdout);
        return [allowed, pointer, action];
      };
      const rule = (index: number) => `/linux/seccomp/syscalls/${index}`;
      expect(await explain("mkdirat")).toEqual([false, rule(0), "SCMP_ACT_ERRNO EACCES"]);
      const number = process.arch === "arm64" ? "34" : "258";
      expect(await explain(number)).toEqual([false, rule(0), "SCMP_ACT_ERRNO EACCES"]);
      expect(await explain("kill", "1", "10")).toEqual([false, rule(2), "SCMP_ACT_KILL_PROCESS"]);
      expect(await explain("kill", "1", "0x9")).toEqual([
        true,
        "/linux/seccomp/defaultAction",
        "SCMP_ACT_ALLOW",
      ]);
      const six = ["0", "10", "2", "3", "4", "5"];
      expect(await explain("kill", ...six)).toEqual([false, rule(2), "SCMP_ACT_KILL_PROCESS"]);
      const seven = await sandbox.invoke(["seccomp", "explain", ...where, "kill", ...six, "6"]);
      expect([seven.code, seven.stdout]).toEqual([1, ""]);
    }
    const { stdout } = await sandbox.invoke(["seccomp", "explain", container.id, "kill", "1", "9"]);
    expect(stdout).toContain("argument 1: not 0x9 == 0xa");
  });

  spec(
    "seccomp explain without a known call, a container or a filter: an error for each",
    CLAUSE,
    async (sandbox) => {
      const container = sandbox.shell("sleep 100", (config) => {
        delete config.linux.seccomp;
      });
      await container.created();
      const failing = async (...args: string[]) =>
        (await sandbox.invoke(["seccomp", ...args])).stderr.split("\n")[0];
      expect(await failing("explain", container.id, "mount")).toBe(
        "runts: /linux/seccomp: there is no filter: every system call is allowed",
      );
      expect(await failing("explain", "nobody", "mount")).toBe("runts: container does not exist");
      expect(await failing("explore", "x", "y")).toBe('runts: seccomp "explore": must be explain');
      const other = sandbox.shell("sleep 100", denying);
      await other.created();
      expect(await failing("explain", other.id, "monut")).toBe(
        "runts: monut is not a system call known to libseccomp",
      );
      expect(await failing("explain", other.id, "mount", "x")).toBe(
        "runts: seccomp explain: x is not a number",
      );
      expect(await failing("explain", other.id, "mount", "0x10000000000000000")).toBe(
        "runts: seccomp explain: 0x10000000000000000 has more than 64 bits",
      );
      expect(await failing("explain", other.id, "9999")).toBe(
        "runts: 9999 is not a system call known to libseccomp",
      );
    },
  );

  spec(
    "run --seccomp-trace: denied calls are still denied, and reported with a rule to add",
    CLAUSE,
    async (sandbox) => {
      const script = "mkdir /dev/shm/a || echo no; mkdir /dev/shm/b; hostname x 2> /dev/null; exit 6";
      const container = sandbox.shell(script, denying);
      const plain = await container.run();
      const { code, stdout, stderr } = await container.run({ flags: ["--seccomp-trace"] });
      expect([code, stdout]).toEqual([plain.code, plain.stdout]);
      expect([code, stdout]).toEqual([6, "no\n"]);
      const report = stderr.slice(stderr.indexOf("seccomp-trace: "));
      expect(stderr.slice(0, stderr.indexOf("seccomp-trace: "))).toBe(plain.stderr);
      expect(report).toMatch(
        /^ {2}mkdir(at)? +SCMP_ACT_ERRNO EACCES by \/linux\/seccomp\/syscalls\/0, 2 times, first with \(0x/m,
      );
      expect(report).toMatch(
        /^ {2}sethostname +SCMP_ACT_ERRNO EPERM by \/linux\/seccomp\/syscalls\/1, once with/m,
      );
      const fragment = asObject(JSON.parse(report.trim().split("\n").at(-1) ?? ""));
      expect(fragment.action).toBe("SCMP_ACT_ALLOW");
      // With this rule, the program can make the calls that were denied.
      const { seccomp } = container.config.linux;
      if (seccomp === undefined) throw new Error("no profile");
      const { names } = fragment;
      if (!Array.isArray(names)) throw new Error("no names");
      seccomp.syscalls = [{ names: names.map(String), action: "SCMP_ACT_ALLOW" }];
      container.writeConfig();
      const allowed = await container.run({ flags: ["--seccomp-trace"] });
      expect([allowed.code, allowed.stdout]).toEqual([6, ""]);
      expect(allowed.stderr).toBe("seccomp-trace: no system call was denied\n");
    },
  );

  spec(
    "run --seccomp-trace, the default action denies: calls that no rule names are reported",
    CLAUSE,
    async (sandbox) => {
      const container = sandbox.shell("umask 7; sleep 0; exit 3", (config) => {
        config.linux.seccomp = { defaultAction: "SCMP_ACT_ERRNO", syscalls: [] };
        const denied = ["umask", "reboot"];
        // More than all calls that a shell may make.
        const allowed =
          "read write open openat close fstat newfstatat stat lstat lseek mmap mprotect munmap brk rt_sigaction rt_sigprocmask rt_sigreturn ioctl " +
          "pread64 access pipe pipe2 dup dup2 dup3 getpid getppid clone clone3 fork vfork execve exit exit_group wait4 uname fcntl getcwd " +
          "readlink getuid geteuid getgid getegid getpgrp setpgid arch_prctl set_tid_address set_robust_list rseq prlimit64 getrandom " +
          "nanosleep clock_nanosleep futex gettid tgkill sigaltstack poll select sysinfo getrlimit statx faccessat faccessat2 clock_gettime";
        config.linux.seccomp.syscalls = [
          { names: allowed.split(" ").filter((name) => !denied.includes(name)), action: "SCMP_ACT_ALLOW" },
        ];
      });
      const { code, stderr } = await container.run({ flags: ["--seccomp-trace"] });
      expect(stderr).toMatch(/^ {2}umask +SCMP_ACT_ERRNO EPERM by \/linux\/seccomp\/defaultAction/m);
      expect(code).toBe(3);
    },
  );

  spec("run --seccomp-trace, the profile kills: the process is killed", CLAUSE, async (sandbox) => {
    const container = sandbox.shell("sh -c 'kill -USR1 1; echo survived'; echo after", denying);
    const log = sandbox.path("log");
    const globals = ["--debug", "--log", log];
    const { stdout, stderr } = await container.run({ globals, flags: ["--seccomp-trace"] });
    expect(stdout).toBe("after\n");
    expect(readFileSync(log, "utf8")).toMatch(/runtime: send SIGKILL to process \d+/);
    expect(stderr).toMatch(
      /kill +SCMP_ACT_KILL_PROCESS by \/linux\/seccomp\/syscalls\/2, once with \(0x1, 0xa/,
    );
  });

  spec("run --seccomp-trace without a filter, or detached: error, no container", CLAUSE, async (sandbox) => {
    const container = sandbox.shell("true", (config) => {
      delete config.linux.seccomp;
    });
    const refused = await container.run({ flags: ["--seccomp-trace"] });
    expect([refused.code, refused.stderr]).toEqual([
      1,
      "runts: /linux/seccomp: there is no filter to trace (--seccomp-trace)\n",
    ]);
    const detached = await container.run({ flags: ["--seccomp-trace", "--detach"] });
    expect(detached.code).toBe(1);
    expect(detached.stderr).toMatch(/^runts: --seccomp-trace can.t be used with --detach/);
  });
});
