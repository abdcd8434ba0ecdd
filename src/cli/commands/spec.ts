import { writeFileSync } from "../../../bindings/linux/files.ts";
import { effectiveGid, effectiveUid } from "../../../bindings/linux/own-process.ts";
import { absolutePath } from "../../../bindings/linux/paths.ts";
import { errorCode, RuntsError } from "../../errors.ts";
import { defaultConfig } from "../../spec/default-config.ts";
import type { RunCommand } from "../options/description.ts";

export const run: RunCommand = (_context, args) => {
  const bundle = absolutePath(args.string("bundle") ?? ".");
  const file = args.string("file");
  const path = absolutePath(
    file === undefined || file.startsWith("/") ? (file ?? `${bundle}/config.json`) : `${bundle}/${file}`,
  );
  const rootless = args.flag("rootless") && {
    uid: effectiveUid(),
    gid: effectiveGid(),
  };
  const config = defaultConfig(rootless ? { rootless } : {});
  try {
    // "x": also a symbolic link is not followed, and two writers can't both win. A file that was named is replaced, as by crun.
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
};
