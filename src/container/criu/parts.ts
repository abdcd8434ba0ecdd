import { closeSync, openSync } from "../../../bindings/linux/files.ts";
import { openRouteSocket } from "../../../bindings/linux/netlink.ts";
import { findInterface, setInterfaceUp } from "../../../bindings/linux/network-interface.ts";
import { onBehalfOf } from "../../init/run-program.ts";
import { routeSocketIn } from "../../init/socket-in-namespace.ts";
import { namespacesOf } from "../../plan/init-plan.ts";
import type { Config, Process } from "../../spec/types.ts";
import type { Caller } from "../caller/caller.ts";
import type { GlobalOptions } from "../context.ts";
import { type OptionalFeatures, prepareOptionalFeatures } from "../create/optional-parts.ts";

/**
 * What a restore makes beside what is in the images. Of the hooks only those run that set up the namespaces from outside, as in
 * runc: the others' work was done in the container, and is part of what is restored.
 */
export function prepareRestoreParts(
  context: GlobalOptions,
  id: string,
  config: Config,
  { cwd, args, user }: Process,
  place: { readonly caller: Caller; readonly rootless: boolean; readonly rootfs: string },
): OptionalFeatures {
  const {
    seccomp: _seccomp,
    sysctl: _sysctl,
    personality: _personality,
    memoryPolicy: _memoryPolicy,
    ...linux
  } = config.linux ?? {};
  const { prestart = [], createRuntime = [], poststop = [] } = config.hooks ?? {};
  return prepareOptionalFeatures(
    context,
    id,
    { ...config, linux, hooks: { prestart, createRuntime, poststop } },
    { cwd, args, ...(user !== undefined && { user }) },
    place,
  );
}

/** As `create` does: criu makes a new network namespace empty, and its loopback interface is down. */
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
