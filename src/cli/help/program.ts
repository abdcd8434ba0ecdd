import type { Manual } from "../command.ts";

/** The texts of the program's own help and man page. */
export const programManual: Manual & {
  readonly files: readonly (readonly [path: string, meaning: string])[];
} = {
  description: [
    "runts runs containers from bundles: directories with a config.json, as described by the OCI runtime specification, and a root file system. " +
      "Engines such as podman, docker and containerd call it by its path; people call it directly.",
    "The container's process runs in the namespaces and the cgroup, and with the seccomp filter, that the config asks for. An operation that is " +
      "not possible is an error that names the property of the config, and leaves nothing behind.",
  ],
  examples: [
    ["runts spec", "write a config.json to start from into the current directory, which has a rootfs"],
    ["runts run box", "run the bundle in the current directory, and delete the container when it has exited"],
    ["runts exec -t box sh", "start a shell in the container"],
    ["podman --runtime /usr/local/bin/runts run alpine true", "run a container through an engine"],
  ],
  exitStatus: [
    ["0", "success; `run`, `restore` and `exec` return the exit code of the process instead"],
    ["1", "failure: one line on standard error gives the reason"],
    ["3", "there is no such command"],
    ["128+N", "for `run` and `exec`: signal N killed the process"],
  ],
  files: [
    ["/run/runts", "state of root's containers"],
    ["$XDG_RUNTIME_DIR/runts", "state of other users' containers"],
  ],
};
