import { RuntsError } from "../errors.ts";
import { pointerToken } from "./json/scanner.ts";
import type { Config } from "./types.ts";

/**
 * Annotations of crun (crun(1), Extensions to OCI). Container engines pass annotations on from their users and from images, so those that
 * reach files or sockets of the host need the caller's word, `--allow-annotation`.
 */

/** Annotations that name a file or a socket of the host: an error unless the caller allows them. */
export const ANNOTATIONS_TO_ALLOW = [
  "run.oci.hooks.stdout",
  "run.oci.hooks.stderr",
  "run.oci.seccomp.receiver",
  "run.oci.pidfd_receiver",
] as const;

export type AnnotationToAllow = (typeof ANNOTATIONS_TO_ALLOW)[number];

export function isAnnotationToAllow(key: string): key is AnnotationToAllow {
  return ANNOTATIONS_TO_ALLOW.some((known) => known === key);
}

/** Annotations that take effect for everybody: they name no file and no socket of the host. */
export const SUBGROUP = "run.oci.systemd.subgroup";
export const DELEGATE_CGROUP = "run.oci.delegate-cgroup";
export const FAIL_UNKNOWN_SYSCALL = "run.oci.seccomp_fail_unknown_syscall";
const OBEYED: readonly string[] = [
  SUBGROUP,
  DELEGATE_CGROUP,
  FAIL_UNKNOWN_SYSCALL,
  "run.oci.keep_original_groups",
  "run.oci.mount_context_type",
];

/** Annotations that runts refuses, each with the reason. */
const REFUSED: Readonly<Record<string, string>> = {
  "run.oci.seccomp.plugins": "runts loads no libraries as seccomp plugins; listenerPath names an agent",
  "run.oci.seccomp_bpf_data": "runts takes no compiled filter; linux.seccomp describes one",
  "run.oci.systemd.force_cgroup_v1": "runts makes no mounts of cgroup v1",
  "run.oci.handler": "runts executes programs of Linux only, and has no handlers",
};

/** All annotations of crun that runts knows, whatever it does about them. */
export const knownAnnotations: readonly string[] = [
  ...ANNOTATIONS_TO_ALLOW,
  ...OBEYED,
  ...Object.keys(REFUSED),
];

export function annotationPointer(key: string): string {
  return `/annotations/${pointerToken(key)}`;
}

/** Annotations that name something of the host, and that the caller of create has allowed, with their values. */
export type AllowedAnnotations = Readonly<Partial<Record<AnnotationToAllow, string>>>;

/** Finds the annotations that keep a container from being created. */
export function annotationProblems(
  { annotations = {} }: Config,
  allowed: readonly string[],
): { readonly pointer: string; readonly message: string }[] {
  const problems: { readonly pointer: string; readonly message: string }[] = [];
  for (const [key, value] of Object.entries(annotations)) {
    if (!key.startsWith("run.oci.")) continue;
    const message = problemOf(key, value, allowed);
    if (message !== undefined) problems.push({ pointer: annotationPointer(key), message });
  }
  return problems;
}

function problemOf(key: string, value: string, allowed: readonly string[]): string | undefined {
  const refusal = Object.hasOwn(REFUSED, key) ? REFUSED[key] : undefined;
  if (refusal !== undefined) return `is not supported: ${refusal}`;
  if (isAnnotationToAllow(key)) {
    if (!allowed.includes(key))
      return `names ${key.startsWith("run.oci.hooks.") ? "a file" : "a socket"} of the host, so the caller has to allow it: --allow-annotation ${key}`;
    if (!value.startsWith("/") || value.includes("\0")) return "must be an absolute path";
  }
  if ((key === SUBGROUP || key === DELEGATE_CGROUP) && value !== "" && !isPathBelow(value))
    return 'must be a path below a cgroup, without ".." and at most 255 bytes long';
  return undefined;
}

/** Bounds the number of levels, too: cgroups take memory of the host. */
const LONGEST_PATH = 255;

function isPathBelow(path: string): boolean {
  const isName = (name: string) => name !== "" && name !== "." && name !== ".." && !/\p{Cc}/u.test(name);
  return Buffer.byteLength(path) <= LONGEST_PATH && path.split("/").every(isName);
}

/** Throws for an annotation that runts refuses, or that the caller has not allowed. Returns those that the caller has. */
export function allowedAnnotations(config: Config, allowed: readonly string[]): AllowedAnnotations {
  const { annotations = {} } = config;
  const [problem] = annotationProblems(config, allowed);
  if (problem !== undefined) {
    const { pointer, message } = problem;
    throw new RuntsError(`${pointer}: ${message}`, { operation: "create", pointer });
  }
  const found: Partial<Record<AnnotationToAllow, string>> = {};
  for (const key of ANNOTATIONS_TO_ALLOW) {
    const value = annotations[key];
    if (value !== undefined) found[key] = value;
  }
  return found;
}
