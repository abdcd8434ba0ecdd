import { effectiveUid, environment } from "../../bindings/linux/own-process.ts";

/** Whether this user has a state directory without naming one. */
export function hasUsualRoot(): boolean {
  return effectiveUid() === 0 || (environment("XDG_RUNTIME_DIR") ?? "") !== "";
}
