import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { becomeUser } from "../harness/host/user.ts";
import type { InvokeOptions, Result } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

/** Neither runc nor crun has anything like it. */
export const ONLY_RUNTS = { both: "has no such command" };

export const CLAUSE = "docs/sandbox.md";

/** The working directory of the test, which everybody may write to, with a file in it. */
export function workDirectory(sandbox: Sandbox): string {
  const directory = sandbox.path("work");
  mkdirSync(directory, { recursive: true });
  chmodSync(directory, 0o777);
  writeFileSync(`${directory}/source`, "text\n");
  return directory;
}

/** Runs `runts sandbox` with these words in the working directory. HOME is elsewhere. */
export function runSandbox(
  sandbox: Sandbox,
  words: readonly string[],
  options: Partial<InvokeOptions> = {},
): Promise<Result> {
  const env = { HOME: "/home/tester", ...options.env };
  return sandbox.invoke(["sandbox", ...words], { cwd: workDirectory(sandbox), ...options, env });
}

/** Runs a line of shell in a sandbox with these options, and returns its lines. */
export async function linesOf(
  sandbox: Sandbox,
  options: readonly string[],
  script: string,
): Promise<readonly string[]> {
  const { code, stdout, stderr } = await runSandbox(sandbox, [...options, "--", "sh", "-c", script]);
  if (code !== 0) throw new Error(`exit code ${code}: ${stdout}${stderr}`);
  return stdout.trimEnd().split("\n");
}

/** The same test as root and as a user without privileges. */
export function asBoth(title: string, body: (sandbox: Sandbox, uid: number) => Promise<void>): void {
  spec(`sandbox as root, ${title}`, CLAUSE, (sandbox) => body(sandbox, 0), ONLY_RUNTS);
  spec(
    `sandbox as a user, ${title}`,
    CLAUSE,
    async (sandbox) => {
      becomeUser(sandbox);
      await body(sandbox, 1500);
    },
    ONLY_RUNTS,
  );
}
