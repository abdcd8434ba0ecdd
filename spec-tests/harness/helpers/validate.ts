import type { Container } from "../container.ts";
import type { Result } from "../runtime.ts";
import type { Sandbox } from "../sandbox.ts";

/** A finding in the output of `validate --json`. */
export interface Finding {
  readonly severity: string;
  readonly rule: string;
  readonly pointer: string;
  readonly line?: number;
  readonly message: string;
  readonly hint?: string;
}

export function validate(
  sandbox: Sandbox,
  container: Container,
  ...flags: readonly string[]
): Promise<Result> {
  return sandbox.invoke(["validate", "--bundle", container.bundle, ...flags]);
}

export async function findings(
  sandbox: Sandbox,
  container: Container,
  ...flags: readonly string[]
): Promise<Finding[]> {
  return JSON.parse((await validate(sandbox, container, "--json", ...flags)).stdout).findings;
}

export const shown = ({ severity, rule, pointer }: Finding): string => `${severity} ${rule} ${pointer}`;
