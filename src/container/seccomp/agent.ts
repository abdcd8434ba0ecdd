import { readdirSync } from "../../../bindings/linux/directories.ts";
import { closeSync, readlinkSync } from "../../../bindings/linux/files.ts";
import { pidfdGetfd, writeMemory } from "../../../bindings/linux/foreign-process.ts";
import { OwnedDescriptor } from "../../../bindings/linux/owned-descriptor.ts";
import { pidfdOpen } from "../../../bindings/linux/pidfd.ts";
import { waitReadable } from "../../../bindings/linux/poll.ts";
import { connectUnix } from "../../../bindings/linux/unix-socket.ts";
import { sendWithDescriptors } from "../../../bindings/stub/client.ts";
import { errorCode, RuntsError } from "../../errors.ts";
import { onBehalfOf } from "../../init/run-program.ts";
import { HANDED_OVER_ADDRESS } from "../../plan/process/exec.ts";
import { type AllowedAnnotations, annotationPointer } from "../../spec/annotations.ts";
import type { Seccomp } from "../../spec/types.ts";
import { specVersion } from "../../version.ts";
import { hookState } from "../record/oci-state.ts";
import type { SavedState } from "../record/saved-state.ts";

/**
 * The agent that answers the system calls whose action is SCMP_ACT_NOTIFY: seccomp_unotify(2), config-linux.md.
 *
 * The kernel makes the listener when the process loads its filter. From then on no system call of the process can be relied on,
 * so the runtime takes the descriptor while the process waits in a busy loop, sends it to the agent, and ends the waiting by a
 * write to the memory of the process.
 */
export interface SeccompAgent {
  /** Sends the listener of a process that is about to load its filter, and lets it go on. */
  handOver(handing: HandOver): void;
  /** Closes the connection to the agent. May be called again, and after a hand-over. */
  close(): void;
}

export interface HandOver {
  readonly pid: number;
  /** The channel of the process: it says what has failed, and ends with the process. */
  readonly connection: number;
  readonly saved: SavedState;
  readonly status: "created" | "running";
}

/** Where the agent listens, and who says so. */
export interface AgentAddress {
  readonly path: string;
  readonly pointer: string;
  /** `listenerMetadata`, which is sent along. */
  readonly metadata: string | undefined;
}

const POINTER = "/linux/seccomp/listenerPath";
const RECEIVER = "run.oci.seccomp.receiver";
/** The kernel's name of a listener, as /proc/PID/fd shows it. */
const LISTENER = "anon_inode:seccomp notify";
/** How long a process that has been released may take to load its filter. */
const LOAD_TIMEOUT_MS = 60_000;

/** Returns undefined if nobody is named. `listenerPath` precedes crun's annotation, which is older. */
export function agentAddress(
  seccomp: Seccomp | undefined,
  allowed: AllowedAnnotations = {},
): AgentAddress | undefined {
  const { listenerPath = "", listenerMetadata: metadata } = seccomp ?? {};
  if (listenerPath !== "") return { path: listenerPath, pointer: POINTER, metadata };
  const path = allowed[RECEIVER];
  return path === undefined ? undefined : { path, pointer: annotationPointer(RECEIVER), metadata };
}

/** For a container that needs an agent: it was made only if somebody was named. */
export function connectToAgent(address: AgentAddress | undefined): SeccompAgent {
  const { path, pointer, metadata } = address ?? { path: "", pointer: POINTER, metadata: undefined };
  const purpose = `connect to the seccomp agent ${path}`;
  const agent = new OwnedDescriptor(onBehalfOf(pointer, purpose, () => connectUnix(path)));
  return {
    handOver: (handing) => {
      const message = new TextEncoder().encode(processState(handing, metadata));
      const send = (listener: number) =>
        onBehalfOf(pointer, "send the seccomp listener", () =>
          sendWithDescriptors(agent.number, message, [listener]),
        );
      try {
        takeListener(handing, send, pointer);
      } finally {
        agent.close();
      }
    },
    close: () => agent.close(),
  };
}

/** Takes the listener of a process that loads its filter, delivers it, closes it, and lets the process go on. */
export function takeListener(
  { pid, connection }: Pick<HandOver, "pid" | "connection">,
  deliver: (listener: number) => void,
  pointer: string = POINTER,
): void {
  const pidfd = pidfdOpen(pid);
  // The process is gone: its connection tells why.
  if (pidfd === undefined) return;
  try {
    const number = awaitListener(pid, connection, pointer);
    if (number === undefined) return;
    const listener = onBehalfOf(pointer, "take the seccomp listener", () => pidfdGetfd(pidfd, number));
    try {
      deliver(listener);
    } finally {
      closeSync(listener);
    }
    onBehalfOf(pointer, "end the hand-over of the seccomp listener", () =>
      writeMemory(pid, HANDED_OVER_ADDRESS, Uint8Array.of(1, 0, 0, 0)),
    );
  } finally {
    closeSync(pidfd);
  }
}

/** Waits for the listener. Returns its number in the process; undefined if the process has failed before. */
function awaitListener(pid: number, connection: number, pointer: string): number | undefined {
  // A time, not a number of looks: looking at a process with many descriptors takes longer than the pause.
  const deadline = performance.now() + LOAD_TIMEOUT_MS;
  while (performance.now() < deadline) {
    const found = onBehalfOf(pointer, "look for the seccomp listener", () => findListener(pid));
    if (found !== undefined) return found;
    if (waitReadable(connection, 1)) return undefined;
  }
  throw new RuntsError(
    `${pointer}: the process has not loaded its filter within ${LOAD_TIMEOUT_MS / 1000} s`,
    {
      operation: "seccomp",
      errno: "ETIMEDOUT",
      pointer,
    },
  );
}

function findListener(pid: number): number | undefined {
  const directory = `/proc/${pid}/fd`;
  for (const name of readdirSync(directory)) {
    if (linkOf(`${directory}/${name}`) === LISTENER) return Number(name);
  }
  return undefined;
}

/** The process may close descriptors while they are looked at. */
function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return "";
    throw error;
  }
}

/** config-linux.md, The Container Process State. */
function processState({ pid, saved, status }: HandOver, metadata: string | undefined): string {
  return JSON.stringify({
    ociVersion: specVersion,
    fds: ["seccompFd"],
    pid,
    ...(metadata !== undefined && { metadata }),
    state: JSON.parse(hookState(saved, status)),
  });
}
