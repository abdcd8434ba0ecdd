import { errnoName } from "../../bindings/abi/errno.ts";
import { O_CLOEXEC } from "../../bindings/abi/fcntl.ts";
import { ADDR_COMPAT_LAYOUT } from "../../bindings/abi/personality.ts";
import { addressOf, loadLibrary } from "../../bindings/ffi/koffi.ts";
import { cString, syscall, trySyscall } from "../../bindings/ffi/syscall.ts";
import { closeSync, readSync } from "../../bindings/linux/files.ts";
import { waitReadable } from "../../bindings/linux/poll.ts";
import { killAndReap } from "../../bindings/linux/reap.ts";
import { prlimit } from "../../bindings/linux/rlimit.ts";
import { SyscallError } from "../../bindings/syscall-error.ts";
import { RuntsError } from "../errors.ts";
import { READY } from "./await-thaw.ts";
import { FREEZE_ARGUMENTS } from "./freeze-arguments.ts";

/** Numbers below this are the caller's at a warm start. The engine's own descriptors lie above, and below what usual limits allow. */
export const OWN_DESCRIPTORS = 900;

/**
 * As the launcher has it. No threads for the collection of garbage: an image has the one thread that waits. And memory that was freed is
 * kept: the engine and its allocator would give it back by MADV_DONTNEED and rely on zeros in its place, where pages of the image would
 * be. Nothing else, since the engine remembers its environment.
 */
const ENVIRONMENT = [
  "DO_NOT_TRACK=1",
  "BUN_ENABLE_CRASH_REPORTING=0",
  "TZ=UTC",
  "BUN_JSC_useJIT=0",
  "BUN_JSC_useConcurrentGC=0",
  "BUN_JSC_numberOfGCMarkers=1",
  "BUN_JSC_decommitUnusedMarkedBlockPages=0",
  "MIMALLOC_SCAVENGER=0",
  "MIMALLOC_PURGE_DELAY=-1",
  "MIMALLOC_PURGE_HOLES=0",
];

/** struct posix_spawn_file_actions_t, posix_spawnattr_t and sigset_t of glibc. */
const FILE_ACTIONS_SIZE = 80;
const SPAWN_ATTRIBUTES_SIZE = 336;
const SIGNAL_SET_SIZE = 128;
const POSIX_SPAWN_SETSIGDEF = 4;
const POSIX_SPAWN_SETSIGMASK = 8;

/** In bytes: the stack is a part of the image, and must not lie where a later process has its own, so it is small. */
export const STACK_SIZE = 2n * 1024n * 1024n;

const LONGEST_MESSAGE = 64 * 1024;

/** An engine that gets ready in an environment of its own, and then waits for what it is told to do. */
export class EngineProcess {
  readonly pid: number;
  readonly #input: number;
  readonly #output: number;

  /** Starts it; throws where it can't be executed. */
  constructor(executable: string) {
    const [theirInput, input] = pipe();
    const [output, theirOutput] = pipe();
    this.#input = input;
    this.#output = output;
    try {
      this.pid = spawn(executable, theirInput, theirOutput);
    } catch (error) {
      this.#closePipes();
      throw error;
    } finally {
      closeSync(theirInput);
      closeSync(theirOutput);
    }
  }

