import { withPurpose } from "../../../bindings/ffi/purpose.ts";
import { mkdirSync, rmSync } from "../../../bindings/linux/directories.ts";
import { chmodSync, closeSync, existsSync } from "../../../bindings/linux/files.ts";
import { pipe } from "../../../bindings/linux/pipe.ts";
import { waitReadable } from "../../../bindings/linux/poll.ts";
import { pollReadable } from "../../../bindings/linux/poll-async.ts";
import { bindDatagram, connectDatagram, receiveDatagram } from "../../../bindings/linux/unix-datagram.ts";
import { sendWithDescriptors } from "../../../bindings/stub/client.ts";
import { namespacesOf } from "../../plan/init-plan.ts";
import type { Config } from "../../spec/types.ts";
import type { Awaited, EventSource } from "./foreground.ts";
import { MessageRate } from "./message-rate.ts";

/**
 * sd_notify(3) for containers: a service manager takes messages from the service's own processes only, and its socket is not in
 * the container. So the container gets its own socket, at runc's place, and the runtime passes on what is said there.
 */
const PLACE_IN_CONTAINER = "/run/notify";
const NAME = "notify.sock";

type Warn = (message: string) => void;

/**
 * Makes the directory that will hold the socket; returns what the container needs to find it there. undefined where the config
 * has its own socket (podman's proxy), or nothing can be mounted.
 */
export function prepareNotifySocket(
  config: Config,
  directory: string,
  host: string,
  warn: Warn,
): { readonly config: Config; readonly env: readonly string[] } | undefined {
  if ((config.process?.env ?? []).some((entry) => entry.startsWith("NOTIFY_SOCKET="))) return undefined;
  if (!/^[/@]./.test(host)) {
    warn(`NOTIFY_SOCKET: ${host} is neither an absolute path nor an abstract address: left out`);
    return undefined;
  }
  if (!namespacesOf(config).created.has("mount")) {
    warn(
      "NOTIFY_SOCKET: left out, since the container has no mount namespace of its own to have a socket in",
    );
    return undefined;
  }
  const source = `${directory}/notify`;
  withPurpose("", "make a place for the container's NOTIFY_SOCKET", () => {
    mkdirSync(source, { mode: 0o755 });
    chmodSync(source, 0o755); // whatever the umask: the container's user has to get through
  });
  const options = ["bind", "nosuid", "noexec", "nodev", "ro"];
  const mount = { destination: PLACE_IN_CONTAINER, source, options };
  return {
    config: { ...config, mounts: [...(config.mounts ?? []), mount] },
    env: [`NOTIFY_SOCKET=${PLACE_IN_CONTAINER}/${NAME}`],
  };
}

/**
 * Opens the notify socket of a container that is about to start; a running container already has its socket there. Returns undefined if
 * the container has no place for one.
 */
export function openNotifyRelay(directory: string, host: string, warn: Warn): NotifyRelay | undefined {
  const place = `${directory}/notify`;
  if (!existsSync(place)) return undefined;
  const path = `${place}/${NAME}`;
  return withPurpose("", "listen on the container's NOTIFY_SOCKET", () => {
    rmSync(path, { force: true }); // of a start that was given up
    return new NotifyRelay(bindDatagram(path), host, warn);
  });
}

/**
 * Messages of a service about its own state. A container may not send any other: they would name processes or descriptors of the host
 * to its service manager, or change the rules of the service.
 */
const PASSED_ON =
  /^(?:READY=1|RELOADING=1|STOPPING=1|WATCHDOG=1|STATUS=.*|(?:ERRNO|MONOTONIC_USEC|EXTEND_TIMEOUT_USEC)=\d+)$/;

/** How long the service manager may take to handle a message: the time that runc and crun give it. */
const BARRIER_TIMEOUT_MS = 30_000;

/** Length of a socket's queue, net.unix.max_dgram_qlen, as systemd sets it; the kernel's default is 10. unix(7) */
const LONGEST_QUEUE = 512;

