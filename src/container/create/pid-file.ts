import { rmSync } from "../../../bindings/linux/directories.ts";
import { renameSync, unlinkSync, writeFileSync } from "../../../bindings/linux/files.ts";
import { ownPid } from "../../../bindings/linux/own-process.ts";
import { errorCode } from "../../errors.ts";
import { onBehalfOf } from "../../init/run-program.ts";

/** Writes a decimal number without a newline. Engines read the file as soon as it is there, so it appears with its content. */
export function writePidFile(path: string, pid: number): void {
  onBehalfOf("", "write the pid file", () => {
    const temporary = `${path}.runts-${ownPid()}`;
    try {
      writeNew(temporary, String(pid));
      renameSync(temporary, path);
    } catch (error) {
      tryUnlink(temporary);
      throw error;
    }
  });
}

/** Never writes to a file that is there already: others may write to the folder, too, and it may be their link to somebody else's file. */
function writeNew(path: string, content: string): void {
  const options = { mode: 0o644, flag: "wx" } as const;
  try {
    writeFileSync(path, content, options);
  } catch (error) {
    if (errorCode(error) !== "EEXIST") throw error;
    unlinkSync(path);
    writeFileSync(path, content, options);
  }
}

/** Removes a pid file that this process has written. It may be gone already. */
export function removePidFile(path: string): void {
  rmSync(path, { force: true });
}

function tryUnlink(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // It is not there, or the first error says why.
  }
}
