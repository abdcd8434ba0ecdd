import type { Report, Rule } from "../issues.ts";
import type { Config, SeccompAction } from "../types.ts";

export const seccompRules: readonly Rule[] = [
  { reads: ["/linux/seccomp", "/annotations"], check: seccompRule },
];

const AT = "/linux/seccomp";

function seccompRule({ linux, annotations }: Config, report: Report): void {
  const seccomp = linux?.seccomp;
  if (seccomp === undefined) return;
  const { defaultAction, defaultErrnoRet, listenerPath = "", listenerMetadata = "", syscalls = [] } = seccomp;
  // crun's annotation names the agent, too.
  const hasAgent = listenerPath !== "" || annotations?.["run.oci.seccomp.receiver"] !== undefined;
  const notify = (action: SeccompAction, pointer: string) => {
    if (action === "SCMP_ACT_NOTIFY" && !hasAgent) report(pointer, "SCMP_ACT_NOTIFY needs listenerPath");
  };
  notify(defaultAction, `${AT}/defaultAction`);
  errnoRule(defaultAction, defaultErrnoRet, `${AT}/defaultErrnoRet`, report);
  if (listenerMetadata !== "" && !hasAgent) report(`${AT}/listenerMetadata`, "needs listenerPath");
  for (const [index, { action, errnoRet }] of syscalls.entries()) {
    const at = `${AT}/syscalls/${index}`;
    errnoRule(action, errnoRet, `${at}/errnoRet`, report);
    notify(action, `${at}/action`);
  }
}

/** config-linux.md, Seccomp: an errno for an action that does not return one is an error. */
function errnoRule(action: SeccompAction, errno: number | undefined, pointer: string, report: Report): void {
  if (errno === undefined || action === "SCMP_ACT_ERRNO" || action === "SCMP_ACT_TRACE") return;
  report(pointer, `must not be set for ${action}, which returns no error number`);
}
