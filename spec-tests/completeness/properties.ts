import { LINUX } from "./linux.ts";
import { MOUNTS } from "./mounts.ts";
import { PROCESS } from "./process.ts";
import { RESOURCES } from "./resources.ts";
import type { Coverage } from "./rows.ts";
import { SECCOMP } from "./seccomp.ts";

const ROOT: Coverage = {
  "/ociVersion": [
    "create, ociVersion missing: single-line error that names it, nothing left",
    'create, ociVersion "2.0.0": single-line error that names it, nothing left',
    "run, ociVersion 1.0.2-dev: accepted",
    "run, ociVersion 1.99.0: accepted",
  ],
  "/root": ["create, root missing: single-line error that names it, nothing left"],
  "/root/path": [
    "create, bundle with no rootfs: single-line error, nothing left",
    "create, bundle with a file as rootfs: single-line error, nothing left",
    "create, root.path absolute: used as it is",
    "run, root.path .: the bundle is the rootfs",
    "rootfs a mount point of its own: works",
  ],
  "/root/readonly": [
    "root.readonly true: no writes to the rootfs",
    "root.readonly absent: writes reach the rootfs",
    "run, cwd missing in a read-only root: it is made before the root becomes read-only",
    "run without a mount namespace, root.readonly: no writes to the rootfs",
  ],
  "/hostname": [
    "run, hostname: set in the container, not on the host",
    'run, hostname "": accepted, nothing set',
    "hostname without a uts namespace: error that names it",
  ],
  "/domainname": [
    "run, domainname: set in the container",
    "domainname without a uts namespace: error that names it",
  ],
  "/annotations": [
    "create, annotations with an empty key: error that names the property",
    "create, unknown annotations, image annotations and an empty value: no effect, and state shows them",
    "run with Landlock's write_file for one directory: allowed there, denied elsewhere",
    "create with a Landlock annotation with an unknown right: error with the pointer, nothing left",
    "run as root, run.oci.keep_original_groups 1: the groups are 4444 5555",
    "run as root, run.oci.keep_original_groups 0: the groups are 7",
    "rootless run and exec, run.oci.keep_original_groups: the caller's groups in place of additionalGids",
    "hooks, run.oci.hooks.stdout and stderr: the files get the output of all kinds of hooks, appended",
    "create, run.oci.pidfd_receiver: the socket gets a pidfd of init",
    "create, start and exec, run.oci.seccomp.receiver: the agent gets the state, and answers the calls",
    "create, run.oci.seccomp_fail_unknown_syscall 1, an unknown system call: error that names it, also when the filter is kept, nothing left",
    "create and exec, run.oci.delegate-cgroup: the processes are in that cgroup, which the container sees below its own",
    "systemd, run.oci.systemd.subgroup: the processes are below the scope, and the container sees that cgroup as its root",
  ],
};

function hook(kind: string, fails: readonly string[]): Coverage {
  return {
    [`/hooks/${kind}`]: ["hooks: each kind runs at its step, in the listed order", ...fails],
    [`/hooks/${kind}/*/path`]: [`${kind} hook with a relative path: error that names it`],
    [`/hooks/${kind}/*/args`]: [`${kind} hook: its args and env as written, nothing else`],
    [`/hooks/${kind}/*/env`]: [`${kind} hook: its args and env as written, nothing else`],
    [`/hooks/${kind}/*/timeout`]: [
      `${kind} hook with timeout 0: error that names it`,
      `${kind} hook over its timeout: killed, and reported as an error`,
    ],
  };
}

const HOOKS: Coverage = {
  ...hook("prestart", ["prestart hook fails: create fails, nothing is left, later hooks do not run"]),
  ...hook("createRuntime", [
    "createRuntime hook fails: create fails, nothing is left, later hooks do not run",
    "createRuntime hook fails: poststop hooks run",
  ]),
  ...hook("createContainer", [
    "createContainer: runs in create, in the container's namespaces, before pivot_root",
    "createContainer fails: create fails, the program never runs, nothing left",
  ]),
  ...hook("startContainer", [
    "startContainer: runs in start, in the container, before the program",
    "startContainer fails: start fails and the program never runs",
    "startContainer hook fails: start fails, the container is destroyed, and poststop hooks run",
  ]),
  ...hook("poststart", [
    "poststart hook fails: start fails, the container is destroyed, and poststop hooks run",
  ]),
  ...hook("poststop", ["poststop hook fails: delete succeeds, the other hooks run"]),
};

export const COVERAGE: Coverage = {
  ...ROOT,
  ...PROCESS,
  ...MOUNTS,
  ...HOOKS,
  ...LINUX,
  ...RESOURCES,
  ...SECCOMP,
};
