import type { Log } from "../log.ts";
import type { Option } from "./options/option.ts";
import { UsageError } from "./options/usage-error.ts";

/** crun's `--regex`. */
export const regexOption = {
  alias: "r",
  type: "boolean",
  description: "the id is a regular expression: apply to all containers that it matches",
} as const satisfies Option;

/**
 * Does something with each container whose id the expression matches, anywhere in it. After a failure it goes on with the others: the
 * failure is logged as a warning, and the exit code is 1.
 */
export function forEachMatch(
  containers: readonly { readonly id: string }[],
  pattern: string,
  log: Log,
  action: (id: string) => void,
): number {
  const expression = expressionOf(pattern);
  let code = 0;
  for (const { id } of containers) {
    if (!expression.test(id)) continue;
    try {
      action(id);
    } catch (error) {
      log.warn(`${id}: ${error instanceof Error ? error.message : error}`);
      code = 1;
    }
  }
  return code;
}

function expressionOf(pattern: string): RegExp {
  try {
    return new RegExp(pattern);
  } catch {
    throw new UsageError(`invalid regular expression ${JSON.stringify(pattern)}`);
  }
}
