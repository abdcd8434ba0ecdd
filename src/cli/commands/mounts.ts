import { addMounts, listMounts, type MountEntry, removeMounts } from "../../container/mounts.ts";
import { RuntsError } from "../../errors.ts";
import { defineCommand } from "../command.ts";
import { UsageError } from "../options/usage-error.ts";
import { tableText, writeJson, writeOutput } from "../output.ts";

export const mountsCommand = defineCommand({
  name: "mounts",
  summary: "change or list a running container's mounts",
  positionals: { usage: "add|remove|list <container-id> [file]", min: 2, max: 3 },
  options: {
    format: { alias: "f", type: "string", description: "for list: table or json", default: "table" },
  },
  description: [
    "`add` mounts in a running container what a file lists: a JSON list of mounts as in config.json, with all their options and id mappings, " +
      'such as `[{"destination": "/data", "source": "/srv/data", "options": ["rbind", "ro"]}]`. Either all of them are mounted or none. Sources of ' +
      "bind mounts are paths on the host. Only a new procfs is refused. `remove` takes such a file and removes the topmost mount at each destination, " +
      "in reverse order; programs that use a mount keep it. `list` prints what is mounted in the container.",
  ],
  examples: [
    ["runts mounts add web /srv/data.json", "mount what the file lists"],
    ["runts mounts remove web /srv/data.json", "remove these mounts again"],
    ["runts mounts list --format json web", "for programs"],
  ],
  run(context, { positionals: [action, id, file], options: { format } }) {
    if (action === "list") {
      if (file !== undefined) throw new UsageError("mounts list takes no file", "mounts");
      if (format !== "table" && format !== "json") throw new RuntsError("invalid format option");
      const mounts = listMounts(context, id);
      if (format === "json") writeJson(formatJson(mounts));
      else writeOutput(formatTable(mounts));
      return 0;
    }
    if (action !== "add" && action !== "remove") {
      throw new UsageError(`mounts ${JSON.stringify(action)}: must be add, remove or list`, "mounts");
    }
    if (file === undefined)
      throw new UsageError(`mounts ${action} needs a file with a list of mounts`, "mounts");
    if (action === "add") addMounts(context, id, file);
    else removeMounts(context, id, file);
    return 0;
  },
});

/** Leaves out the kernel's mount ids, which mean nothing outside of this machine. */
export function formatJson(mounts: readonly MountEntry[]): string {
  return JSON.stringify(mounts.map(({ id: _, ...mount }) => mount));
}

export function formatTable(mounts: readonly MountEntry[]): string {
  const rows = mounts.map(({ destination, type, source, root, options }) => [
    destination,
    type,
    root === undefined ? source : `${source}[${root}]`,
    options.join(","),
  ]);
  return tableText([["DESTINATION", "TYPE", "SOURCE", "OPTIONS"], ...rows]);
}
