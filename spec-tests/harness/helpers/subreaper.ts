import type { Container } from "../container.ts";
import { parseObject } from "../json.ts";
import { RUNTIME } from "../runtime.ts";
import type { Sandbox } from "../sandbox.ts";
import { startPython } from "./python-program.ts";

export interface Subreaper {
  /** The next report: see subreaper.py. */
  report(): Promise<Record<string, unknown>>;
  /** Lets it reap the container's process. */
  release(): void;
}

/** Creates and starts the container below a process that is a subreaper, as conmon and containerd's shim are. */
export function startUnderSubreaper(
  sandbox: Sandbox,
  container: Container,
  options: { keepZombie?: boolean } = {},
): Subreaper {
  const pidFile = sandbox.path("subreaper.pid");
  const runtime = [RUNTIME, "--root", sandbox.root];
  return runSubreaper(sandbox, [
    ...(options.keepZombie === true ? ["--keep-zombie"] : []),
    pidFile,
    ...[...runtime, "create", "--bundle", container.bundle, "--pid-file", pidFile, container.id],
    "--",
    ...[...runtime, "start", container.id],
  ]);
}

/** Executes a process in the background, below a process that is a subreaper. */
export function execUnderSubreaper(
  sandbox: Sandbox,
  container: Container,
  flags: readonly string[],
): Subreaper {
  const pidFile = sandbox.path("subreaper.pid");
  const exec = ["exec", "--detach", "--pid-file", pidFile, ...flags, container.id];
  return runSubreaper(sandbox, [pidFile, RUNTIME, "--root", sandbox.root, ...exec, "--", "true"]);
}

function runSubreaper(sandbox: Sandbox, args: readonly string[]): Subreaper {
  const subreaper = startPython(sandbox, "subreaper.py", ...args);
  return {
    report: async () => parseObject(await subreaper.next()),
    release: () => void subreaper.stdin.end(),
  };
}
