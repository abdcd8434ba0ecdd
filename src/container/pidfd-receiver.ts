import type { PidfdReceiver } from "./pidfd-socket.ts";

/** Connects before anything is made. What this takes is loaded only where it is asked for. */
export async function connectPidfdReceiver(path: string | undefined): Promise<PidfdReceiver | undefined> {
  if (path === undefined) return undefined;
  const { openPidfdReceiver } = await import("./pidfd-socket.ts");
  return openPidfdReceiver(path);
}
