import type { Program, Register, Reply } from "../../bindings/stub/program.ts";
import type { Config } from "../spec/types.ts";

/** What the plan needs to know of the host, found out before anything is made. Kept apart so that plans are pure. */
export interface HostFacts {
  /** Absolute path of the rootfs, without symbolic links. */
  readonly rootfs: string;
  /** Absolute path of the bundle, which relative bind sources start from. */
  readonly bundle: string;
  /** Whether a bind source is a directory. Errors if it doesn't exist, with the pointer of its mount. */
  readonly isDirectory: (source: string, pointer: string) => boolean;
  /** Target of a bind source that is a symbolic link itself; undefined if it is anything else. Errors as those of isDirectory. */
  readonly linkTarget: (source: string, pointer: string) => string | undefined;
  /** Whether the file system at a host path is procfs. */
  readonly isProcfs: (source: string) => boolean;
  /** Follows symbolic links of the rootfs whose targets don't exist, which openat2 can't create through. */
  readonly followDanglingLinks: (destination: string) => string;
  /** Whether the runtime itself is in a user namespace, where root may not do what concerns the host as a whole. */
  readonly inUserNamespace: boolean;
  /** Whether the host has /proc/kcore. */
  readonly hasKcore: boolean;
  /** Mount points of procfs and sysfs on the host, which --no-pivot has to cover. */
  readonly hostPseudoMounts: () => readonly string[];
  /** Mount point of the host that the rootfs lies on. */
  readonly rootfsMountPoint: () => string;
  /** Follows symbolic links as the host does, as far as the path exists. Errors as those of isDirectory. */
  readonly followOnHost: (source: string, pointer: string) => string;
  /** Reports what is odd in the config, but no error. */
  readonly warn: (message: string) => void;
  /** Directory of the container's cgroup, absolute on the host. */
  readonly cgroup: string | undefined;
  /** Where the host has the whole cgroup hierarchy. If it hasn't, the error names the pointer of the mount that needs it. */
  readonly cgroupHierarchy: (pointer: string) => string;
  /** SELinux context of new file systems; empty if none is asked for, or the host has no SELinux. */
  readonly mountLabel: string;
}

/** A check to make on the reply to a program: what was found where something could not be made because something stood there. */
export type ReplyCheck = (reply: Reply) => void;

/** A mount in its place. */
export interface MadeMount {
  /** Clean absolute path in the container. */
  readonly destination: string;
  readonly pointer: string;
  /** Open if something at or below it is still to be opened. */
  readonly mount: Register | undefined;
  /** Whether only the kernel and the runtime have put files into it, so that no symbolic link leads out of it. */
  readonly isOurs: boolean;
}

/** What the steps of a plan share. */
export interface InitPlan {
  readonly config: Config;
  readonly facts: HostFacts;
  readonly namespaces: Namespaces;
  readonly noPivot: boolean;
  /** Name of the container's session keyring; absent if it keeps the caller's. */
  readonly keyring: string | undefined;
  /** Mount of the rootfs, detached at first. */
  readonly root: Register;
  /** The directory that it is attached to. */
  readonly rootfs: Register;
  /** The host's procfs, opened before anything of the container is mounted. */
  readonly hostProc: Register;
  /** The mounts that are made already, in their order. */
  readonly made: MadeMount[];
  /** Whether the container runs already: its processes see each mount from the moment that it is in its place. */
  readonly isLive: boolean;
  /** Runs the operations that the program has so far, and empties it for those that follow. */
  readonly runSoFar: (program: Program) => Reply;
  /** Copies what the directory `covered` contains into the new mount, at this point of the program (option tmpcopyup). */
  readonly copyUp: (program: Program, covered: Register, mount: Register, pointer: string) => void;
}

/** Which namespaces the container gets, and how. */
export interface Namespaces {
  /** Types of namespaces that are made for it. */
  readonly created: ReadonlySet<string>;
  /** Those that it joins, by type. */
  readonly joined: ReadonlyMap<string, { readonly path: string; readonly pointer: string }>;
}

export function namespacesOf(config: Config): Namespaces {
  const created = new Set<string>();
  const joined = new Map<string, { readonly path: string; readonly pointer: string }>();
  (config.linux?.namespaces ?? []).forEach(({ type, path }, index) => {
    if (path === undefined || path === "") created.add(type);
    else joined.set(type, { path, pointer: `/linux/namespaces/${index}/path` });
  });
  return { created, joined };
}

/** Whether the container has a namespace of this type of its own, new or joined. */
export function hasNamespace(namespaces: Namespaces, type: string): boolean {
  return namespaces.created.has(type) || namespaces.joined.has(type);
}

/** Whether init is in another user namespace than the host's first one: its own, or the runtime's. */
export function isInUserNamespace({ facts, namespaces }: InitPlan): boolean {
  return facts.inUserNamespace || hasNamespace(namespaces, "user");
}

/**
 * Namespaces that init unshares once it is root in its user namespace, so that what the kernel makes in them (the root of
 * mqueue) belongs to that root; without a user namespace init is cloned into them.
 */
export function unsharedAsRoot(namespaces: Namespaces): string[] {
  if (!hasNamespace(namespaces, "user")) return [];
  return ["ipc", "uts", "network"].filter((type) => namespaces.created.has(type));
}
