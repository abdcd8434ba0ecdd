import { oneLine, textOfLines } from "../../../bindings/abi/printable.ts";
import type { MountEntry } from "../../container/mounts.ts";
import { RuntsError } from "../../errors.ts";
import type { RunCommand } from "../options/description.ts";
import { UsageError } from "../options/usage-error.ts";
import { writeJson, writeOutput } from "../output.ts";

export const run: RunCommand = (context, args, operations) => {
  const [action = "", id = "", file] = args.positionals;
  if (action === "list") {
    if (file !== undefined) throw new UsageError("mounts list takes no file", "mounts");
    const format = args.string("format");
    if (format !== "table" && format !== "json") throw new RuntsError("invalid format option");
    const mounts = operations.listMounts(context, id);
    if (format === "json") writeJson(JSON.stringify(mounts.map(withoutId)));
    else writeOutput(table(mounts));
    return 0;
  }
  if (action !== "add" && action !== "remove") {
    throw new UsageError(`mounts ${JSON.stringify(action)}: must be add, remove or list`, "mounts");
  }
  if (file === undefined)
    throw new UsageError(`mounts ${action} needs a file with a list of mounts`, "mounts");
  operations[action === "add" ? "addMounts" : "removeMounts"](context, id, file);
  return 0;
};

/** Ids are the kernel's, and say nothing outside of this machine. */
function withoutId({ id: _, ...mount }: MountEntry): Omit<MountEntry, "id"> {
  return mount;
}

function table(mounts: readonly MountEntry[]): string {
  const rows = mounts.map(({ destination, type, source, root, options }) =>
    [destination, type, root === undefined ? source : `${source}[${root}]`, options.join(",")].map(oneLine),
  );
  const all = [["DESTINATION", "TYPE", "SOURCE", "OPTIONS"], ...rows];
  const widths = [0, 1, 2].map((column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    row.map((cell, column) => (column < widths.length ? cell.padEnd(widths[column] ?? 0) : cell)).join("   ");
  return textOfLines(all.map(line));
}
