import { byteText } from "../../../bindings/abi/byte-text.ts";
import {
  O_CLOEXEC,
  O_NOCTTY,
  O_NONBLOCK,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
} from "../../../bindings/abi/fcntl.ts";
import type { Program, Register, Reply } from "../../../bindings/stub/program.ts";
import { OPEN_HOW_SIZE, openHow } from "../structs.ts";

/**
 * Opens the container's /etc/passwd, if it has one, for HOME. The container's author decides what kind of file it is. So a FIFO must not
 * block the runtime, and a terminal must not become the process's controlling one.
 */
export function openPasswd(program: Program, root: Register): Register {
  program.about("/process/env", "open /etc/passwd for HOME");
  const how = openHow(O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
  const path = "/etc/passwd";
  return program.call("openat2", [root, "etc/passwd", how, OPEN_HOW_SIZE], { tolerate: ["any"], path });
}

/**
 * Reads up to `length` bytes from the current offset of a file that may not be open. The returned function takes the bytes from the reply as
 * byte text, since they may end within a character; it is empty at the end of the file.
 */
export function readByteText(program: Program, file: Register, length: number): (reply: Reply) => string {
  const content = program.output(length);
  const index = program.operations.length;
  program.do("read", [file, content, length], { if: [file, "ok"], tolerate: ["any"] });
  const output = program.outputs.indexOf(content);
  return ({ results, outputs }) => {
    const size = Math.max(0, results[index] ?? 0);
    return byteText((outputs[output] ?? new Uint8Array()).subarray(0, size));
  };
}

/** The home directory of a user, from the text of a passwd(5) file; "/" for an unknown user, as in runc and crun. Both are byte text. */
export function homeOf(passwd: string, uid: number): string {
  for (const line of passwd.split("\n")) {
    const fields = line.split(":");
    if (fields.length >= 6 && fields[2] === String(uid)) return fields[5] || "/";
  }
  return "/";
}
