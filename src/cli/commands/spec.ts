import { writeFileSync } from "../../../bindings/linux/files.ts";
import { effectiveGid, effectiveUid } from "../../../bindings/linux/own-process.ts";
import { absolutePath } from "../../../bindings/linux/paths.ts";
import { errorCode, RuntsError } from "../../errors.ts";
import { defaultConfig } from "../../spec/default-config.ts";
import { defineCommand } from "../command.ts";
import { noArguments } from "../options/shared-options.ts";

export const specCommand = defineCommand({
  name: "spec",
  summary: "write a config.json to start from",
  positionals: noArguments,
  options: {
    bundle: {
      alias: "b",
      type: "string",
      isPath: true,
      description: "directory to write it to [default: the current directory]",
    },
    file: {
      alias: "f",
      type: "string",
      isPath: true,
      description: "file to write instead of the bundle's config.json; replaces an existing one",
    },
    rootless: { type: "boolean", description: "for use without root privileges" },
  },
  usesState: false,
  description: ["Writes a config.json to start from: a shell with few capabilities, in new namespaces."],
  examples: [
    ["runts spec", "into the current directory"],
    ["runts spec --rootless --bundle /srv/web", "for a user without root privileges"],
  ],
  run(_context, { options }) {
    const bundle = absolutePath(options.bundle ?? ".");
    const { file } = options;
    const path = absolutePath(
      file === undefined || file.startsWith("/") ? (file ?? `${bundle}/config.json`) : `${bundle}/${file}`,
    );
    const config = defaultConfig(
      options.rootless ? { rootless: { uid: effectiveUid(), gid: effectiveGid() } } : {},
    );
    try {
      // "x" follows no symbolic link, and of two writers only one succeeds. A file given by --file is replaced, as crun does.
      const flag = file === undefined ? "wx" : "w";
      writeFileSync(path, `${JSON.stringify(config, undefined, "\t")}\n`, { flag });
    } catch (cause) {
      if (errorCode(cause) === "EEXIST") {
        throw new RuntsError("File config.json exists. Remove it first", {
          operation: "open",
          errno: "EEXIST",
          path,
        });
      }
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new RuntsError(`write config.json: ${reason}`, { operation: "open", path, cause });
    }
    return 0;
  },
});
