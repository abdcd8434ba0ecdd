import type { Deviation } from "./peers.ts";

/** What engines can't do with a peer. Seen with Debian's crun 1.21. */
export const CRUN_ENGINES: readonly Deviation[] = [
  {
    reason: "writes pids.max, though it asks for no limit and the cgroup has no pids controller",
    titles: ["podman update --pids-limit: changed, or the missing controller named"],
  },
];

/** Seen with Debian's runc 1.1.15 and 1.3.6. */
export const RUNC_ENGINES: readonly Deviation[] = [
  {
    reason: "a closed descriptor of --preserve-fds is an error",
    titles: [
      "podman run --preserve-fd=9,40: just these descriptors reach the program",
      "podman exec --preserve-fd=9,40: just these descriptors reach the program",
    ],
  },
  {
    reason: "knows no annotation of crun",
    titles: ["podman of a user run --group-add keep-groups: a file of the user's group can be read"],
  },
  {
    reason: "the error is about a file of the cgroup, and names no controller",
    titles: ["podman update --pids-limit: changed, or the missing controller named"],
  },
  {
    reason: "id-mapped mounts came with runc 1.2",
    titles: ["containerd run --config with an id-mapped mount: the ids of the mount's mapping"],
  },
];
