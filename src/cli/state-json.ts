import type { ContainerState } from "../container/record/status.ts";

/** The properties in the order in which runc prints them, whatever the order in which they were read. */
export function stateForJson(state: ContainerState): object {
  return {
    ociVersion: state.ociVersion,
    id: state.id,
    pid: state.pid,
    status: state.status,
    bundle: state.bundle,
    rootfs: state.rootfs,
    created: state.created,
    annotations: state.annotations,
    owner: state.owner,
  };
}
