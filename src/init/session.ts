import type { StubChannel } from "../../bindings/stub/client.ts";
import type { Program, Reply } from "../../bindings/stub/program.ts";
import type { ReplyCheck } from "../plan/init-plan.ts";
import { receiveReply } from "./run-program.ts";

/**
 * Programs for init, in the making and on their way. A program is sent as soon as it is complete, and runs while the next one is
 * made; the stub runs none after one that has failed.
 */
export interface Session {
  readonly channel: StubChannel;
  /** In the pid namespace of the runtime; 0 before the process is there. */
  pid: number;
  program: Program;
  /** What to check of the reply to the program in the making. */
  checks: ReplyCheck[];
  readonly sent: { readonly program: Program; readonly checks: readonly ReplyCheck[] }[];
  /** Makes sure that init is there. */
  beforeFirst?: (() => void) | undefined;
}

export function send(session: Session): void {
  session.beforeFirst?.();
  session.channel.send(session.program);
  session.sent.push({ program: session.program, checks: session.checks });
  session.program = session.channel.program();
  session.checks = [];
}

/** Receives the replies to all programs that were sent; returns the last one. */
export function receiveAll({ channel, sent }: Session): Reply {
  let reply: Reply = { results: [], outputs: [], failure: undefined };
  for (const { program, checks } of sent.splice(0)) {
    reply = receiveReply(channel, program);
    for (const check of checks) check(reply);
  }
  return reply;
}
