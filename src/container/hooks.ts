import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { closeSync, readSync, writeSync } from "node:fs";
import { MFD_CLOEXEC } from "../../bindings/abi/fcntl.ts";
import { cString, syscall } from "../../bindings/ffi/syscall.ts";
import { RuntsError } from "../errors.ts";
import type { Hook, Hooks } from "../spec/types.ts";
import { specVersion } from "../version.ts";
import type { SavedState } from "./saved-state.ts";

/** How much of the end of a hook's output an error shows. */
const SHOWN_OUTPUT = 4096;

/** The state that a hook gets on its standard input: runtime.md, State. */
export function hookState(state: SavedState, status: "created" | "running" | "stopped"): string {
  return JSON.stringify({
    ociVersion: specVersion,
    id: state.id,
    status,
    ...(status !== "stopped" && { pid: state.pid }),
    bundle: state.bundle,
    ...(Object.keys(state.annotations).length > 0 && { annotations: state.annotations }),
  });
}

/** Runs hooks of one kind in the listed order; the first that fails ends it. config.md, POSIX-platform Hooks. */
export function runHooks(kind: keyof Hooks, hooks: readonly Hook[], input: string, bundle: string): void {
  hooks.forEach((hook, index) => {
    runHook(kind, index, hook, input, bundle);
  });
}

/**
 * Input and outputs are memory files, not pipes: a hook that doesn't read its input can't raise SIGPIPE, and one that leaves a
 * process in the background, which keeps its outputs open, doesn't hold the runtime up.
 */
function runHook(kind: keyof Hooks, index: number, hook: Hook, input: string, bundle: string): void {
  const memoryFile = (name: string) => syscall("memfd_create", [cString(`hook-${name}`), MFD_CLOEXEC]);
  const stdin = memoryFile("stdin");
  const stdout = memoryFile("stdout");
  const stderr = memoryFile("stderr");
  try {
    writeSync(stdin, input, 0);
    const started = Date.now();
    const result = spawnSync(hook.path, hook.args?.slice(1) ?? [], {
      argv0: hook.args?.[0] ?? hook.path,
      cwd: bundle,
      env: environmentOf(hook),
      stdio: [stdin, stdout, stderr],
      ...(hook.timeout !== undefined && { timeout: hook.timeout * 1000, killSignal: "SIGKILL" as const }),
    });
    if (result.status === 0 && result.error === undefined) return;
    const outcome = describeOutcome(result, hook, Date.now() - started);
    throw hookError(
      kind,
      index,
      hook,
      `${outcome}${shownOutput("stdout", stdout)}${shownOutput("stderr", stderr)}`,
    );
  } finally {
    for (const fd of [stdin, stdout, stderr]) closeSync(fd);
  }
}

/** Only what the hook lists, which may be nothing. */
function environmentOf({ env = [] }: Hook): Record<string, string> {
  return Object.fromEntries(
    env.map((entry) => [entry.slice(0, entry.indexOf("=")), entry.slice(entry.indexOf("=") + 1)]),
  );
}

function describeOutcome(result: SpawnSyncReturns<Buffer>, hook: Hook, elapsedMs: number): string {
  const error: NodeJS.ErrnoException | undefined = result.error;
  if (error?.code === "ETIMEDOUT" || (hook.timeout !== undefined && elapsedMs >= hook.timeout * 1000)) {
    return `timed out after ${hook.timeout} s`;
  }
  if (error !== undefined) return error.code === "ENOENT" ? "no such file or directory" : error.message;
  const how = result.signal === null ? `exit status ${result.status}` : `signal ${result.signal}`;
  return `${how} after ${elapsedMs} ms`;
}

function shownOutput(name: string, fd: number): string {
  const buffer = Buffer.alloc(1 << 20);
  const length = readSync(fd, buffer, 0, buffer.length, 0);
  const text = buffer.toString("utf8", Math.max(0, length - SHOWN_OUTPUT), length).trim();
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
  bundle: string,
  warn: (message: string) => void,
): void {
  hooks.forEach((hook, index) => {
    try {
      runHook(kind, index, hook, input, bundle);
    } catch (error) {
      warn(error instanceof Error ? error.message : String(error));
    }
  });
}
