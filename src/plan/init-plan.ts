import type { Program, Register, Reply } from "../../bindings/stub/program.ts";
import type { Config } from "../spec/types.ts";

/** Facts about the host that the plan needs, read before anything is made. They are passed in, so that planning is a pure function. */
export interface HostFacts {
  /** Absolute path of the rootfs, without symbolic links. */
  readonly rootfs: string;
  /** Absolute path of the bundle, which relative bind sources start from. */
  readonly bundle: string;
  /** Whether a bind source is a directory. If it doesn't exist, throws an error with the pointer of its mount. */
  readonly isDirectory: (source: string, pointer: string) => boolean;
  /** Target of a bind source that is a symbolic link itself; undefined for any other file. Throws as isDirectory does. */
  readonly linkTarget: (source: string, pointer: string) => string | undefined;
  /** Whether the file system at a host path is procfs. */
  readonly isProcfs: (source: string) => boolean;
  /** Follows symbolic links of the rootfs whose targets don't exist: openat2 can't create files through them. */
  readonly followDanglingLinks: (destination: string) => string;
  /** Whether the runtime itself is in a user namespace, where root has no privileges over the host. */
  readonly inUserNamespace: boolean;
  /** Whether the host has /proc/kcore. */
  readonly hasKcore: boolean;
  /** Mount points of procfs and sysfs on the host, which --no-pivot has to unmount. */
  readonly hostPseudoMounts: () => readonly string[];
  /** Mount point of the host that the rootfs lies on. */
  readonly rootfsMountPoint: () => string;
  /** Follows symbolic links as the host does, as far as the path exists. Throws as isDirectory does. */
  readonly followOnHost: (source: string, pointer: string) => string;
  /** Reports something odd in the config that isn't an error. */
  readonly warn: (message: string) => void;
  /** Absolute path of the container's cgroup on the host; undefined if it has none. */
  readonly cgroup: string | undefined;
  /** Mount point of the host's whole cgroup hierarchy. If there is none, throws an error with the pointer of the mount that needs it. */
  readonly cgroupHierarchy: (pointer: string) => string;
  /** SELinux context of new file systems; empty if the config has none or the host has no SELinux. */
  readonly mountLabel: string;
}

/** Checks the reply to a program. Throws if the container's files are not what the plan relies on. */
export type ReplyCheck = (reply: Reply) => void;

/** An attached mount of the container. */
export interface MadeMount {
  /** Clean absolute path in the container. */
  readonly destination: string;
  readonly pointer: string;
  /** Its descriptor; undefined once closed, when nothing at or below it remains to be opened. */
  readonly mount: Register | undefined;
  /** Whether only the kernel and the runtime have made files in it, so that no symbolic link leads out of it. */
  readonly hasTrustedContent: boolean;
}

/** State that the steps of a plan share. */
export interface InitPlan {
  readonly config: Config;
  readonly facts: HostFacts;
  readonly namespaces: Namespaces;
  readonly noPivot: boolean;
  /** Name of the container's session keyring; undefined if it keeps the caller's. */
  readonly keyring: string | undefined;
  /** Mount of the rootfs, detached at first. */
  readonly root: Register;
  /** Directory of the rootfs, to which `root` is attached. */
  readonly rootfs: Register;
  /** The host's procfs, opened before anything of the container is mounted. */
  readonly hostProc: Register;
  /** The mounts made so far, in order. */
  readonly made: MadeMount[];
  /** Whether the container runs already, so that its processes see each mount as soon as it is attached. */
  readonly isLive: boolean;
  /** Runs the operations planned so far, empties the program, and returns the reply. */
  readonly runSoFar: (program: Program) => Reply;
  /** Copies what the directory `covered` contains into the new mount, at this point of the program (option tmpcopyup). */
  readonly copyUp: (program: Program, covered: Register, mount: Register, pointer: string) => void;
}

/** The namespaces of a container, new or joined. */
export interface Namespaces {
  /** Types of the namespaces that are created for it. */
  readonly created: ReadonlySet<string>;
  /** The namespaces that it joins, by type. */
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

/** Whether the container has a namespace of this type, new or joined, instead of the caller's. */
export function hasNamespace(namespaces: Namespaces, type: string): boolean {
  return namespaces.created.has(type) || namespaces.joined.has(type);
}

/** Whether init is not in the initial user namespace: in one of its own, or in the runtime's. */
export function isInUserNamespace({ facts, namespaces }: InitPlan): boolean {
  return facts.inUserNamespace || hasNamespace(namespaces, "user");
}

/**
 * Types of the namespaces that init unshares once it is root of its user namespace, so that what the kernel makes in them, such as the root
 * of mqueue, belongs to that root. Without a user namespace init is cloned into them.
 */
export function unsharedAsRoot(namespaces: Namespaces): string[] {
  if (!hasNamespace(namespaces, "user")) return [];
  return ["ipc", "uts", "network"].filter((type) => namespaces.created.has(type));
}
