import { spawnSync } from "node:child_process";
import { parseObject } from "../json.ts";
import type { Sandbox } from "../sandbox.ts";
import { startPython } from "./python-program.ts";

export interface NotifyMessage {
  readonly text: string;
  /** Process that sent it. */
  readonly pid: number;
  /** Number of descriptors that came along. */
  readonly fds: number;
}

export interface ServiceManager {
  /** The value of NOTIFY_SOCKET. */
  readonly address: string;
  /** The next message. */
  next(): Promise<NotifyMessage>;
  /** All that has come so far and was not asked for. */
  rest(): Promise<NotifyMessage[]>;
}

/** Listens as systemd does. Node has no datagram sockets of this family, so a small Python program does it. */
export async function openServiceManager(
  sandbox: Sandbox,
  address = sandbox.path("notify.sock"),
): Promise<ServiceManager> {
  const receiver = startPython(sandbox, "notify-receiver.py", address);
  await receiver.next();
  sandbox.settle();
  const next = async (): Promise<NotifyMessage> => {
    const { text, pid, fds } = parseObject(await receiver.next());
    return { text: String(text), pid: Number(pid), fds: Number(fds) };
  };
  return {
    address,
    next,
    rest: async () => {
      send(address, "LAST=1");
      const messages: NotifyMessage[] = [];
      for (let message = await next(); message.text !== "LAST=1"; message = await next())
        messages.push(message);
      return messages;
    },
  };
}

const SEND = `
import socket, sys
client = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
client.connect("\\0" + sys.argv[1][1:] if sys.argv[1].startswith("@") else sys.argv[1])
for message in sys.argv[2:]: client.send(message.encode())
`;

/** Sends datagrams; to the socket of a container by its path through /proc/PID/root. */
export function send(address: string, ...messages: readonly string[]): void {
  const { status, stderr } = spawnSync("python3", ["-c", SEND, address, ...messages], { encoding: "utf8" });
  if (status !== 0) throw new Error(`sending to ${address}: ${stderr}`);
}
