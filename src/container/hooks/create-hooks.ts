import { rootIds } from "../../plan/namespaces.ts";
import type { AllowedAnnotations } from "../../spec/annotations.ts";
import type { Config } from "../../spec/types.ts";
import { hookState, stateInside } from "../record/oci-state.ts";
import type { SavedState } from "../record/saved-state.ts";
import { checkHookOutput } from "./hook-output.ts";
import { runHooks, runHooksToTheEnd } from "./hooks.ts";

/** The hooks of a create, steps 3 to 5 of the lifecycle (runtime.md). */
export interface CreateHooks {
  /** Runs the hooks. If one of them fails, the lifecycle goes on at steps 12 and 13, the second of which is `poststop` (runtime.md). */
  run(state: SavedState): void;
  /** Runs the poststop hooks. Does nothing before `run`: there is nothing yet for them to undo. */
  poststop(): void;
}

/** Returns undefined if there are none. */
export function createHooks(
  { hooks = {}, linux = {} }: Config,
  output: AllowedAnnotations,
  warn: (message: string) => void,
): CreateHooks | undefined {
  const { prestart = [], createRuntime = [], createContainer = [], poststop = [] } = hooks;
  if (Object.values(hooks).some((kind) => kind.length > 0)) checkHookOutput(output);
  if (prestart.length + createRuntime.length + createContainer.length === 0) return undefined;
  let started: SavedState | undefined;
  return {
    run(state) {
      started = state;
      const input = hookState(state, "created");
      const place = { cwd: state.bundle, output };
      runHooks("prestart", prestart, input, place);
      runHooks("createRuntime", createRuntime, input, place);
      const container = { ...state, rootIds: rootIds(linux) };
      runHooks("createContainer", createContainer, stateInside(state), { ...place, container });
    },
    poststop() {
      if (started === undefined) return;
      runHooksToTheEnd(
        "poststop",
        poststop,
        hookState(started, "stopped"),
        { cwd: started.bundle, output },
        warn,
      );
    },
  };
}
