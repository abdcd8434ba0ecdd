import { O_CLOEXEC, O_DIRECTORY, O_NOFOLLOW, O_PATH } from "../../bindings/abi/fcntl.ts";
import { withoutFileCapabilities } from "../../bindings/linux/capabilities.ts";
import { lstatSync, statSync } from "../../bindings/linux/file-status.ts";
import { openSync } from "../../bindings/linux/files.ts";
import { openInRoot } from "../../bindings/linux/open-beneath.ts";
import { OwnedDescriptor } from "../../bindings/linux/owned-descriptor.ts";
import type { Program } from "../../bindings/stub/program.ts";
import { errorCode } from "../errors.ts";
import type { InitPlan } from "../plan/init-plan.ts";
import { isMadeOfSource } from "../plan/mounts/inner-sources.ts";
import type { MountRequest } from "../plan/mounts/requests.ts";
import { wantsIdMap } from "../spec/id-mapped-mount.ts";
import { type HandOver, handOver } from "./hand-over.ts";
import { asRuntsError, onBehalfOf } from "./run-program.ts";

/**
 * Finds the bind mounts whose sources only a capability of the caller reaches, such as those in another user's home: init has the
 * caller's user id, but in its user namespace no capabilities over the host's files. Without these capabilities the runtime has the rights
 * of init. A folder that holds the rootfs must be in init's reach, like the rootfs itself. The sources of id-mapped mounts are opened by the
 * runtime in any case.
 */
export function sourcesDeniedToInit(requests: readonly MountRequest[]): MountRequest[] {
  const candidates = requests.filter(
    (request) =>
      isMadeOfSource(request) &&
      request.inner === undefined &&
      !request.holdsRootfs &&
      !wantsIdMap(request.mount),
  );
  if (candidates.length === 0) return [];
  return onBehalfOf("/mounts", "look for sources that only the caller reaches", () =>
    withoutFileCapabilities(() => candidates.filter(isDenied)),
  );
}

/**
 * Opens these sources in init's place, through init's mount namespace: on mounts of the runtime's namespace the kernel would lock no flags
 * for the user namespace. mount_namespaces(7)
 */
export function openCallersSources(
  program: Program,
  plan: InitPlan,
  denied: readonly MountRequest[],
  { pid, opened }: HandOver,
): void {
  let root: number | undefined;
  for (const request of denied) {
    const { source, pointer, destination, options } = request;
    program.about(pointer, `bind ${source} on ${destination}`);
    const fd = onBehalfOf(pointer, `bind ${source} on ${destination}`, () => {
      root ??= openRootOf(pid, opened);
      return openInRoot(root, source, O_PATH | O_CLOEXEC | (options.sourceNoFollow ? O_NOFOLLOW : 0));
    });
    opened.push(new OwnedDescriptor(fd));
    request.opened = handOver(program, plan, fd);
  }
}

function isDenied({ source, pointer, options }: MountRequest): boolean {
  try {
    if (options.sourceNoFollow) lstatSync(source);
    else statSync(source);
    return false;
  } catch (error) {
    if (errorCode(error) === "EACCES") return true;
    throw asRuntsError(error, `${pointer}/source`, `bind ${source}`);
  }
}

/** Opens the root directory of init's mount namespace. */
function openRootOf(pid: number, opened: OwnedDescriptor[]): number {
  const root = new OwnedDescriptor(openSync(`/proc/${pid}/root`, O_PATH | O_DIRECTORY | O_CLOEXEC));
  opened.push(root);
  return root.number;
}
