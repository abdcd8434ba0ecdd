import { statSync } from "../../../bindings/linux/file-status.ts";
import { accessSync, X_OK } from "../../../bindings/linux/files.ts";
import { environment } from "../../../bindings/linux/own-process.ts";

/** Engines call without PATH, or with one that lacks what only root uses. */
const FOLDERS = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/** Where programs of the host are looked for: absolute folders only, as the working directory may be a bundle of anybody's. */
export function searchPath(): string {
  const own = (environment("PATH") ?? "").split(":").filter((folder) => folder.startsWith("/"));
  return [...new Set([...own, ...FOLDERS])].join(":");
}

/** The path of a program of the host; undefined if there is none. */
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
