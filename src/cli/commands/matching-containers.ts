import type { GlobalOptions } from "../../container/context.ts";
import type { Operations } from "../operations.ts";
import { UsageError } from "../options/usage-error.ts";

/**
 * crun's `--regex`: does something with each container whose id the expression matches, anywhere in it. A failure keeps it from
 * none of the others, and is a warning and the exit code 1.
 */
export function forEachMatch(
  context: GlobalOptions,
  operations: Operations,
  pattern: string,
  action: (id: string) => void,
): number {
  const expression = expressionOf(pattern);
  let code = 0;
  for (const { id } of operations.list(context)) {
    if (!expression.test(id)) continue;
    try {
      action(id);
    } catch (error) {
      context.log.warn(`${id}: ${error instanceof Error ? error.message : error}`);
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
