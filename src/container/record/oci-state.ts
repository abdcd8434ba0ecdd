import { specVersion } from "../../version.ts";
import type { SavedState } from "./saved-state.ts";

/**
 * The state that a hook gets on its standard input: runtime.md, State. `pid` is init's as the hook sees it, where that is not
 * the runtime's view.
 */
export function hookState(
  state: SavedState,
  status: "created" | "running" | "stopped",
  pid: number = state.pid,
): string {
  return JSON.stringify({
    ociVersion: specVersion,
    id: state.id,
    status,
    ...(status !== "stopped" && { pid }),
    bundle: state.bundle,
    ...(Object.keys(state.annotations).length > 0 && { annotations: state.annotations }),
  });
}

/** The state that a hook in the container's namespaces gets: as it sees it, init is pid 1 of the container's pid namespace. */
export function stateInside(state: SavedState): string {
  return hookState(state, "created", state.ownPidNamespace ? 1 : state.pid);
}
