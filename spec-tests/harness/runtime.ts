import { type ChildProcess, spawn } from "node:child_process";
import { constants as access, accessSync, closeSync, openSync, readFileSync } from "node:fs";
import { constants } from "node:os";
import { basename, join, resolve } from "node:path";

/** The runtime under test: `$RUNTIME`, or the executable that `npm run build` makes. */
export const RUNTIME = resolve(process.env.RUNTIME ?? join(import.meta.dirname, "../../dist/runts"));

/** Name of the executable, by which tests note deviations. `--version` is no help: several runtimes say `runc` there for engines. */
export const RUNTIME_NAME = basename(RUNTIME);

export const IS_RUNTS = RUNTIME_NAME.startsWith("runts");

/** $PATH of commands that the tests run. */
export const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** `RUNTS_COLD=1 npm test` has all commands start a new engine, though there is an image of a warm one. */
const START: Readonly<Record<string, string>> =
  process.env.RUNTS_COLD === undefined ? {} : { RUNTS_COLD: process.env.RUNTS_COLD };

export interface Result {
  /** Exit code; 128+n when the runtime itself was ended by signal n, 124 when it took too long. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface InvokeOptions {
  /** Directory for the files that take the output. */
  readonly directory: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** File that becomes stdout; one of its own otherwise. */
  readonly stdout?: string;
  /** File that becomes stdin; /dev/null otherwise. */
  readonly stdin?: string;
  readonly timeoutMs?: number;
  /** Runs the command below another, as in `bash -c '… exec "$@"' bash`. */
  readonly wrapper?: readonly string[];
  readonly runtime?: string;
  /** Sends signals to the running command: resolves when they are sent. */
  readonly whileRunning?: (pid: number) => Promise<void>;
}

let calls = 0;

/**
 * Runs one command of the runtime. Output goes to files, not pipes: the container inherits it from `create`, so the end of a
 * pipe would be the end of the container, and node's pipes are sockets, which `/dev/stdout` can't be opened through.
 */
export async function invoke(args: readonly string[], options: InvokeOptions): Promise<Result> {
  calls += 1;
  const outFile = options.stdout ?? join(options.directory, `call-${calls}.out`);
  const errFile = join(options.directory, `call-${calls}.err`);
  const timeoutMs = options.timeoutMs ?? 30_000;
  const begun = Date.now();
  const stdin = openSync(options.stdin ?? "/dev/null", "r");
  const stdout = openSync(outFile, "w+");
  const stderr = openSync(errFile, "w+");
  try {
    const [file = "", ...rest] = [...(options.wrapper ?? []), options.runtime ?? RUNTIME, ...args];
    const child = spawn(file, rest, {
      stdio: [stdin, stdout, stderr],
      env: { PATH, ...START, ...options.env },
      cwd: options.cwd,
      timeout: timeoutMs,
      killSignal: "SIGKILL",
    });
    const [ended] = await Promise.all([end(child), options.whileRunning?.(child.pid ?? 0)]);
    const late = ended.signal === "SIGKILL" && Date.now() - begun >= timeoutMs;
    const code = late ? 124 : (ended.code ?? 128 + signalNumber(ended.signal));
    const note = late ? `\n[harness: no end within ${timeoutMs} ms]` : "";
    return { code, stdout: readFileSync(outFile, "utf8"), stderr: readFileSync(errFile, "utf8") + note };
  } finally {
    for (const fd of [stdin, stdout, stderr]) closeSync(fd);
  }
}

interface End {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

function end(child: ChildProcess): Promise<End> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, signal) => resolve({ code, signal }));
  });
}

function signalNumber(name: NodeJS.Signals | null): number {
  return name === null ? 0 : constants.signals[name];
}

/** Path of a program, looked up as a shell does, or undefined. */
export function which(program: string): string | undefined {
  for (const folder of ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]) {
    const path = join(folder, program);
    try {
      accessSync(path, access.X_OK);
      return path;
    } catch {
      // Not here: the next folder.
    }
  }
  return undefined;
}
