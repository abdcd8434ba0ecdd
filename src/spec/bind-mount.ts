import type { Mount } from "./types.ts";

/** Whether a mount shows a source of the host; a remount only changes one that does. */
export function isBind({ options = [] }: Mount): boolean {
  return (options.includes("bind") || options.includes("rbind")) && !options.includes("remount");
}
