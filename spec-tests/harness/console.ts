import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseObject } from "./json.ts";
import type { Sandbox } from "./sandbox.ts";

export interface Console {
  /** Path for --console-socket. */
  readonly socket: string;
  /** Where the output of the terminal goes. */
  readonly file: string;
  /** What came over the socket: name, fds, tty, rows, cols. */
  received(): Promise<Record<string, unknown>>;
  /** Types into the terminal. */
  type(text: string): void;
  /** All that the terminal printed, once the container closed it. */
  output(): Promise<string>;
}

/** Listens for a terminal as conmon does. Node can't receive descriptors, so a small Python program does it. */
export async function openConsole(sandbox: Sandbox, name = "console"): Promise<Console> {
  const socket = sandbox.path(`${name}.sock`);
  const file = sandbox.path(`${name}.out`);
  const child = spawn("python3", [join(import.meta.dirname, "console-receiver.py"), socket, file], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  sandbox.atEnd(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  await lines.next();
  return {
    socket,
    file,
    received: async () => parseObject(String((await lines.next()).value)),
    type: (text) => void child.stdin.write(text),
    output: async () => {
      await ended;
      return readFileSync(file, "utf8");
    },
  };
}
