import type { Container } from "../container.ts";
import type { Result } from "../runtime.ts";
import type { Sandbox } from "../sandbox.ts";
import type { Explanation } from "./explained.ts";

export function explain(
  sandbox: Sandbox,
  container: Container,
  ...flags: readonly string[]
): Promise<Result> {
  return sandbox.invoke(["explain", "--bundle", container.bundle, ...flags, container.id]);
}

export async function explained(
  sandbox: Sandbox,
  container: Container,
  ...flags: readonly string[]
): Promise<Explanation> {
  return JSON.parse((await explain(sandbox, container, "--json", ...flags)).stdout);
}
