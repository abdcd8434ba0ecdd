import { F_SETFL, O_NONBLOCK } from "../../../bindings/abi/fcntl.ts";
import { syscall } from "../../../bindings/ffi/syscall.ts";
import { closeSync, readSync, writeSync } from "../../../bindings/linux/files.ts";
import { waitReady } from "../../../bindings/linux/poll.ts";
import {
  copyWindowSize,
  ownTerminal,
  rawSettings,
  setTerminalSettings,
  type Termios,
  terminalSettings,
  withoutCarriageReturns,
} from "../../../bindings/linux/terminal.ts";
import { errorCode } from "../../errors.ts";

const STDIN = 0;
const STDOUT = 1;
const BUFFER_SIZE = 16 * 1024;

/**
 * More than a terminal holds of what was written to it: 8 KiB in the buffers of a pty (pty_common_install() in drivers/tty/pty.c) and
 * 4 KiB in the line discipline (N_TTY_BUF_SIZE), in bytes.
 */
const TERMINAL_CAPACITY = 64 * 1024;

/**
 * Relays between the caller's terminal and the container's: for `run` in the foreground. Typed input waits here until the container takes
 * it. A blocking write would hold up the container's output, which the container may have to be rid of first; and it would wait as long
 * as anybody who has the terminal open likes.
 */
export class ConsoleRelay {
  readonly #master: number;
  readonly #saved: Termios | undefined;
  readonly #buffer = Buffer.alloc(BUFFER_SIZE);
  readonly #inputBuffer = Buffer.alloc(BUFFER_SIZE);
  /** Part of the buffer that the container has not taken yet. */
  #input = this.#inputBuffer.subarray(0, 0);
  #inputOpen = true;
  #outputOpen = true;

  constructor(master: number) {
    this.#master = master;
    // Nobody else shares this open file: the caller's own streams stay as they are.
    syscall("fcntl", [master, F_SETFL, O_NONBLOCK], ["F_SETFL"]);
    const settings = terminalSettings(master);
    if (settings !== undefined) setTerminalSettings(master, withoutCarriageReturns(settings));
    this.#saved = terminalSettings(STDIN);
    if (this.#saved !== undefined) setTerminalSettings(STDIN, rawSettings(this.#saved));
    this.resize();
  }

  /** Descriptors to read from, once they are readable. */
  get readable(): number[] {
    const takesInput = this.#inputOpen && this.#input.length === 0;
    return [...(takesInput ? [STDIN] : []), ...(this.#outputOpen ? [this.#master] : [])];
  }

  /** Descriptors to write to, once they are writable. */
  get writable(): number[] {
    return this.#input.length > 0 ? [this.#master] : [];
  }

  resize(): void {
    const terminal = ownTerminal();
    if (terminal !== undefined) copyWindowSize(terminal, this.#master);
  }

  /** Moves as much as it can from or to a descriptor that is ready. */
  move(fd: number): void {
    if (fd === STDIN) this.#readInput();
    this.#passInput();
    if (fd === this.#master) this.#copyOutput();
  }

  #readInput(): void {
    try {
      this.#input = this.#inputBuffer.subarray(0, readSync(STDIN, this.#inputBuffer));
      this.#inputOpen = this.#input.length > 0;
    } catch (error) {
      this.#inputOpen = isRetry(error);
    }
  }

  #passInput(): void {
    if (this.#input.length === 0) return;
    try {
      this.#input = this.#input.subarray(writeSync(this.#master, this.#input));
    } catch (error) {
      if (isRetry(error)) return;
      this.#inputOpen = false;
      this.#input = this.#inputBuffer.subarray(0, 0);
    }
  }

  /** Moves one buffer, and returns its length. A terminal without a slave reports the end as EIO. */
  #copyOutput(): number {
    let length: number;
    try {
      length = readSync(this.#master, this.#buffer);
    } catch (error) {
      this.#outputOpen = isRetry(error);
      return 0;
    }
    this.#outputOpen = length > 0 && this.#print(length);
    return length;
  }

  /** Writes that much of the buffer to the caller; false when nobody is there to read it. */
  #print(length: number): boolean {
    for (let offset = 0; offset < length; ) {
      try {
        offset += writeSync(STDOUT, this.#buffer, offset, length - offset);
      } catch (error) {
        if (!isRetry(error)) return false;
        // The caller may have made its stream non-blocking.
        waitReady([], [STDOUT]);
      }
    }
    return true;
  }

  /**
   * Moves what was written before the end of the process, and no more: others may have the terminal open and write without end. What
   * was typed and not taken by then is dropped, or the terminal would echo it.
   */
  drain(isReadable: (fd: number) => boolean): void {
    let moved = 0;
    while (this.#outputOpen && moved < TERMINAL_CAPACITY && isReadable(this.#master))
      moved += this.#copyOutput();
  }

  close(): void {
    if (this.#saved !== undefined) setTerminalSettings(STDIN, this.#saved);
    closeSync(this.#master);
  }
}

function isRetry(error: unknown): boolean {
  return ["EAGAIN", "EINTR"].includes(errorCode(error));
}
