import type { StubChannel } from "../../bindings/stub/client.ts";
import type { Program, Reply } from "../../bindings/stub/program.ts";
import type { ReplyCheck } from "../plan/init-plan.ts";
import { receiveReply, runProgram } from "./run-program.ts";
import type { PendingProcess } from "./spawn-process.ts";

interface SentProgram {
  readonly program: Program;
  readonly checks: readonly ReplyCheck[];
}

/**
 * The programs that a process is sent on its way to its execve. Each is sent as soon as it is complete, and runs while the next one is
 * planned; the stub runs none after one that has failed.
 */
export class Session {
  readonly channel: StubChannel;
  /** The program that is being planned. */
  program: Program;
  /** The checks that its reply has to pass. */
  checks: ReplyCheck[] = [];
  readonly #pending: PendingProcess;
  readonly #sent: SentProgram[] = [];
  #pid = 0;

  constructor(pending: PendingProcess) {
    this.#pending = pending;
    this.channel = pending.channel;
    this.program = this.channel.program();
  }

  /** Waits until the process is there, with its mappings. Returns its pid. Nothing can be sent before. */
  awaitProcess(): number {
    this.#pid = this.#pending.finish().pid;
    return this.#pid;
  }

  /** In the pid namespace of the runtime. Throws before awaitProcess: the pid is not known yet. */
  get pid(): number {
    this.#requireProcess();
    return this.#pid;
  }

  /** Sends the program, and begins the next one. */
  send(): void {
    this.#requireProcess();
    this.channel.send(this.program);
    this.#sent.push({ program: this.program, checks: this.checks });
    this.program = this.channel.program();
    this.checks = [];
  }

  /** Receives and checks the replies to all programs that were sent. Returns the last reply. */
  receiveAll(): Reply {
    let reply: Reply = { results: [], outputs: [], failure: undefined };
    for (const { program, checks } of this.#sent.splice(0)) {
      reply = receiveReply(this.channel, program);
      for (const check of checks) check(reply);
    }
    return reply;
  }

  /** Runs the operations that the program has so far, checks their reply, and empties the program for those that follow. */
  runSoFar(): Reply {
    this.#requireProcess();
    const reply = runProgram(this.channel, this.program);
    for (const check of this.checks.splice(0)) check(reply);
    this.program.clear();
    return reply;
  }

  #requireProcess(): void {
    if (this.#pid === 0) throw new Error("the process has not been awaited yet");
  }
}
