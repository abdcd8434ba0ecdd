import { OwnedDescriptor } from "../../../bindings/linux/owned-descriptor.ts";
import { RuntsError } from "../../errors.ts";
import { processOrDefault } from "../../spec/process.ts";
import type { Config, Process } from "../../spec/types.ts";
import { inspectCaller } from "../caller/caller.ts";
import type { GlobalOptions } from "../context.ts";
import { type ContainerJoiner, openJoiner } from "../join/join.ts";
import { openInit } from "../process/init-process.ts";
import { stateInside } from "../record/oci-state.ts";
import type { SavedState } from "../record/saved-state.ts";
import { argumentsOf, type HookProcess } from "./hook-process.ts";
import { runHooksAs } from "./hooks.ts";

/**
 * Makes ready what startContainer hooks need; what is returned runs them. Their programs are the image's, as the container's own is,
 * so they get what that gets and no more: user, groups, capabilities, no_new_privs, labels, limits, umask, working directory and
 * the seccomp filter. Without an `env` of their own they get the environment of the process, too, as with runc and crun.
 */
export function prepareStartHooks(context: GlobalOptions, saved: SavedState, config: Config): () => void {
  const process = processOrDefault(config);
  const entrance = openJoiner(context, {
    saved,
    config,
    process,
    caller: inspectCaller(),
    cgroup: { refusePaused: undefined },
    // What can't be granted was said at create.
    warn: () => undefined,
  });
  const hooks = config.hooks?.startContainer ?? [];
  return () => {
    runHooksAs("startContainer", hooks, stateInside(saved), asProcessOf(saved, process, entrance));
  };
}

function asProcessOf(saved: SavedState, process: Process, entrance: ContainerJoiner): HookProcess {
  let agent: ReturnType<ContainerJoiner["connectAgent"]>;
  return {
    spawn: ({ stdio }) => {
      const init = new OwnedDescriptor(pidfdOfInit(saved));
      try {
        // Each process that loads the filter makes a listener, and each listener needs a connection: config-linux.md, Seccomp.
        agent = entrance.connectAgent();
        return entrance.spawn({ pidfd: init.number, keepFds: 0, stdio, beforeClone: undefined });
      } finally {
        init.close();
      }
    },
    lead: (pending, { hook }, spawned) => {
      let pid = 0;
      const last = entrance.setUp(pending, {
        process: { ...process, args: argumentsOf(hook) },
        program: { path: hook.path, env: hook.env ?? process.env ?? [] },
        addedEnv: [],
        keepFds: 0,
        gaps: [],
        stdio: { nulls: [], chown: [] },
        consoleSocket: undefined,
        chooseCpus: undefined,
        spawned: (child) => {
          pid = child;
          spawned(child);
        },
      });
      agent?.handOver({ pid, connection: pending.channel.descriptor, saved, status: "created" });
      return last;
    },
    close: entrance.close,
  };
}

function pidfdOfInit({ id, pid, startTime }: SavedState): number {
  const pidfd = openInit(pid, startTime);
  if (pidfd !== undefined) return pidfd;
  throw new RuntsError("cannot run hooks in a container that has stopped", {
    operation: "start",
    errno: "ESRCH",
    path: id,
  });
}
