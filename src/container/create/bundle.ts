import { statSync } from "../../../bindings/linux/file-status.ts";
import { realpathSync } from "../../../bindings/linux/files.ts";
import { absolutePath } from "../../../bindings/linux/paths.ts";
import { RuntsError } from "../../errors.ts";
import { onBehalfOf } from "../../init/run-program.ts";
import { readConfigAndBytes } from "../../spec/config.ts";
import type { Config } from "../../spec/types.ts";

/**
 * Returns the bundle as a path without symbolic links, and its config. So a link that is changed later moves neither hooks nor the path in
 * `state`. A bundle that is not there is an error only where something of it is read; it has the name that the caller gave then.
 */
export function openBundle(
  given: string,
  configFile: string | undefined,
): { readonly bundle: string; readonly config: Config; readonly bytes: Uint8Array } {
  const bundle = bundlePath(given);
  try {
    return { bundle, ...readConfigAndBytes(bundle, configFile) };
  } catch (error) {
    if (bundle === given || !(error instanceof RuntsError) || error.errno === undefined) throw error;
    const { errno, path = bundle } = error;
    throw new RuntsError(`${error.message} (${given} leads to ${bundle})`, {
      operation: "open",
      errno,
      path,
    });
  }
}

export function bundlePath(given: string): string {
  try {
    return realpathSync(given);
  } catch {
    return given;
  }
}

/** The rootfs as an absolute path without symbolic links. config.md, Root: "A directory MUST exist at the path". */
export function rootfsOf(config: Config, bundle: string): string {
  const path = config.root.path.startsWith("/")
    ? config.root.path
    : absolutePath(`${bundle}/${config.root.path}`);
  const real = onBehalfOf("/root/path", `open the root file system ${path}`, () => realpathSync(path));
  if (!statSync(real).isDirectory()) {
    throw new RuntsError(`/root/path: ${path} is not a directory`, {
      errno: "ENOTDIR",
      path,
      pointer: "/root/path",
    });
  }
  return real;
}
