import { isNewNamespace } from "./namespaces.ts";
import type { Config, Linux } from "./types.ts";

/**
 * Whether a config asks for a new user namespace without mappings. The specification allows it, and doesn't say what it means. Without
 * mappings no process could have any id; crun maps root to the caller, which needs no privileges. user_namespaces(7)
 */
export function lacksMappings(linux: Linux | undefined): linux is Linux {
  if (linux === undefined || !isNewNamespace(linux, "user")) return false;
  return (linux.uidMappings ?? []).length + (linux.gidMappings ?? []).length === 0;
}

/** The config, with root mapped to the caller if its user namespace has no mappings. */
export function withOwnIds(config: Config, caller: { readonly uid: number; readonly gid: number }): Config {
  if (!lacksMappings(config.linux)) return config;
  const own = (hostID: number) => [{ containerID: 0, hostID, size: 1 }];
  return {
    ...config,
    linux: { ...config.linux, uidMappings: own(caller.uid), gidMappings: own(caller.gid) },
  };
}
