import { capabilityNames } from "../../bindings/abi/capability.ts";
import { knownMountOptions } from "../plan/mounts/options.ts";
import { NAMESPACE_FLAGS } from "../plan/namespaces.ts";
import { memoryPolicyFlags, memoryPolicyModes } from "../plan/process/attributes.ts";
import { actions, architectures, flags, operators } from "../seccomp/constants.ts";
import { ANNOTATIONS_TO_ALLOW } from "../spec/annotations.ts";
import { LANDLOCK_ABI, LANDLOCK_ANNOTATION } from "../spec/landlock.ts";
import { specVersion } from "../version.ts";

/**
 * The features that this version implements: runtime-spec, features.md and features-linux.md. Engines decide by them. They say nothing
 * about the host, and nothing of it is read. Wherever the code works by a table, the features are made from that table.
 */
export function features(): object {
  return {
    ociVersionMin: "1.0.0",
    ociVersionMax: specVersion,
    hooks: HOOKS,
    mountOptions: knownMountOptions(),
    linux: {
      namespaces: Object.keys(NAMESPACE_FLAGS).sort(),
      capabilities: capabilityNames,
      cgroup: { v1: false, v2: true, systemd: true, systemdUser: true, rdma: true },
      seccomp: seccompFeatures(),
      apparmor: { enabled: true },
      selinux: { enabled: true },
      intelRdt: { enabled: true, schemata: true, monitoring: true },
      memoryPolicy: { modes: Object.keys(memoryPolicyModes), flags: Object.keys(memoryPolicyFlags) },
      mountExtensions: { idmap: { enabled: true } },
      netDevices: { enabled: true },
    },
    annotations: {
      // The name is runc's; crun has it too, and engines ask for it.
      "org.opencontainers.runc.checkpoint.enabled": "true",
      // The newest ABI of Landlock whose rights the annotation run.runts.landlock may name.
      [`${LANDLOCK_ANNOTATION}.abi`]: String(LANDLOCK_ABI),
    },
    // Settings of criu, any property of the container's unit (src/cgroup/systemd/annotations.ts), the caller's groups, and files and
    // sockets of the host, which the caller has to allow besides.
    potentiallyUnsafeConfigAnnotations: [
      "org.criu.config",
      "org.systemd.property.",
      ...[...ANNOTATIONS_TO_ALLOW, "run.oci.keep_original_groups"].sort(),
    ],
  };
}

/** In the order of their steps in runtime.md, Lifecycle. */
const HOOKS: readonly string[] = [
  "prestart",
  "createRuntime",
  "createContainer",
  "startContainer",
  "poststart",
  "poststop",
];

/**
 * `supportedFlags` needs no look at the kernel: all but that about listeners, which is of Linux 5.19, are older than any kernel
 * that runts runs on.
 */
function seccompFeatures(): object {
  const knownFlags = Object.keys(flags).sort();
  return {
    enabled: true,
    actions: Object.keys(actions).sort(),
    operators: Object.keys(operators).sort(),
    archs: Object.keys(architectures).sort(),
    knownFlags,
    supportedFlags: knownFlags,
  };
}
