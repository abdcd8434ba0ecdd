import type { Container } from "../container.ts";
import { parseObject } from "../json.ts";
import type { Result } from "../runtime.ts";
import type { Sandbox } from "../sandbox.ts";

/** The events in the output, one object a line. */
export function lines({ stdout }: Pick<Result, "stdout">): Record<string, unknown>[] {
  return stdout.split("\n").filter(Boolean).map(parseObject);
}

export function events(sandbox: Sandbox, { id }: Container, ...flags: readonly string[]): Promise<Result> {
  return sandbox.invoke(["events", ...flags, id]);
}
