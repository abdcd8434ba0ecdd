import { isNewNamespace } from "./namespaces.ts";
import type { Config, Linux } from "./types.ts";

/**
 * Whether a config has a new user namespace without mappings. The spec allows it, but does not say what it means. In an unmapped namespace
 * no process could set its ids. crun maps root to the caller, which takes no privileges. user_namespaces(7)
 */
export function lacksMappings(linux: Linux | undefined): linux is Linux {
  if (linux === undefined || !isNewNamespace(linux, "user")) return false;
  return (linux.uidMappings ?? []).length + (linux.gidMappings ?? []).length === 0;
}

/** Maps root to the caller if the config has a new user namespace without mappings. */
export function withDefaultMappings(
  config: Config,
  caller: { readonly uid: number; readonly gid: number },
): Config {
  if (!lacksMappings(config.linux)) return config;
  const own = (hostID: number) => [{ containerID: 0, hostID, size: 1 }];
  return {
    ...config,
    linux: { ...config.linux, uidMappings: own(caller.uid), gidMappings: own(caller.gid) },
  };
}
