import { closeSync, readSync, writeSync } from "../../bindings/linux/files.ts";
import {
  copyWindowSize,
  rawSettings,
  setTerminalSettings,
  type Termios,
  terminalSettings,
  withoutCarriageReturns,
} from "../../bindings/linux/terminal.ts";
import { errorCode } from "../errors.ts";

const STDIN = 0;
const STDOUT = 1;

/** The caller's terminal on one side, the container's on the other: for `run` in the foreground. */
export class ConsoleRelay {
  readonly #master: number;
  readonly #saved: Termios | undefined;
  readonly #buffer = Buffer.alloc(16 * 1024);
  #inputOpen = true;
  #outputOpen = true;

  constructor(master: number) {
    this.#master = master;
    const settings = terminalSettings(master);
    if (settings !== undefined) setTerminalSettings(master, withoutCarriageReturns(settings));
    this.#saved = terminalSettings(STDIN);
    if (this.#saved !== undefined) setTerminalSettings(STDIN, rawSettings(this.#saved));
    this.resize();
  }

  /** What to wait for. */
  get descriptors(): number[] {
    return [...(this.#inputOpen ? [STDIN] : []), ...(this.#outputOpen ? [this.#master] : [])];
  }

  resize(): void {
    copyWindowSize(STDIN, this.#master);
  }

  /** Moves what can be read on a descriptor to the other side. */
  move(fd: number): void {
    if (fd === STDIN) this.#inputOpen = this.#copy(STDIN, this.#master);
    if (fd === this.#master) this.#outputOpen = this.#copy(this.#master, STDOUT);
  }

  /** Moves one buffer; false at the end, which a terminal without a slave reports as EIO. */
  #copy(from: number, to: number): boolean {
    let length: number;
    try {
      length = readSync(from, this.#buffer);
    } catch (error) {
      return isRetry(error);
    }
    for (let offset = 0; offset < length; ) {
      try {
        offset += writeSync(to, this.#buffer, offset, length - offset);
      } catch (error) {
        if (!isRetry(error)) return false;
      }
    }
    return length > 0;
  }

  /** Moves what the container has written before its end. */
  drain(isReadable: (fd: number) => boolean): void {
    while (this.#outputOpen && isReadable(this.#master)) this.move(this.#master);
  }

  close(): void {
    if (this.#saved !== undefined) setTerminalSettings(STDIN, this.#saved);
    closeSync(this.#master);
  }
}

function isRetry(error: unknown): boolean {
  return ["EAGAIN", "EINTR"].includes(errorCode(error));
}
