import { FILE_RIGHTS, RIGHTS_OF_FILES } from "../spec/landlock.ts";
import type { Host } from "./host.ts";
import type { Mount } from "./mounts.ts";

interface Rule {
  readonly allowedAccess: readonly string[];
  readonly paths: string[];
}

/**
 * Landlock rules that repeat the rights of the mounts: if a flaw of the kernel makes a mount writable, or leads out of the sandbox, they still
 * hold. Signals and abstract Unix sockets stay inside, with the host's network too. Without it there is no TCP at all, on the loopback device
 * either. The value of the annotation run.runts.landlock.
 */
export function sandboxLandlock(mounts: readonly Mount[], host: Host, hasNetwork: boolean): string {
  const all = Object.keys(FILE_RIGHTS);
  const reading = ["execute", "read_file", "read_dir"];
  const rules = new Map<string, Rule>();
  const allow = (path: string, allowedAccess: readonly string[]) => {
    const key = allowedAccess.join();
    const rule = rules.get(key) ?? { allowedAccess, paths: [] };
    rule.paths.push(path);
    rules.set(key, rule);
  };
  // The names in the root directory; what is below them is shown by mounts anyway.
  allow("/", ["read_dir"]);
  for (const { destination, source = "", type, options = [] } of mounts) {
    // A link has the rights of what it leads to.
    if (options.includes("copy-symlink")) continue;
    const isFile = type === "bind" && host.kindOf(source) === "file";
    const rights = options.includes("rro") ? reading : all;
    allow(destination, isFile ? rights.filter((right) => RIGHTS_OF_FILES.includes(right)) : rights);
  }
  return JSON.stringify({
    handledAccess: {
      handledAccessFS: all,
      ...(!hasNetwork && { handledAccessNetwork: ["bind", "connect"] }),
      scoped: ["abstract_unix_socket", "signal"],
    },
    rules: { pathBeneath: [...rules.values()] },
  });
}
