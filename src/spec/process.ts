import type { Config, Process } from "./types.ts";

const NO_PROCESS: Process = { cwd: "/", args: [] };

/** Only `start` requires a process (config.md, Process). Without one, `create` prepares the container for root, in "/". */
export function processOrDefault({ process }: Config): Process {
  return process ?? NO_PROCESS;
}
