import { renameSync, writeFileSync } from "../../bindings/linux/files.ts";
import { onBehalfOf } from "../init/run-program.ts";

/** Engines read the file as soon as it is there: it appears with its content. A decimal number without a newline. */
export function writePidFile(path: string, pid: number): void {
  onBehalfOf("", "write the pid file", () => {
    const temporary = `${path}.runts-${process.pid}`;
    writeFileSync(temporary, String(pid), { mode: 0o644 });
    renameSync(temporary, path);
  });
}
