import { readFileSync } from "node:fs";
import { parseObject } from "../json.ts";
import type { Sandbox } from "../sandbox.ts";
import { startPython } from "./python-program.ts";

export interface Console {
  /** Path for --console-socket. */
  readonly socket: string;
  /** File that takes the output of the terminal. */
  readonly file: string;
  /** The message received over the socket: name, fds, tty, rows, cols. */
  received(): Promise<Record<string, unknown>>;
  /** Types into the terminal. */
  type(text: string): void;
  /** All that the terminal printed, once the container closed it. */
  output(): Promise<string>;
}

/** Listens for a terminal as conmon does. */
export async function openConsole(sandbox: Sandbox, name = "console"): Promise<Console> {
  const socket = sandbox.path(`${name}.sock`);
  const file = sandbox.path(`${name}.out`);
  const receiver = startPython(sandbox, "console-receiver.py", socket, file);
  await receiver.next();
  return {
    socket,
    file,
    received: async () => parseObject(await receiver.next()),
    type: (text) => void receiver.stdin.write(text),
    output: async () => {
      await receiver.ended;
      return readFileSync(file, "utf8");
    },
  };
}
