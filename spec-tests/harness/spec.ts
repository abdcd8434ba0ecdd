import type { TestContext } from "vitest";
import { judgedTest, type TestOptions } from "./judged-test.ts";
import { RUNTIME, which } from "./runtime.ts";
import { Sandbox } from "./sandbox.ts";

export type Body = (sandbox: Sandbox, context: TestContext) => Promise<void>;

/**
 * One requirement. The title reads `<command> <situation>: <what is required>`, the clause says by what. Afterwards everything is
 * deleted, and the test fails when a process, mount, cgroup, state or temporary file is left on the host.
 *
 * It may take 90 s, or `timeoutMs`. The options also say how runc and crun differ from the requirement, if they do.
 */
export function spec(title: string, clause: string, body: Body, options: TestOptions = {}): void {
  const run = async (context: TestContext): Promise<void> => {
    const sandbox = new Sandbox();
    let traces: string[] = [];
    try {
      await body(sandbox, context);
    } finally {
      traces = await sandbox.close();
    }
    if (traces.length > 0) throw new Error(`left on the host:\n${traces.join("\n")}`);
  };
  judgedTest({ title, name: `${title} (${clause})`, path: RUNTIME, ...options }, run);
}

/** For the beginning of a test that needs a program of the machine, which `npm test` installs: skips it, with the reason, where that is missing. */
export function skipWithout(context: TestContext, program: string): void {
  if (which(program) === undefined) context.skip(`${program} is not installed`);
}
