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
 * Opens the container's /etc/passwd, for HOME, if it has one. The container's author decides what it is: a fifo must not hold the
 * runtime up, and a terminal not become that of the process.
 */
export function openPasswd(program: Program, root: Register): Register {
  program.about("/process/env", "open /etc/passwd for HOME");
  const how = openHow(O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
  const path = "/etc/passwd";
  return program.call("openat2", [root, "etc/passwd", how, OPEN_HOW_SIZE], { tolerate: ["any"], path });
}

/**
 * Reads on in a file that may not be open. What comes back turns the reply into byte text, empty at the end: a part may end within a
 * character.
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

/** The home directory of a user in passwd(5) format, both as byte text; "/" where the user isn't there, as all peers do. */
export function homeOf(passwd: string, uid: number): string {
  for (const line of passwd.split("\n")) {
    const fields = line.split(":");
    if (fields.length >= 6 && fields[2] === String(uid)) return fields[5] || "/";
  }
  return "/";
}
