import { ownPid } from "../../../bindings/linux/own-process.ts";
import { hasNamespace, namespacesOf } from "../../plan/init-plan.ts";
import type { Config } from "../../spec/types.ts";
import { startTimeOf } from "../process/process-status.ts";
import type { SavedState } from "./saved-state.ts";

/** The facts of a container that this process is about to make. */
export type FirstFacts = Pick<
  SavedState,
  | "id"
  | "bundle"
  | "rootfs"
  | "ownerUid"
  | "cgroup"
  | "scope"
  | "resctrl"
  | "keyring"
  | "pipes"
  | "hasListener"
  | "hostMount"
  | "allowedAnnotations"
>;

/** Returns the record of a container before anything of it exists. */
export function initialState(config: Config, facts: FirstFacts): SavedState {
  const namespaces = namespacesOf(config);
  const pid = ownPid();
  return {
    ...facts,
    pid: 0,
    startTime: "",
    creator: { pid, startTime: startTimeOf(pid) },
    created: new Date().toISOString(),
    annotations: config.annotations ?? {},
    ownPidNamespace: namespaces.created.has("pid"),
    ownNetworkNamespace: hasNamespace(namespaces, "network"),
    ownUserNamespace: hasNamespace(namespaces, "user"),
    hasProcess: config.process !== undefined,
    hasStartContainer: (config.hooks?.startContainer ?? []).length > 0,
    hasPoststart: (config.hooks?.poststart ?? []).length > 0,
    hasPoststop: (config.hooks?.poststop ?? []).length > 0,
    lastOperations: [],
  };
}
