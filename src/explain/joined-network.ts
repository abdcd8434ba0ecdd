import { closeSync } from "../../bindings/linux/files.ts";
import { openRouteSocket, type RouteSocket } from "../../bindings/linux/netlink.ts";
import { errorCode, RuntsError } from "../errors.ts";
import { openNamespace } from "../init/clone-by-stub.ts";
import { routeSocketIn } from "../init/socket-in-namespace.ts";
import { namespacesOf } from "../plan/init-plan.ts";
import type { Config } from "../spec/types.ts";

/**
 * Opens a route socket in the network namespace that the container joins, to ask which interfaces it has. A stub opens it: the only
 * process that explain starts. Returns undefined for a new namespace, and where the socket can't be opened; a note says so if that is for
 * lack of rights, which create may have.
 */
export function joinedNetwork(config: Config, notes: Set<string>): RouteSocket | undefined {
  const joined = namespacesOf(config).joined.get("network");
  if (joined === undefined || Object.keys(config.linux?.netDevices ?? {}).length === 0) return undefined;
  try {
    return openIn(joined.path, joined.pointer);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === undefined) throw error;
    // create itself finds what else is wrong with the namespace.
    if (errno === "EPERM" || errno === "EACCES")
      notes.add(
        `${joined.pointer}: which interfaces are in the network namespace can't be told from here: only lo is assumed`,
      );
    return undefined;
  }
}

function errnoOf(error: unknown): string | undefined {
  return error instanceof RuntsError ? error.errno : errorCode(error) || undefined;
}

function openIn(path: string, pointer: string): RouteSocket {
  const namespace = openNamespace(path);
  try {
    return openRouteSocket(routeSocketIn(namespace, pointer));
  } finally {
    closeSync(namespace);
  }
}
