import { oneLine } from "../../../bindings/abi/printable.ts";
import { statSync } from "../../../bindings/linux/file-status.ts";
import type { GlobalOptions } from "../../container/context.ts";
import type { ContainerState } from "../../container/record/status.ts";
import { RuntsError } from "../../errors.ts";
import type { RunCommand } from "../options/description.ts";
import { writeJson, writeOutput } from "../output.ts";
import { stateForJson } from "../state-json.ts";

export const run: RunCommand = (context, args, operations) => {
  const format = args.string("format");
  if (format !== "table" && format !== "json") throw new RuntsError("invalid format option");
  const states = operations.list(context);
  if (states.length === 0) checkNamedRoot(context);
  if (args.flag("quiet")) writeOutput(states.map((state) => `${state.id}\n`).join(""));
  else if (format === "json") writeJson(formatJson(states));
  else writeOutput(formatTable(states));
  return 0;
};

/** A directory that the caller names and that doesn't exist is probably misspelt; the default one exists only from the first container on. */
function checkNamedRoot({ root, hasNamedRoot }: GlobalOptions): void {
  if (hasNamedRoot !== true || statSync(root, { throwIfNoEntry: false }) !== undefined) return;
  throw new RuntsError(`--root ${root}: no such file or directory`, {
    operation: "stat",
    errno: "ENOENT",
    path: root,
  });
}

/** One line; `null` when there is no container, which is what a nil slice of Go becomes and callers know. */
export function formatJson(states: readonly ContainerState[]): string {
  return states.length === 0 ? "null" : JSON.stringify(states.map(stateForJson));
}

/** Each column at least 12 wide, and 3 wider than its widest cell; nothing after the last. */
export function formatTable(states: readonly ContainerState[]): string {
  const rows = [
    ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"],
    ...states.map(({ id, pid, status, bundle, created, owner }) =>
      [id, `${pid}`, status, bundle, created, owner].map(oneLine),
    ),
  ];
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(12, ...rows.map((row) => [...(row[column] ?? "")].length + 3)),
  );
  return rows
    .map(
      (row) =>
        `${row.map((cell, column) => pad(cell, widths[column] ?? 0, column === row.length - 1)).join("")}\n`,
    )
    .join("");
}

function pad(cell: string, width: number, last: boolean): string {
  return last ? cell : cell + " ".repeat(width - [...cell].length);
}
