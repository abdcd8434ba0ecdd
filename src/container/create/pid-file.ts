import { renameSync, unlinkSync, writeFileSync } from "../../../bindings/linux/files.ts";
import { ownPid } from "../../../bindings/linux/own-process.ts";
import { errorCode } from "../../errors.ts";
import { onBehalfOf } from "../../init/run-program.ts";

/** Engines read the file as soon as it is there: it appears with its content. A decimal number without a newline. */
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

/** Others may write to the folder, too: what has the name already may be a link of theirs to a file that is not. */
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

function tryUnlink(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // It is not there, or the first error says why.
  }
}
