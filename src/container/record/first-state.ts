import { ownPid } from "../../../bindings/linux/own-process.ts";
import { type Program, pathOf } from "../../../bindings/stub/program.ts";
import { hasNamespace, namespacesOf } from "../../plan/init-plan.ts";
import type { Config } from "../../spec/types.ts";
import { startTimeOf } from "../process/process-status.ts";
import type { LastOperation, SavedState } from "./saved-state.ts";

/** What is known of a container that is about to be made by this process. */
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
  | "hasListener"
  | "hostMount"
>;

/** The record of a container before there is anything of it. */
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

/** What `start` needs to name an operation of the last program that fails. */
export function describeOperations({ operations, descriptors }: Program): LastOperation[] {
  const described: LastOperation[] = [];
  operations.forEach((operation, position) => {
    const { call, pointer, purpose } = operation;
    const index = position + descriptors.length;
    if (call !== "store") described.push({ index, call, pointer, purpose, path: pathOf(operation) });
  });
  return described;
}
