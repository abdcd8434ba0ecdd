import { expect } from "vitest";
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

/** The explanation, in which each of the runtime's own calls has a purpose. */
export async function explained(
  sandbox: Sandbox,
  container: Container,
  ...flags: readonly string[]
): Promise<Explanation> {
  const explanation: Explanation = JSON.parse((await explain(sandbox, container, "--json", ...flags)).stdout);
  const own = explanation.operations.filter(({ by }) => by === "runtime");
  expect(own.filter(({ call, purpose }) => purpose === "" || purpose === call)).toEqual([]);
  return explanation;
}
