import { O_CLOEXEC, O_DIRECTORY, O_NOFOLLOW, O_PATH } from "../../bindings/abi/fcntl.ts";
import { withoutFileCapabilities } from "../../bindings/linux/capabilities.ts";
import { lstatSync, statSync } from "../../bindings/linux/file-status.ts";
import { openSync } from "../../bindings/linux/files.ts";
import { openInRoot } from "../../bindings/linux/open-beneath.ts";
import { OwnedDescriptor } from "../../bindings/linux/owned-descriptor.ts";
import type { Program } from "../../bindings/stub/program.ts";
import { errorCode } from "../errors.ts";
import type { InitPlan } from "../plan/init-plan.ts";
import { isMadeOfSource } from "../plan/inner-sources.ts";
import type { MountRequest } from "../plan/mount-requests.ts";
import type { PrepareOptions } from "./prepare-options.ts";
import { asRuntsError, onBehalfOf } from "./run-program.ts";

/** So many descriptors go with one program at most, some of them those of others: SCM_MAX_FD is 253. unix(7) */
const MOST_DESCRIPTORS = 200;

/**
 * Sources that nothing but a capability of the caller reaches, as those in the home of another user. Init has his user id, but in its
 * user namespace no capabilities over the host's files. So the runtime opens them, in init's mount namespace: a mount of its
 * own would have none of the flags that the kernel locks for a user namespace. mount_namespaces(7)
 */
export function openCallersSources(
  program: Program,
  plan: InitPlan,
  requests: readonly MountRequest[],
  { containerPid, opened }: PrepareOptions,
): void {
  let root: number | undefined;
  for (const request of deniedToInit(requests)) {
    const { source, pointer, destination, options } = request;
    if (program.descriptors.length >= MOST_DESCRIPTORS) plan.runSoFar(program);
    program.about(pointer, `bind ${source} on ${destination}`);
    const fd = onBehalfOf(pointer, `bind ${source} on ${destination}`, () => {
      root ??= openRootOf(containerPid(), opened);
      return openInRoot(root, source, O_PATH | O_CLOEXEC | (options.sourceNoFollow ? O_NOFOLLOW : 0));
    });
    opened.push(new OwnedDescriptor(fd));
    request.opened = program.descriptor(fd);
  }
}

/** Without the capabilities this process has the rights that init has. What holds the rootfs has to be in init's reach as that has. */
function deniedToInit(requests: readonly MountRequest[]): MountRequest[] {
  const candidates = requests.filter(
    (request) =>
      isMadeOfSource(request) &&
      request.opened === undefined &&
      request.inner === undefined &&
      !request.holdsRootfs,
  );
  if (candidates.length === 0) return [];
  return onBehalfOf("/mounts", "look for sources that only the caller reaches", () =>
    withoutFileCapabilities(() => candidates.filter(isDenied)),
  );
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

/** The root directory of init, in whose mount namespace it lies. */
function openRootOf(pid: number, opened: OwnedDescriptor[]): number {
  const root = new OwnedDescriptor(openSync(`/proc/${pid}/root`, O_PATH | O_DIRECTORY | O_CLOEXEC));
  opened.push(root);
  return root.number;
}
