import { errnoName } from "../../bindings/abi/errno.ts";
import { ADDR_COMPAT_LAYOUT } from "../../bindings/abi/personality.ts";
import { addressOf, loadLibrary } from "../../bindings/ffi/koffi.ts";
import { cString, trySyscall } from "../../bindings/ffi/syscall.ts";
import { closeSync, readSync } from "../../bindings/linux/files.ts";
import { pipe } from "../../bindings/linux/pipe.ts";
import { waitReadable } from "../../bindings/linux/poll.ts";
import { killAndReap } from "../../bindings/linux/reap.ts";
import { prlimit } from "../../bindings/linux/rlimit.ts";
import { SyscallError } from "../../bindings/syscall-error.ts";
import { RuntsError } from "../errors.ts";
import { READY } from "./await-thaw.ts";
import { FREEZE_ARGUMENTS } from "./freeze-arguments.ts";

/** At a warm start, lower descriptors are the caller's. Those of the engine are higher, but below the usual limit. */
export const OWN_DESCRIPTORS = 900;

/**
 * The engine's environment, the same as the launcher's. No threads for garbage collection, as an image has only the thread that waits. And
 * freed memory is kept: otherwise the engine and its allocator would release it by MADV_DONTNEED and rely on finding zeros there,
 * where pages of the image would be. No other variables, since the engine remembers its environment.
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

/** In bytes. Small, as the stack is part of the image and must not overlap with the stack of a later process. */
export const STACK_SIZE = 2n * 1024n * 1024n;

const LONGEST_MESSAGE = 64 * 1024;

/** An engine process that warms up in its own environment, and then waits for an answer. */
export class EngineProcess {
  readonly pid: number;
  readonly #input: number;
  readonly #output: number;

  /** Starts the engine; throws if it can't be executed. */
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

  /** Waits until the engine is ready; throws with the engine's output if it fails or takes too long. */
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

  /** Kills and reaps the engine. */
  end(): void {
    killAndReap(this.pid);
    this.#closePipes();
  }

  #closePipes(): void {
    closeSync(this.#input);
    closeSync(this.#output);
  }
}

/** Executes the engine by posix_spawn(3), with `input` as descriptor 0 and `output` as all others below OWN_DESCRIPTORS. */
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
  // The engine remembers its working directory, and an image must not reveal the caller's.
  check(changeDirectory(actions, cString("/")), "posix_spawn_file_actions_addchdir_np");
  for (let fd = 0; fd < OWN_DESCRIPTORS; fd++)
    check(duplicate(actions, fd === 0 ? input : output, fd), "posix_spawn_file_actions_adddup2");
  const pid = new Int32Array(1);
  const argv = textArray(["runts", ...FREEZE_ARGUMENTS]);
  const environment = textArray(ENVIRONMENT);
  const stack = prlimit(0, "RLIMIT_STACK");
  const smaller = stack.hard < STACK_SIZE ? stack.hard : STACK_SIZE;
  prlimit(0, "RLIMIT_STACK", { soft: smaller, hard: stack.hard });
  const domain = useCompatLayout();
  try {
    const bytes = new Uint8Array(pid.buffer);
    check(
      start(bytes, cString(executable), actions, defaultSignals(), argv.pointers, environment.pointers),
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
 * Makes the executed program map its memory bottom-up, where other processes have nothing. Below the stack, where it would be otherwise,
 * the vdso of a later process is anywhere within a terabyte, and the engine's 4 GB would be in its way at one start in 250. Returns
 * the previous personality, or a negative errno if it can't be changed.
 */
function useCompatLayout(): number {
  const ASK = 0xffffffff;
  const domain = trySyscall("personality", ASK);
  return domain < 0 ? domain : trySyscall("personality", domain | ADDR_COMPAT_LAYOUT);
}

/**
 * Attributes of a process that ignores and blocks no signals. Otherwise signals that the parent ignores, as below nohup(1) or in the
 * background of a shell, would be ignored by each process that starts from the image.
 */
function defaultSignals(): Uint8Array {
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

/** Throws if a function of the posix_spawn family returned an errno. */
function check(errno: number | bigint, call: string, ...shown: readonly string[]): void {
  if (Number(errno) !== 0) throw new SyscallError(call, errnoName(Number(errno)), shown);
}

/** A null-terminated char *[]. The strings have to stay referenced. */
function textArray(texts: readonly string[]) {
  const strings = texts.map((text) => cString(text));
  const pointers = BigUint64Array.from([...strings.map(addressOf), 0n]);
  return { strings, pointers: new Uint8Array(pointers.buffer) };
}
