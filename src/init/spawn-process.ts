import { SIGCHLD } from "../../bindings/abi/signal.ts";
import { syscall } from "../../bindings/ffi/syscall.ts";
import { OwnedDescriptor } from "../../bindings/linux/owned-descriptor.ts";
import { isChild, killAndReap } from "../../bindings/linux/reap.ts";
import { revealSenders } from "../../bindings/linux/socket-message.ts";
import {
  channelPair,
  keepOnExec,
  openStubImage,
  StubChannel,
  spawnStub,
} from "../../bindings/stub/client.ts";
import { RuntsError } from "../errors.ts";
import type { Namespaces } from "../plan/init-plan.ts";
import {
  type Channel,
  type CloneOptions,
  type CloningStub,
  cloneByStub,
  DEFAULT_ACTION,
  hasEarlyUserNamespace,
  type SentClone,
  type SpawnOptions,
} from "./clone-by-stub.ts";
import { writeIdMappings } from "./id-mappings.ts";
import { checkJoinedMappings } from "./joined-mappings.ts";
import { inNetworkOf } from "./network-of.ts";
import { reapLostClone, rememberClone } from "./reap-lost-clone.ts";
import { checkReply, onBehalfOf, receiveFromClone, receiveReply } from "./run-program.ts";

/** A process in its namespaces and its cgroup: the stub, which takes programs. */
export interface SpawnedProcess {
  /** In the pid namespace of the runtime. */
  readonly pid: number;
  readonly channel: StubChannel;
}

/**
 * A process on its way: the kernel works while the runtime plans what the process shall do. A stub joins namespaces by
 * path and then clones itself into the new namespaces and the cgroup. With CLONE_PARENT the clone is a child of the runtime, and goes
 * to the caller's subreaper when the runtime ends.
 */
export class PendingProcess {
  /** Takes programs for the process once `finish` has returned. */
  readonly channel: StubChannel;
  readonly #options: CloneOptions;
  readonly #stub: Stub;
  readonly #sent: SentClone;
  #process: SpawnedProcess | undefined;

  constructor(options: CloneOptions, stub: Stub, sent: SentClone) {
    this.#options = options;
    this.#stub = stub;
    this.#sent = sent;
    this.channel = stub.cloneChannel.ours;
  }

  /** Waits until the process is there, and gives it its mappings. */
  finish(): SpawnedProcess {
    const pid = awaitClone(this.#stub, this.#sent, this.#options);
    this.#process = { pid, channel: this.channel };
    return this.#process;
  }

  /** undefined until `finish` has returned. */
  get process(): SpawnedProcess | undefined {
    return this.#process;
  }

  /** Closes the channel; a process that `finish` has not waited for ends. May be called again. */
  close(): void {
    this.#stub.abandon();
  }

  /** Ends the process, however far it has come. */
  kill(): void {
    try {
      this.close();
    } finally {
      if (this.#process !== undefined) killAndReap(this.#process.pid);
      this.#process = undefined;
    }
  }
}

/** Spawns a process. The descriptors in the options stay the caller's, who may close them then: copies are on their way. */
export function spawnProcess(given: SpawnOptions): PendingProcess {
  const options = { namespaces: NO_NAMESPACES, linux: {}, ...given };
  // For a process that ignores SIGCHLD the kernel keeps no exit codes of children: a hook that fails would seem to succeed. wait(2), Notes
  if (options.ignoredSignals.includes(SIGCHLD)) syscall("rt_sigaction", [SIGCHLD, DEFAULT_ACTION, null, 8]);
  const stub = startStub(options);
  try {
    return new PendingProcess(options, stub, cloneByStub(stub, options));
  } catch (error) {
    stub.abandon();
    throw error;
  }
}

const NO_NAMESPACES: Namespaces = { created: new Set(), joined: new Map() };

/** A stub that clones itself. It is killed once it has done so. */
class Stub implements CloningStub {
  readonly pid: number;
  readonly stubChannel: Channel;
  readonly cloneChannel: Channel;
  #hasEnded = false;

  constructor(pid: number, stubChannel: Channel, cloneChannel: Channel) {
    this.pid = pid;
    this.stubChannel = stubChannel;
    this.cloneChannel = cloneChannel;
  }

  end(): void {
    this.#hasEnded = true;
    this.stubChannel.ours.close();
    killAndReap(this.pid, "end the stub, which has done its work");
  }

  /** Closes the clone's channel as well; a clone that nobody has waited for ends. May be called again. */
  abandon(): void {
    this.cloneChannel.ours.close();
    if (this.#hasEnded) return;
    this.end();
    reapLostClone();
  }
}

function startStub({ keepFds, join, privileged }: CloneOptions): Stub {
  const passedOn: OwnedDescriptor[] = [];
  const channels: StubChannel[] = [];
  const openChannel = (): Channel => {
    const [fd, theirs] = channelPair();
    const ours = new StubChannel(fd);
    channels.push(ours);
    passedOn.push(new OwnedDescriptor(theirs));
    keepOnExec(theirs);
    return { ours, theirs };
  };
  try {
    const image = new OwnedDescriptor(openStubImage());
    passedOn.push(image);
    const openBoth = () => [openChannel(), openChannel()] as const;
    const [stubChannel, cloneChannel] =
      join !== undefined && privileged ? inNetworkOf(join, openBoth) : openBoth();
    revealSenders(cloneChannel.ours.descriptor);
    for (let fd = 3; fd < 3 + keepFds; fd++) keepOnExec(fd);
    return new Stub(spawnStub(image.number, stubChannel.theirs), stubChannel, cloneChannel);
  } catch (error) {
    for (const channel of channels) channel.close();
    throw error;
  } finally {
    for (const descriptor of passedOn) descriptor.close();
  }
}

/**
 * Returns the pid of the clone, once it has its mappings. Whatever a stub says is an attacker's input: the pid counts for nothing before
 * the kernel has said that it is a child of the runtime, and the one that sends the clone's reply.
 */
function awaitClone(stub: Stub, { reset, cloning, cloned }: SentClone, options: CloneOptions): number {
  const { stubChannel, cloneChannel } = stub;
  let pid: number | undefined;
  try {
    let said = -1;
    try {
      if (stubChannel.ours.waiting > 1) receiveReply(stubChannel.ours, reset);
      said = receiveReply(stubChannel.ours, cloning).results[cloned] ?? -1;
    } finally {
      // The stub has the clone's end of the channel open, too: while it lives, the end of the clone does not show there.
      stub.end();
    }
    if (said === stub.pid || !onBehalfOf("", "look for the clone", () => isChild(said))) throw noClone(said);
    const reply = receiveFromClone(cloneChannel.ours, cloning, said);
    pid = said;
    rememberClone(pid);
    checkReply(cloning, reply);
    if (!hasEarlyUserNamespace(options)) writeIdMappings(pid, options.linux, options.namespaces, options);
    if (options.namespaces.joined.has("user")) checkJoinedMappings(pid, options.linux);
    return pid;
  } catch (error) {
    // Nobody else knows the clone, and before it is reaped, the init of its pid namespace can't end: pid_namespaces(7).
    if (pid !== undefined) killAndReap(pid);
    else {
      cloneChannel.ours.close();
      reapLostClone();
    }
    throw error;
  }
}

function noClone(pid: number): RuntsError {
  const message = `the stub reported process ${pid}, which is not a child of the runtime`;
  return new RuntsError(message, { operation: "clone3", errno: "EPROTO" });
}