  /** Waits until it is ready; throws with what it says where it is not in time. */
  awaitReady(timeoutMs: number): void {
    const limit = performance.now() + timeoutMs;
    const buffer = Buffer.alloc(LONGEST_MESSAGE);
    let length = 0;
    for (;;) {
      const left = Math.max(0, Math.ceil(limit - performance.now()));
      if (!waitReadable(this.#output, left)) throw new RuntsError("warm: the engine was not ready in time");
      const count = length < buffer.length ? readSync(this.#output, buffer, length) : 0;
      length += count;
      const said = buffer.toString("utf8", 0, length);
      if (said === READY) return;
      if (count === 0)
        throw new RuntsError(`warm: the engine could not get ready${said === "" ? "" : `: ${said.trim()}`}`);
    }
  }

  /** Kills it, whatever it does. */
  end(): void {
    killAndReap(this.pid);
    this.#closePipes();
  }

  #closePipes(): void {
    closeSync(this.#input);
    closeSync(this.#output);
  }
}

function pipe(): [number, number] {
  const pair = new Int32Array(2);
  syscall("pipe2", [new Uint8Array(pair.buffer), O_CLOEXEC]);
  return [pair[0] ?? -1, pair[1] ?? -1];
}

/** posix_spawn(3), with the descriptors as standard streams. */
function spawn(executable: string, input: number, output: number): number {
  const library = loadLibrary(null);
  const initialise = library.func("int posix_spawn_file_actions_init(void *actions)");
  const duplicate = library.func("int posix_spawn_file_actions_adddup2(void *actions, int from, int to)");
  const changeDirectory = library.func("int posix_spawn_file_actions_addchdir_np(void *actions, void *path)");
  const start = library.func(
    "int posix_spawn(void *pid, void *path, void *actions, void *attributes, void *argv, void *envp)",
  );
  const actions = new Uint8Array(FILE_ACTIONS_SIZE);
  check(initialise(actions), "posix_spawn_file_actions_init");
  // The engine remembers it, and where the writer stood is nobody's business.
  check(changeDirectory(actions, cString("/")), "posix_spawn_file_actions_addchdir_np");
  for (let fd = 0; fd < OWN_DESCRIPTORS; fd++)
    check(duplicate(actions, fd === 0 ? input : output, fd), "posix_spawn_file_actions_adddup2");
  const pid = new Int32Array(1);
  const argv = textArray(["runts", ...FREEZE_ARGUMENTS]);
  const environment = textArray(ENVIRONMENT);
  const stack = prlimit(0, "RLIMIT_STACK");
  const smaller = stack.hard < STACK_SIZE ? stack.hard : STACK_SIZE;
  prlimit(0, "RLIMIT_STACK", { soft: smaller, hard: stack.hard });
  const domain = changeLayout();
  try {
    const bytes = new Uint8Array(pid.buffer);
    check(
      start(bytes, cString(executable), actions, ownSignals(), argv.pointers, environment.pointers),
      "posix_spawn",
      executable,
    );
  } finally {
    prlimit(0, "RLIMIT_STACK", stack);
    if (domain >= 0) trySyscall("personality", domain);
  }
  return pid[0] ?? -1;
}

/**
 * Has what is executed map its memory where other processes have nothing: below the stack, their vdso lies anywhere in a terabyte, and the
 * engine's 4 GB would be in its way at one start of 250. Returns what was set before, or a negative errno: it stays at that then.
 */
function changeLayout(): number {
  const ASK = 0xffffffff;
  const domain = trySyscall("personality", ASK);
  return domain < 0 ? domain : trySyscall("personality", domain | ADDR_COMPAT_LAYOUT);
}

/**
 * Attributes of a process that ignores and blocks no signal. What its parent ignores, as below nohup(1) or in the background of a shell, would
 * be in the image, and ignored by each process that starts from it.
 */
function ownSignals(): Uint8Array {
  const library = loadLibrary(null);
  const initialise = library.func("int posix_spawnattr_init(void *attributes)");
  const setDefault = library.func("int posix_spawnattr_setsigdefault(void *attributes, void *set)");
  const setMask = library.func("int posix_spawnattr_setsigmask(void *attributes, void *set)");
  const setFlags = library.func("int posix_spawnattr_setflags(void *attributes, short flags)");
  const attributes = new Uint8Array(SPAWN_ATTRIBUTES_SIZE);
  check(initialise(attributes), "posix_spawnattr_init");
  check(setDefault(attributes, new Uint8Array(SIGNAL_SET_SIZE).fill(0xff)), "posix_spawnattr_setsigdefault");
  check(setMask(attributes, new Uint8Array(SIGNAL_SET_SIZE)), "posix_spawnattr_setsigmask");
  check(setFlags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK), "posix_spawnattr_setflags");
  return attributes;
}

/** These functions return an errno, or 0. */
function check(errno: number | bigint, call: string, ...shown: readonly string[]): void {
  if (Number(errno) !== 0) throw new SyscallError(call, errnoName(Number(errno)), shown);
}

/** char *[] with a null pointer at its end; the texts have to stay referenced. */
function textArray(texts: readonly string[]) {
  const strings = texts.map((text) => cString(text));
  const pointers = BigUint64Array.from([...strings.map(addressOf), 0n]);
  return { strings, pointers: new Uint8Array(pointers.buffer) };
}
