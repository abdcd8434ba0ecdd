import { MFD_CLOEXEC } from "../../bindings/abi/fcntl.ts";
import { cString, syscall } from "../../bindings/ffi/syscall.ts";
import { fstatSync } from "../../bindings/linux/file-status.ts";
import { closeSync, pwriteSync, readSync } from "../../bindings/linux/files.ts";
import { RuntsError } from "../errors.ts";
import type { Hook, Hooks } from "../spec/types.ts";
import { specVersion } from "../version.ts";
import { type HookContainer, runHookProcess } from "./hook-process.ts";
import type { SavedState } from "./saved-state.ts";

/** How much of the end of a hook's output an error shows. */
const SHOWN_OUTPUT = 4096;

/**
 * The state that a hook gets on its standard input: runtime.md, State. `pid` is init's as the hook sees it, where that is not
 * the runtime's view.
 */
export function hookState(
  state: SavedState,
  status: "created" | "running" | "stopped",
  pid: number = state.pid,
): string {
  return JSON.stringify({
    ociVersion: specVersion,
    id: state.id,
    status,
    ...(status !== "stopped" && { pid }),
    bundle: state.bundle,
    ...(Object.keys(state.annotations).length > 0 && { annotations: state.annotations }),
  });
}

/** Where the hooks of one kind run. */
export interface HookPlace {
  readonly cwd: string;
  /** The container in whose namespaces they run; absent for those that run in the runtime's. */
  readonly container?: HookContainer;
}

/** Runs hooks of one kind in the listed order; the first that fails ends it. config.md, POSIX-platform Hooks. */
export function runHooks(kind: keyof Hooks, hooks: readonly Hook[], input: string, place: HookPlace): void {
  hooks.forEach((hook, index) => {
    runHook(kind, index, hook, input, place);
  });
}

/** Runs the hooks of a kind that belongs into the container's namespaces: createContainer and startContainer. */
export function runContainerHooks(
  kind: "createContainer" | "startContainer",
  hooks: readonly Hook[],
  state: SavedState,
  cwd: string,
): void {
  // As the hook sees it, init is pid 1 of the container's pid namespace.
  const input = hookState(state, "created", state.ownPidNamespace ? 1 : state.pid);
  runHooks(kind, hooks, input, { cwd, container: state });
}

/**
 * Input and outputs are memory files, not pipes: a hook that doesn't read its input can't raise SIGPIPE, and one that leaves a
 * process in the background, which keeps its outputs open, doesn't hold the runtime up.
 */
function runHook(kind: keyof Hooks, index: number, hook: Hook, input: string, place: HookPlace): void {
  const memoryFile = (name: string) => syscall("memfd_create", [cString(`hook-${name}`), MFD_CLOEXEC]);
  const stdin = memoryFile("stdin");
  const stdout = memoryFile("stdout");
  const stderr = memoryFile("stderr");
  try {
    pwriteSync(stdin, input, 0);
    const stdio = [stdin, stdout, stderr] as const;
    const reason = runHookProcess({ hook, stdio, cwd: place.cwd, container: place.container });
    if (reason === undefined) return;
    const outputs = `${shownOutput("stdout", stdout)}${shownOutput("stderr", stderr)}`;
    throw hookError(kind, index, hook, `${reason}${outputs}`);
  } finally {
    for (const fd of [stdin, stdout, stderr]) closeSync(fd);
  }
}

/** The end of what a hook has written. */
function shownOutput(name: string, fd: number): string {
  const buffer = Buffer.alloc(SHOWN_OUTPUT);
  const length = readSync(fd, buffer, 0, SHOWN_OUTPUT, Math.max(0, fstatSync(fd).size - SHOWN_OUTPUT));
  const text = buffer.toString("utf8", 0, length).trim();
  return text === "" ? "" : `, ${name}: ${text.replaceAll("\n", "\\n")}`;
}

function hookError(kind: keyof Hooks, index: number, { path }: Hook, reason: string): RuntsError {
  const pointer = `/hooks/${kind}/${index}`;
  return new RuntsError(`${pointer}: error running ${kind} hook ${path}: ${reason}`, {
    operation: "hook",
    path,
    pointer,
  });
}

/** Runs all hooks, also after one that has failed, and reports failures as warnings: for poststop (runtime.md, Lifecycle). */
export function runHooksToTheEnd(
  kind: keyof Hooks,
  hooks: readonly Hook[],
  input: string,
  place: HookPlace,
  warn: (message: string) => void,
): void {
  hooks.forEach((hook, index) => {
    try {
      runHook(kind, index, hook, input, place);
    } catch (error) {
      warn(error instanceof Error ? error.message : String(error));
    }
  });
}
