import { type TestContext, test } from "vitest";
import { deviation } from "./peers.ts";
import { RUNTIME_NAME } from "./runtime.ts";
import { Sandbox } from "./sandbox.ts";

export type Body = (sandbox: Sandbox, context: TestContext) => Promise<void>;

/**
 * One requirement. The title reads `<command> <situation>: <what is required>`, the clause says by what. Afterwards everything is
 * deleted, and the test fails when a process, mount, cgroup, state or temporary file is left on the host.
 *
 * It may take 90 s, or `timeoutMs`. Under a peer that is known not to meet it (peers.ts) the test has to fail: one that passes is
 * a stale entry.
 */
export function spec(title: string, clause: string, body: Body, timeoutMs?: number): void {
  const known = deviation(RUNTIME_NAME, title);
  const name =
    known === undefined
      ? `${title} (${clause})`
      : `${title} (${clause}) [${RUNTIME_NAME} deviates: ${known.reason}]`;
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
  if (known === undefined) test(name, run, timeoutMs);
  else if (known.sometimes === true)
    test(name, (context) => run(context).catch(() => context.skip(known.reason)), timeoutMs);
  else test.fails(name, run, timeoutMs);
}
