import type { StubChannel, StubTap } from "../../bindings/stub/client.ts";
import type { Program, Reply } from "../../bindings/stub/program.ts";
import { PROGRESS_LENGTH, RESULT_LENGTH } from "../../bindings/stub/reply.ts";
import { deliverMessage } from "../explain/messages.ts";
import type { SimulatedKernel } from "../explain/simulation/kernel.ts";
import type { SimulatedStubs } from "../explain/simulation/stubs.ts";

/**
 * Stubs that run nothing but exchange messages: programs are encoded and sent, and replies are received and decoded, as with real stubs.
 * The simulated `stubs` provide the results.
 */
export class WarmStubs implements StubTap {
  readonly #stubs: SimulatedStubs;
  /** Bytes that each socket has yet to receive. */
  readonly #incoming = new Map<number, Uint8Array>();
  /** The last clone's pid, which must be the sender of its reply. */
  #clone = 0;

  constructor(stubs: SimulatedStubs, kernel: SimulatedKernel) {
    this.#stubs = stubs;
    kernel.onReceive = (fd, buffer, call) =>
      call === "recvfrom"
        ? this.#receiveInto(fd, buffer)
        : deliverMessage(buffer, this.#clone, (length) => this.#take(fd, length));
  }

  spawn(channel: number): number {
    return this.#stubs.spawn(channel);
  }

  send(channel: StubChannel, program: Program): Program {
    this.#stubs.send(channel, program);
    return program;
  }

  sentAs(program: Program): Program {
    return program;
  }

  receive(channel: StubChannel, program: Program, receive: () => Reply): Reply {
    const reply = this.#stubs.receive(channel, program);
    const cloning = program.operations.findIndex(({ call }) => call === "clone3");
    const pid = reply.results[cloning] ?? 0;
    if (pid > 0) this.#clone = pid;
    this.#incoming.set(channel.descriptor, encodeReply(program, reply));
    return receive();
  }

  #take(fd: number, length: number): Uint8Array {
    const bytes = this.#incoming.get(fd) ?? new Uint8Array(0);
    this.#incoming.set(fd, bytes.subarray(length));
    return bytes.subarray(0, length);
  }

  #receiveInto(fd: number, buffer: Uint8Array): number {
    const part = this.#take(fd, buffer.length);
    buffer.set(part);
    return part.length;
  }
}

/** Encodes a reply as a stub does: bindings/stub/reply.ts. `results` lacks the operations that receive descriptors. */
function encodeReply({ descriptors, outputs }: Program, reply: Reply): Uint8Array {
  const results = [...descriptors.map(() => 0), ...reply.results];
  const lengths = outputs.map(({ bytes }) => (bytes.length + 7) & ~7);
  let at = PROGRESS_LENGTH + RESULT_LENGTH * results.length;
  const message = new Uint8Array(lengths.reduce((sum, length) => sum + length, at));
  const view = new DataView(message.buffer);
  view.setUint32(0, results.length, true);
  results.forEach((result, index) => {
    view.setBigInt64(PROGRESS_LENGTH + RESULT_LENGTH * index, BigInt(result), true);
  });
  reply.outputs.forEach((output, index) => {
    message.set(output, at);
    at += lengths[index] ?? 0;
  });
  return message;
}
