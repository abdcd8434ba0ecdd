import { MFD_CLOEXEC } from "../../../bindings/abi/fcntl.ts";
import { type Purpose, withPurpose } from "../../../bindings/ffi/purpose.ts";
import { cString, syscall } from "../../../bindings/ffi/syscall.ts";
import { fstatSync } from "../../../bindings/linux/file-status.ts";
import { closeSync, pwriteSync, readSync } from "../../../bindings/linux/files.ts";
import { RuntsError } from "../../errors.ts";
import type { Hook, Hooks } from "../../spec/types.ts";
import { appendHookOutput } from "./hook-output.ts";
import { type HookPlace, type HookProcess, hookProcessIn, runHookProcess } from "./hook-process.ts";

/** Number of bytes that an error shows of the end of a hook's output. */
const SHOWN_OUTPUT = 4096;

/** Runs hooks of one kind in the listed order, up to the first that fails. config.md, POSIX-platform Hooks. */
export function runHooks(kind: keyof Hooks, hooks: readonly Hook[], input: string, place: HookPlace): void {
  runHooksAs(kind, hooks, input, hookProcessIn(place));
}

/** Like runHooks, with processes that are made in another way. */
export function runHooksAs(
  kind: keyof Hooks,
  hooks: readonly Hook[],
  input: string,
  process: HookProcess,
): void {
  hooks.forEach((hook, index) => {
    runHook(kind, index, hook, input, process);
  });
}

/**
 * Input and outputs are memory files, not pipes: a hook that doesn't read its input can't raise SIGPIPE, and one that leaves a
 * process in the background, which keeps its outputs open, doesn't hold the runtime up.
 */
function runHook(kind: keyof Hooks, index: number, hook: Hook, input: string, process: HookProcess): void {
  withPurpose(`/hooks/${kind}/${index}`, `run the ${kind} hook ${hook.path}`, () =>
    runWithMemoryFiles(kind, index, hook, input, process),
  );
}

function runWithMemoryFiles(
  kind: keyof Hooks,
  index: number,
  hook: Hook,
  input: string,
  process: HookProcess,
): void {
  const memoryFile = (name: string) =>
    syscall("memfd_create", [cString(memoryFileName(kind, index, name)), MFD_CLOEXEC]);
  const stdin = memoryFile("stdin");
  const stdout = memoryFile("stdout");
  const stderr = memoryFile("stderr");
  try {
    pwriteSync(stdin, input, 0);
    const stdio = [stdin, stdout, stderr] as const;
    const reason = reasonOf(() => runHookProcess(process, { hook, stdio }));
    if (process.output !== undefined) appendHookOutput(process.output, { stdout, stderr });
    if (reason === undefined) return;
    const outputs = `${shownOutput("stdout", stdout)}${shownOutput("stderr", stderr)}`;
    throw hookError(kind, index, hook, `${reason}${outputs}`);
  } finally {
    for (const fd of [stdin, stdout, stderr]) closeSync(fd);
  }
}

function memoryFileName(kind: string, index: number, stream: string): string {
  return `${kind}-hook-${index}-${stream}`;
}

/** A hook as `explain` and `--debug` tell of it. */
export interface NamedHook {
  readonly kind: string;
  readonly name: string;
  readonly pointer: string;
}

/** The hook that an action is a part of; undefined for none. */
export function hookOf(purpose: Purpose): NamedHook | undefined {
  for (let at: Purpose | undefined = purpose; at !== undefined; at = at.outer) {
    const [pointer, kind = "", index] = /^\/hooks\/(\w+)\/(\d+)$/.exec(at.pointer) ?? [];
    if (pointer !== undefined) return { kind, name: `${kind} hook ${index}`, pointer };
  }
  return undefined;
}

/** Returns the reason why a hook failed. It may be a property of the process whose rights the hook gets, which kept it from its execve. */
function reasonOf(run: () => string | undefined): string | undefined {
  try {
    return run();
  } catch (error) {
    if (error instanceof RuntsError) return error.message;
    throw error;
  }
}

/** Returns the end of a hook's output. */
function shownOutput(name: string, fd: number): string {
  const buffer = Buffer.alloc(SHOWN_OUTPUT);
  const length = readSync(fd, buffer, 0, SHOWN_OUTPUT, Math.max(0, fstatSync(fd).size - SHOWN_OUTPUT));
  const text = buffer.toString("utf8", 0, length).trim();
  return text === "" ? "" : `, ${name}: ${text}`;
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
  const process = hookProcessIn(place);
  hooks.forEach((hook, index) => {
    try {
      runHook(kind, index, hook, input, process);
    } catch (error) {
      warn(error instanceof Error ? error.message : String(error));
    }
  });
}
