import type { Mount } from "./types.ts";

/** Whether a mount is a new bind mount, as opposed to a remount. */
export function isBind({ options = [] }: Mount): boolean {
  return (options.includes("bind") || options.includes("rbind")) && !options.includes("remount");
}
