import { trySyscall } from "../../bindings/ffi/syscall.ts";
import { writeSync } from "../../bindings/linux/files.ts";
import { adoptEnvironment } from "../../bindings/linux/own-process.ts";

/** What an engine says that is ready to be written down. */
export const READY = "ready\n";

/** Room for argv and the environment, in bytes; with more the launcher starts the engine. */
export const ANSWER_SPACE = 256 * 1024;

/** What the launcher of a warm start answers. */
interface Answer {
  readonly argv: readonly string[];
  /** NAME=value */
  readonly environment: readonly string[];
}

let thawed = false;

/** Whether this process has started from an image. */
export function isWarm(): boolean {
  return thawed;
}

/**
 * Says that the engine is ready to be written down, which happens then. Returns in each process that starts from the image: its
 * arguments, without the program's name.
 */
export function awaitThaw(): readonly string[] {
  const answer = Buffer.alloc(ANSWER_SPACE);
  collectGarbage();
  writeSync(1, READY);
  const length = trySyscall("read", 0, answer, answer.length);
  // Whoever was to write it down has gone.
  if (length <= 0) trySyscall("exit_group", 1);
  const { argv, environment } = decode(answer, length);
  thawed = true;
  adoptEnvironment(environment);
  return argv;
}

declare const Bun: { gc(full: boolean): void };

/** All at once and without a thread of its own, which an image could not have. Node never gets here. */
function collectGarbage(): void {
  Bun.gc(true);
}

function decode(answer: Buffer, length: number): Answer {
  const count = answer.readUInt32LE(0);
  const texts = answer.toString("utf8", 4, length - 1).split("\0");
  return { argv: texts.slice(1, count), environment: texts.slice(count) };
}
