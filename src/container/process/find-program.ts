import { statSync } from "../../../bindings/linux/file-status.ts";
import { accessSync, X_OK } from "../../../bindings/linux/files.ts";
import { environment } from "../../../bindings/linux/own-process.ts";

/** Engines call without PATH, or with one that lacks the folders of root's programs. */
const FOLDERS = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/** Returns the folders of the host's programs: absolute ones only, since the working directory may be anybody's bundle. */
export function searchPath(): string {
  const own = (environment("PATH") ?? "").split(":").filter((folder) => folder.startsWith("/"));
  return [...new Set([...own, ...FOLDERS])].join(":");
}

/** Returns the path of a program of the host; undefined if there is none. */
export function findProgram(name: string): string | undefined {
  for (const folder of searchPath().split(":")) {
    try {
      accessSync(`${folder}/${name}`, X_OK);
      if (statSync(`${folder}/${name}`).isFile()) return `${folder}/${name}`;
    } catch {
      // Not here: the next folder.
    }
  }
  return undefined;
}
