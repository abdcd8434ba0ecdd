import { oneLine } from "../../../bindings/abi/printable.ts";
import { statSync } from "../../../bindings/linux/file-status.ts";
import type { GlobalOptions } from "../../container/context.ts";
import { type ContainerState, listContainers } from "../../container/record/status.ts";
import { RuntsError } from "../../errors.ts";
import { defineCommand } from "../command.ts";
import { noArguments } from "../options/shared-options.ts";
import { stateForJson, writeJson, writeOutput } from "../output.ts";

export const listCommand = defineCommand({
  name: "list",
  summary: "list the containers in the state directory",
  positionals: noArguments,
  options: {
    format: { alias: "f", type: "string", description: "table or json", default: "table" },
    quiet: { alias: "q", type: "boolean", description: "print container ids only" },
  },
  description: ["Lists the containers in the state directory."],
  examples: [
    ["runts list", "as a table"],
    ["runts list --format json", "their states as JSON"],
    ["runts list --quiet", "only their ids"],
  ],
  run(context, { options: { format, quiet } }) {
    if (format !== "table" && format !== "json") throw new RuntsError("invalid format option");
    const states = listContainers(context);
    if (states.length === 0) checkNamedRoot(context);
    if (quiet) writeOutput(states.map((state) => `${state.id}\n`).join(""));
    else if (format === "json") writeJson(formatJson(states));
    else writeOutput(formatTable(states));
    return 0;
  },
});

/** Throws if --root names a directory that doesn't exist: it is probably misspelt. The default one is made for the first container. */
function checkNamedRoot({ root, hasNamedRoot }: GlobalOptions): void {
  if (hasNamedRoot !== true || statSync(root, { throwIfNoEntry: false }) !== undefined) return;
  throw new RuntsError(`--root ${root}: no such file or directory`, {
    operation: "stat",
    errno: "ENOENT",
    path: root,
  });
}

/** One line; `null` when there is no container, as runc prints a nil slice of Go. */
export function formatJson(states: readonly ContainerState[]): string {
  return states.length === 0 ? "null" : JSON.stringify(states.map(stateForJson));
}

/** Each column is at least 12 wide, and 3 wider than its widest cell; the last one is not padded. */
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
