import { closeSync, openSync, readFileSync } from "../../../bindings/linux/files.ts";
import { openRouteSocket } from "../../../bindings/linux/netlink.ts";
import { findInterface, setInterfaceUp } from "../../../bindings/linux/network-interface.ts";
import type { CriuOptions, CriuVersion } from "../../criu/messages.ts";
import { RuntsError } from "../../errors.ts";
import { onBehalfOf } from "../../init/run-program.ts";
import { routeSocketIn } from "../../init/socket-in-namespace.ts";
import { namespacesOf } from "../../plan/init-plan.ts";
import type { Config, Process } from "../../spec/types.ts";
import type { RestoreOptions } from "./options.ts";

/**
 * The part of a config that the runtime makes at a restore, since it is not in the images. Of the hooks only those run that set up the
 * namespaces from outside, as in runc: the others' work was done in the container, and is part of what is restored.
 */
export function partsToRestore(
  config: Config,
  { cwd, args, user }: Process,
): { readonly config: Config; readonly process: Process } {
  const {
    seccomp: _seccomp,
    sysctl: _sysctl,
    personality: _personality,
    memoryPolicy: _memoryPolicy,
    ...linux
  } = config.linux ?? {};
  const { prestart = [], createRuntime = [], poststop = [] } = config.hooks ?? {};
  return {
    config: { ...config, linux, hooks: { prestart, createRuntime, poststop } },
    process: { cwd, args, ...(user !== undefined && { user }) },
  };
}

/** Brings the loopback interface up, as `create` does: criu makes a new network namespace empty. */
export function setUpNetwork(config: Config, pid: number): void {
  if (!namespacesOf(config).created.has("network")) return;
  const pointer = "/linux/namespaces";
  onBehalfOf(pointer, "bring the loopback interface up", () => {
    const namespace = openSync(`/proc/${pid}/ns/net`, "r");
    const socket = openRouteSocket(routeSocketIn(namespace, pointer));
    const loopback = findInterface(socket, "lo");
    if (loopback !== undefined) setInterfaceUp(socket, loopback);
    socket.close();
    closeSync(namespace);
  });
}

/** Labels that the restored processes and mounts get in place of their own. */
export function labelOptions(
  { lsmProfile, lsmMountContext }: RestoreOptions,
  { number, text }: CriuVersion,
): Partial<CriuOptions> {
  if ((lsmProfile !== undefined || lsmMountContext !== undefined) && number < 31600) {
    throw new RuntsError(`--lsm-profile and --lsm-mount-context need criu 3.16 or later, this is ${text}`, {
      operation: "restore",
      path: "criu",
    });
  }
  return {
    ...(lsmProfile !== undefined && { lsmProfile }),
    ...(lsmMountContext !== undefined && { lsmMountContext }),
  };
}

/** Returns the place of the container's cgroup in each hierarchy of the host, v1 ones too: criu was started there. */
export function cgroupRoots(pid: number): { readonly controller: string; readonly path: string }[] {
  return readFileSync(`/proc/${pid}/cgroup`, "utf8")
    .split("\n")
    .map((line) => /^\d+:([^:]*):(.*)$/.exec(line))
    .filter((match) => match !== null)
    .flatMap(([, controllers = "", path = ""]) =>
      controllers.split(",").map((controller) => ({ controller, path })),
    );
}
