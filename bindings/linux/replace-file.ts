import { FileError } from "./file-call.ts";
import { renameSync, unlinkSync, writeFileSync } from "./files.ts";
import { ownPid } from "./own-process.ts";

/** Writes a file of mode 0644 that appears with its content, or takes the place of an earlier one. Throws FileError. */
export function replaceFile(path: string, content: string): void {
  const temporary = `${path}.runts-${ownPid()}`;
  try {
    writeNew(temporary, content);
    renameSync(temporary, path);
  } catch (error) {
    tryUnlink(temporary);
    throw error;
  }
}

/** Checks that replaceFile can write the file. Throws FileError, and leaves nothing. */
export function checkReplaceable(path: string): void {
  const temporary = `${path}.runts-${ownPid()}`;
  writeNew(temporary, "");
  unlinkSync(temporary);
}

/** Never writes to a file that is there already: others may write to the folder, too, and it may be their link to somebody else's file. */
function writeNew(path: string, content: string): void {
  const options = { mode: 0o644, flag: "wx" } as const;
  try {
    writeFileSync(path, content, options);
  } catch (error) {
    if (!(error instanceof FileError) || error.code !== "EEXIST") throw error;
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
