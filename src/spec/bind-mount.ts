import type { Mount } from "./types.ts";

/** Whether a mount is a bind mount, and no remount of one. */
export function isBind({ options = [] }: Mount): boolean {
  return (options.includes("bind") || options.includes("rbind")) && !options.includes("remount");
}
