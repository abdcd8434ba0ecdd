import { rmSync } from "../../../bindings/linux/directories.ts";
import { replaceFile } from "../../../bindings/linux/replace-file.ts";
import { onBehalfOf } from "../../init/run-program.ts";

/** Writes a decimal number without a newline. Engines read the file as soon as it is there, so it appears with its content. */
export function writePidFile(path: string, pid: number): void {
  onBehalfOf("", "write the pid file", () => replaceFile(path, String(pid)));
}

/** Removes a pid file that this process has written. It may be gone already. */
export function removePidFile(path: string): void {
  rmSync(path, { force: true });
}
