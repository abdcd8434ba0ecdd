import { OwnedDescriptor } from "../../../bindings/linux/owned-descriptor.ts";
import { RuntsError } from "../../errors.ts";
import { processOrDefault } from "../../spec/process.ts";
import type { Config } from "../../spec/types.ts";
import { inspectCaller } from "../caller/caller.ts";
import type { GlobalOptions } from "../context.ts";
import { ContainerJoiner } from "../join/joiner.ts";
import { openProcess } from "../process/saved-process.ts";
import { stateInside } from "../record/oci-state.ts";
import type { SavedState } from "../record/saved-state.ts";
import { argumentsOf, type HookProcess } from "./hook-process.ts";
import { runHooksAs } from "./hooks.ts";

/**
 * Prepares the startContainer hooks. The function that is returned runs them. Their programs belong to the image, as the container's own
 * does, so that they get its user, groups, capabilities, no_new_privs, labels, limits, umask, working directory and seccomp filter, and
 * no more. A hook without its own `env` gets the environment of the process, as with runc and crun.
 */
export function prepareStartHooks(context: GlobalOptions, saved: SavedState, config: Config): () => void {
  const process = processOrDefault(config);
  // `create` has warned of capabilities that can't be granted.
  const warn = () => undefined;
  const joiner = new ContainerJoiner(context, { saved, config, process, caller: inspectCaller(), warn });
  const hooks = config.hooks?.startContainer ?? [];
  return () => {
    runHooksAs("startContainer", hooks, stateInside(saved), startHookProcess(joiner));
  };
}

function startHookProcess(joiner: ContainerJoiner): HookProcess {
  const { saved, process } = joiner.request;
  return {
    output: saved.allowedAnnotations,
    spawn: ({ stdio }) => {
      const init = new OwnedDescriptor(pidfdOfInit(saved));
      try {
        return joiner.join({ pidfd: init.number, cgroup: { refusePaused: undefined }, stdio });
      } finally {
        init.close();
      }
    },
    lead: (pending, { hook }) => {
      const { pid, last } = joiner.setUp(pending, {
        process: { ...process, args: argumentsOf(hook) },
        program: { path: hook.path, env: hook.env ?? process.env ?? [] },
        addedEnv: [],
        keepFds: 0,
        gaps: [],
        stdio: { nulls: [], chown: [] },
        consoleSocket: undefined,
        chooseCpus: undefined,
      });
      joiner.handOverListener(pid, pending.channel.descriptor, "created");
      return { pid, last };
    },
    close: () => joiner.close(),
  };
}

function pidfdOfInit({ id, pid, startTime }: SavedState): number {
  const pidfd = openProcess(pid, startTime);
  if (pidfd !== undefined) return pidfd;
  throw new RuntsError("cannot run hooks in a container that has stopped", {
    operation: "start",
    errno: "ESRCH",
    path: id,
  });
}
