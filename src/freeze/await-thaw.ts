import { trySyscall } from "../../bindings/ffi/syscall.ts";
import { writeSync } from "../../bindings/linux/files.ts";
import { adoptEnvironment } from "../../bindings/linux/own-process.ts";

/** The engine's message that it is ready to be frozen. */
export const READY = "ready\n";

/** Space for argv and the environment, in bytes. If they need more, the launcher starts the engine cold. */
export const ANSWER_SPACE = 256 * 1024;

/** The launcher's answer at a warm start. */
interface Answer {
  readonly argv: readonly string[];
  /** `NAME=value` */
  readonly environment: readonly string[];
}

let thawed = false;

/** Whether this process was started from an image. */
export function isWarm(): boolean {
  return thawed;
}

/**
 * Says that the engine is ready to be frozen, and waits. It never returns in this process, but in each one that starts from the image, with
 * the arguments of that process, without the program's name.
 */
export function awaitThaw(): readonly string[] {
  const answer = Buffer.alloc(ANSWER_SPACE);
  // Synchronous and without threads, which an image can't have. Node never gets here.
  Bun.gc(true);
  writeSync(1, READY);
  const length = trySyscall("read", 0, answer, answer.length);
  // The process that should have frozen this one is gone.
  if (length <= 0) trySyscall("exit_group", 1);
  const { argv, environment } = decode(answer, length);
  thawed = true;
  adoptEnvironment(environment);
  return argv;
}

declare const Bun: { gc(full: boolean): void };

function decode(answer: Buffer, length: number): Answer {
  const count = answer.readUInt32LE(0);
  const texts = answer.toString("utf8", 4, length - 1).split("\0");
  return { argv: texts.slice(1, count), environment: texts.slice(count) };
}
