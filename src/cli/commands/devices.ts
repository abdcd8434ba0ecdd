import type { DeviceEntry } from "../../container/devices.ts";
import { RuntsError } from "../../errors.ts";
import { defineCommand } from "../command.ts";
import { UsageError } from "../options/usage-error.ts";
import { tableText, writeJson, writeOutput } from "../output.ts";

export const devicesCommand = defineCommand({
  name: "devices",
  summary: "change or list a running container's devices",
  positionals: { usage: "add|remove|list <container-id> [device]", min: 2, max: 3 },
  options: {
    format: { alias: "f", type: "string", description: "for list: table or json", default: "table" },
  },
  description: [
    "`add` gives a running container a device of the host: the node, and the right to use it. The device is `PATH[:PATH][:rwm]`, as for " +
      "docker: its path on the host, its path in the container if that is another one, and what the container may do: read (r), write (w), " +
      "and make nodes (m). The container gets both or neither. The node has the mode and the owner of the host's. In a user namespace it " +
      "is a mount of the host's node. `update` keeps the right.",
    "`remove` takes away the right and what `add` has made. A program that has the device open keeps it. `list` prints the devices that the " +
      "container has: those of every container, those of its config, and those that were added.",
  ],
  examples: [
    ["runts devices add web /dev/fuse", "to read and to write"],
    ["runts devices add web /dev/sdb:/dev/data:r", "under another path, only to read"],
    ["runts devices remove web /dev/data", "by the path in the container"],
    ["runts devices list --format json web", "for programs"],
  ],
  async run(context, { positionals: [action, id, device], options: { format } }) {
    const { addDevice, listDevices, removeDevice } = await import("../../container/devices.ts");
    if (action === "list") {
      if (device !== undefined) throw new UsageError("devices list takes no device", "devices");
      if (format !== "table" && format !== "json") throw new RuntsError("invalid format option");
      const devices = listDevices(context, id);
      if (format === "json") writeJson(JSON.stringify(devices));
      else writeOutput(formatTable(devices));
      return 0;
    }
    if (action !== "add" && action !== "remove") {
      throw new UsageError(`devices ${JSON.stringify(action)}: must be add, remove or list`, "devices");
    }
    if (device === undefined) throw new UsageError(`devices ${action} needs a device`, "devices");
    if (action === "add") addDevice(context, id, device);
    else removeDevice(context, id, device);
    return 0;
  },
});

export function formatTable(devices: readonly DeviceEntry[]): string {
  const rows = devices.map(({ path, type, major, minor, access, origin, source }) => [
    path,
    type,
    `${major}:${minor}`,
    access === "" ? "-" : access,
    origin,
    source ?? "",
  ]);
  return tableText([["DEVICE", "TYPE", "NUMBER", "ACCESS", "ORIGIN", "SOURCE"], ...rows]);
}