/** The fate of a message; `ready` is the last one. */
type Forwarded = "nothing" | "passed" | "ready";

/** Passes messages from the container's socket on to the service manager's. */
export class NotifyRelay implements EventSource {
  readonly #socket: number;
  readonly #host: string;
  readonly #warn: Warn;
  readonly #buffer = new Uint8Array(4096);
  readonly #rate = new MessageRate(performance.now());
  #warned = "";

  constructor(socket: number, host: string, warn: Warn) {
    this.#socket = socket;
    this.#host = host;
    this.#warn = warn;
  }

  /** The next message; the time that it has to wait, if it has to. */
  awaited(): Awaited {
    const timeoutMs = this.#rate.waitMs(performance.now());
    return timeoutMs > 0 ? { descriptors: [], timeoutMs } : { descriptors: [this.#socket] };
  }

  /** Passes on one message, if one has come and may be: nobody else is served meanwhile. */
  forward(): void {
    this.#forwardOne();
  }

  /** Passes on what waits when the container has ended: others who have the socket may go on sending. */
  finish(mainPid?: number): void {
    for (let passed = 0; passed < LONGEST_QUEUE; passed += 1) if (this.#passOn(mainPid) !== "passed") return;
  }

  /** Waits until the container, whose init is `pid`, is ready or has ended. The runtime leaves the service to it then. */
  async untilReady(pid: number, pidfd: number): Promise<void> {
    for (;;) {
      const { descriptors, timeoutMs } = this.awaited();
      const ready = await pollReadable([pidfd, ...descriptors], timeoutMs);
      if (ready.includes(pidfd)) {
        this.finish(pid);
        return;
      }
      if (this.#forwardOne(pid) === "ready") return;
    }
  }

  #forwardOne(mainPid?: number): Forwarded {
    if (this.#rate.waitMs(performance.now()) > 0) return "nothing";
    const forwarded = this.#passOn(mainPid);
    if (forwarded !== "nothing") this.#rate.count();
    return forwarded;
  }

  /** Receives a message, and sends its permitted part to the service manager. With `mainPid`, READY=1 names the service's main process. */
  #passOn(mainPid?: number): Forwarded {
    const datagram = receiveDatagram(this.#socket, this.#buffer);
    if (datagram === undefined) return "nothing";
    const lines = new TextDecoder().decode(datagram).split("\n");
    const passed = lines.filter((line) => PASSED_ON.test(line));
    const isLast = mainPid !== undefined && passed.includes("READY=1");
    if (isLast) passed.push(`MAINPID=${mainPid}`);
    if (passed.length > 0)
      withPurpose("", "pass on what the container tells its service manager", () =>
        this.#tell(`${passed.join("\n")}\n`, isLast),
      );
    return isLast ? "ready" : "passed";
  }

  /** An error is a warning: a container goes on whether its messages arrive or not. */
  #tell(message: string, isLast: boolean): void {
    try {
      const socket = connectDatagram(this.#host);
      try {
        sendWithDescriptors(socket, new TextEncoder().encode(message), []);
        if (isLast) awaitBarrier(socket);
      } finally {
        closeSync(socket);
      }
    } catch (error) {
      this.#warnOnce(`NOTIFY_SOCKET: ${error instanceof Error ? error.message : error}`);
    }
  }

  /** The container decides how often it says something that arrives nowhere. */
  #warnOnce(message: string): void {
    if (message !== this.#warned) this.#warn(message);
    this.#warned = message;
  }

  close(): void {
    closeSync(this.#socket);
  }
}

/**
 * Waits until the service manager has handled all messages: it has to find out who sent them while the sender still exists. It closes
 * the descriptor that comes with the last one. sd_notify_barrier(3)
 */
function awaitBarrier(socket: number): void {
  const [read, write] = pipe();
  sendWithDescriptors(socket, new TextEncoder().encode("BARRIER=1"), [write]);
  closeSync(write);
  waitReadable(read, BARRIER_TIMEOUT_MS);
  closeSync(read);
}
