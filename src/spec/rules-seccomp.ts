import type { Report, Rule } from "./issues.ts";
import type { Config, SeccompAction } from "./types.ts";

export const seccompRules: readonly Rule[] = [{ reads: ["/linux/seccomp"], check: seccompRule }];

const AT = "/linux/seccomp";

function seccompRule({ linux }: Config, report: Report): void {
  const seccomp = linux?.seccomp;
  if (seccomp === undefined) return;
  const { defaultAction, defaultErrnoRet, listenerPath = "", listenerMetadata = "", syscalls = [] } = seccomp;
  // Every call of the runtime itself would wait for the listener.
  if (defaultAction === "SCMP_ACT_NOTIFY") report(`${AT}/defaultAction`, "must not be SCMP_ACT_NOTIFY");
  errnoRule(defaultAction, defaultErrnoRet, `${AT}/defaultErrnoRet`, report);
  if (listenerMetadata !== "" && listenerPath === "") report(`${AT}/listenerMetadata`, "needs listenerPath");
  for (const [index, { names, action, errnoRet }] of syscalls.entries()) {
    const at = `${AT}/syscalls/${index}`;
    errnoRule(action, errnoRet, `${at}/errnoRet`, report);
    // The runtime writes the listener's descriptor after the filter is loaded.
    if (action === "SCMP_ACT_NOTIFY" && names.includes("write")) {
      report(`${at}/names/${names.indexOf("write")}`, "write must not have the action SCMP_ACT_NOTIFY");
    }
  }
}

/** config-linux.md: an errno for an action that returns none is an error. */
function errnoRule(action: SeccompAction, errno: number | undefined, pointer: string, report: Report): void {
  if (errno === undefined || action === "SCMP_ACT_ERRNO" || action === "SCMP_ACT_TRACE") return;
  report(pointer, `must not be set for ${action}, which returns no error number`);
}
