import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { expect } from "vitest";
import { which } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

/** A process may call the kernel by another architecture's numbers, and must not get around the filter's rules by that. */

const CLAUSE = "config-linux.md, Seccomp: architectures";
const X86_64 = "SCMP_ARCH_X86_64";
const FOREIGN = ["SCMP_ARCH_X86", "SCMP_ARCH_X32"];

/** Calls getpgid(2) in three ways, each in a child of its own. Prints the errno, or the signal as a negative number. */
const PROGRAM = `
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
static long by_x86_64(long nr) { long r; __asm__ volatile("syscall" : "=a"(r) : "a"(nr), "D"(0L) : "rcx", "r11", "memory"); return r; }
static long by_x86(long nr) { long r; __asm__ volatile("int $0x80" : "=a"(r) : "a"(nr), "b"(0L) : "r8", "r9", "r10", "r11", "memory"); return (int)r; }
static void try(long (*call)(long), long nr)
{
	int status;
	pid_t child = fork();
	if (child == 0) { long r = call(nr); _exit(r < 0 ? -r : 0); }
	waitpid(child, &status, 0);
	printf("%d ", WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status));
	fflush(stdout);
}
/* getpgid(0): 121 on x86-64, 132 on x86. */
int main(void) { try(by_x86_64, 121); try(by_x86, 132); try(by_x86_64, 0x40000000 | 121); return 0; }
`;

const SIGSYS = 31;
const SIGSEGV = 11;

async function callsBy(sandbox: Sandbox, architectures: readonly string[] | undefined): Promise<number[]> {
  const container = sandbox.container((config) => {
    const syscalls = [{ names: ["getpgid"], action: "SCMP_ACT_ERRNO", errnoRet: 77 }];
    config.linux.seccomp = {
      defaultAction: "SCMP_ACT_ALLOW",
      ...(architectures !== undefined && { architectures: [...architectures] }),
      syscalls,
    };
    config.process.args = ["/caller"];
  });
  writeFileSync(sandbox.path("caller.c"), PROGRAM);
  execFileSync("gcc", ["-static", "-O1", "-o", `${container.rootfs}/caller`, sandbox.path("caller.c")]);
  return (await container.output()).trim().split(" ").map(Number);
}

for (const [situation, architectures] of [
  ["none", undefined],
  ["the native one", [X86_64]],
] as const) {
  spec(
    `run with ${situation} in architectures: a call by another architecture's numbers is killed`,
    CLAUSE,
    async (sandbox, context) => {
      if (process.arch !== "x64" || which("gcc") === undefined) context.skip("needs x86-64 and gcc");
      const [native, x86, x32] = await callsBy(sandbox, architectures);
      expect(native).toBe(77);
      // In a kernel without 32-bit calls, int 0x80 ends the process by SIGSEGV.
      expect([-SIGSYS, -SIGSEGV]).toContain(x86);
      expect(x32).toBe(-SIGSYS);
    },
  );
}

spec(
  "run with foreign architectures alone: the rules hold for their numbers, and for the native ones, which are not listed",
  CLAUSE,
  async (sandbox, context) => {
    if (process.arch !== "x64" || which("gcc") === undefined) context.skip("needs x86-64 and gcc");
    const [native, x86, x32] = await callsBy(sandbox, FOREIGN);
    expect(native).toBe(77);
    expect([77, -SIGSEGV]).toContain(x86);
    expect(x32).toBe(77);
  },
);
