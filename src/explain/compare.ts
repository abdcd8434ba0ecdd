import { textOfLines } from "../../bindings/abi/printable.ts";
import type { ExplainedOperation, Explanation } from "./operation.ts";
import { callText, operationLines, type TextOptions } from "./text.ts";

/** An operation that only one of two explanations has. */
export interface Difference {
  readonly change: "removed" | "added";
  readonly operation: ExplainedOperation;
}

/**
 * The operations that only one of two explanations has, in the order of execution. An operation whose pointer alone differs, since its
 * property has moved in a list, is no difference.
 */
export function compareExplanations(before: Explanation, after: Explanation): Difference[] {
  const one = before.operations.map((operation) => keyOf(operation, before.bundle));
  const other = after.operations.map((operation) => keyOf(operation, after.bundle));
  const common = commonLengths(one, other);
  const differences: Difference[] = [];
  let i = 0;
  let j = 0;
  while (i < one.length || j < other.length) {
    const removed = before.operations[i];
    const added = after.operations[j];
    if (removed !== undefined && added !== undefined && one[i] === other[j]) {
      i += 1;
      j += 1;
    } else if (
      removed !== undefined &&
      (added === undefined || lengthAt(common, i + 1, j) >= lengthAt(common, i, j + 1))
    ) {
      differences.push({ change: "removed", operation: removed });
      i += 1;
    } else if (added !== undefined) {
      differences.push({ change: "added", operation: added });
      j += 1;
    }
  }
  return differences;
}

/** The text by which operations are compared: without the bundle's path, and without the numbers of equal names. */
function keyOf(operation: ExplainedOperation, bundle: string): string {
  const text = `${operation.step} ${operation.by} ${callText(operation)}`;
  return text.replaceAll(bundle, "<bundle>").replace(/ #\d+(?=[,>])/g, "");
}

/** For each pair of indices, the length of the longest common subsequence from there on. */
function commonLengths(one: readonly string[], other: readonly string[]): Uint32Array[] {
  const rows = Array.from({ length: one.length + 1 }, () => new Uint32Array(other.length + 1));
  for (let i = one.length - 1; i >= 0; i--) {
    for (let j = other.length - 1; j >= 0; j--) {
      const row = rows[i];
      if (row === undefined) continue;
      row[j] =
        one[i] === other[j]
          ? lengthAt(rows, i + 1, j + 1) + 1
          : Math.max(lengthAt(rows, i + 1, j), lengthAt(rows, i, j + 1));
    }
  }
  return rows;
}

function lengthAt(rows: readonly Uint32Array[], i: number, j: number): number {
  return rows[i]?.[j] ?? 0;
}

/** For people, like a unified diff: `-` marks what only the first does, `+` what only the second does. */
export function differencesText(
  differences: readonly Difference[],
  names: readonly [before: string, after: string],
  options: TextOptions,
): string {
  const changes = new Map(differences.map(({ operation, change }) => [operation, change]));
  const mark = (operation: ExplainedOperation) => (changes.get(operation) === "removed" ? "-" : "+");
  const lines = operationLines(
    differences.map(({ operation }) => operation),
    options,
    mark,
  );
  const heading = [`--- ${names[0]}`, `+++ ${names[1]}`];
  const body = lines.length === 0 ? ["", "Both do the same."] : lines;
  return textOfLines([...heading, ...body]);
}
