import { isNewNamespace } from "./namespaces.ts";
import type { Config, Linux } from "./types.ts";

/**
 * Mappings are optional by the specification, which doesn't say what a new user namespace without any is. In one that had none nobody
 * could be anybody; crun maps the caller's own ids to those of root, which everybody may do. user_namespaces(7)
 */
export function lacksMappings(linux: Linux | undefined): linux is Linux {
  if (linux === undefined || !isNewNamespace(linux, "user")) return false;
  return (linux.uidMappings ?? []).length + (linux.gidMappings ?? []).length === 0;
}

/** The config with the caller's ids as mappings, where it has none and needs some. */
export function withOwnIds(config: Config, caller: { readonly uid: number; readonly gid: number }): Config {
  if (!lacksMappings(config.linux)) return config;
  const own = (hostID: number) => [{ containerID: 0, hostID, size: 1 }];
  return {
    ...config,
    linux: { ...config.linux, uidMappings: own(caller.uid), gidMappings: own(caller.gid) },
  };
}
