import type { Config, Process } from "./types.ts";

const NO_PROCESS: Process = { cwd: "/", args: [] };

/** A config needs a process for `start` only (config.md, Process): without one, what is made before that is made for root, in "/". */
export function processOrDefault({ process }: Config): Process {
  return process ?? NO_PROCESS;
}
