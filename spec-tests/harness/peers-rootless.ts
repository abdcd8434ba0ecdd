import type { Deviation } from "./peers.ts";

/** Without privileges. Seen with Debian's crun 1.21. */
export const CRUN_ROOTLESS: readonly Deviation[] = [
  {
    reason: "the process stays in the caller's cgroup where one beside that can't be made",
    titles: ["rootless run in a delegated cgroup whose parent is not: in a cgroup below it"],
  },
  {
    reason: "state is left when create fails",
    titles: [
      "rootless create, delegated cgroup that the caller is outside of: refused, nothing left",
      "create, user.max_user_namespaces is 0: refused, and named",
    ],
  },
  {
    reason: "adds a user namespace of its own",
    titles: ["rootless create, no user namespace: refused, and named"],
  },
  {
    reason: "no word of it that there is no cgroup",
    titles: [
      "rootless run, no cgroup, the host's pid namespace: a warning, as its processes can't all be killed",
    ],
  },
  {
    reason: "limits are left out where there is no cgroup",
    titles: ["rootless create, limits but no cgroup to be had: refused, with the limit and the directory"],
  },
  {
    reason: "a locked flag stays, whatever the config says",
    titles: ["rootless bind mount, exec where the host says noexec: refused"],
  },
  {
    reason: "the commands of one container must be in one user namespace",
    titles: ["root of a user namespace, a further one: mapped, and in reach of exec"],
  },
  {
    reason: "additionalGids are left out where setgroups is denied",
    titles: ["rootless create, additionalGids where setgroups is denied: refused by name"],
  },
  {
    reason: "no exec before start",
    titles: [
      "rootless life, own id mapped: create, state, start, exec, ps, kill, delete",
      "rootless life, ranges mapped: create, state, start, exec, ps, kill, delete",
    ],
  },
  {
    reason: "ps needs a cgroup",
    titles: ["rootless ps, no cgroup: the processes of the pid namespace"],
  },
  {
    reason: "exec has no option --additional-gids",
    titles: ["rootless exec, ids and groups: as told"],
  },
  {
    reason: "joins the pid namespace before it is root of the user namespace",
    titles: ["rootless container in the namespaces of another: joined"],
  },
  {
    reason: "sources of bind mounts are opened as the root of the user namespace",
    titles: ["rootless bind mount of what only the caller may read: there"],
  },
];

/** Without privileges. Seen with Debian's runc 1.1.15. */
export const RUNC_ROOTLESS: readonly Deviation[] = [
  {
    reason: "no word of it that there is no cgroup",
    before: "1.2",
    titles: [
      "rootless run, no cgroup, the host's pid namespace: a warning, as its processes can't all be killed",
    ],
  },
  {
    reason: "the process stays in the caller's cgroup where one beside that can't be made",
    titles: ["rootless run in a delegated cgroup whose parent is not: in a cgroup below it"],
  },
  {
    reason: "exec goes on outside of the container's cgroup",
    titles: ["rootless exec from outside of the delegated cgroup: refused, with the cgroup in the way"],
  },
  {
    reason: "a bind mount does not keep the locked flags of its source in 1.1 (opencontainers/runc#3805)",
    before: "1.2",
    titles: ["rootless bind mount, ro: keeps the flags that the host has locked"],
  },
  {
    reason: "a locked flag stays, whatever the config says",
    before: "1.3",
    titles: ["rootless bind mount, exec where the host says noexec: refused"],
  },
  {
    reason: "sysfs is never replaced by a bind mount",
    titles: ["rootless sysfs without a network namespace: the host's, bound"],
  },
  {
    reason: "no supplementary groups without privileges",
    titles: [
      "rootless run, groups mapped by newgidmap: additionalGids are set",
      "rootless exec, ids and groups: as told",
    ],
  },
  {
    reason: "knows no annotation of crun",
    titles: [
      "rootless run and exec, run.oci.keep_original_groups: …",
      "run as root, run.oci.keep_original_groups 1: …",
      "run as root, run.oci.keep_original_groups true: …",
    ],
  },
  {
    reason: "the waiting init of another mapped user can't be joined",
    titles: ["rootless life, ranges mapped: create, state, start, exec, ps, kill, delete"],
  },
  {
    reason: "may not take the listener of a process of exec (pidfd_getfd: EPERM)",
    titles: ["rootless exec with a notify rule, 20 times: the agent answers the calls of each"],
  },
  {
    reason: "ps needs a cgroup",
    titles: ["rootless ps, no cgroup: the processes of the pid namespace"],
  },
  {
    reason: "the commands of one container must be in one user namespace",
    titles: ["root of a user namespace, a further one: mapped, and in reach of exec"],
  },
  {
    reason: "time namespaces came with 1.2",
    before: "1.2",
    titles: ["rootless time namespace: made, with its offsets"],
  },
  {
    reason: "changes the owner of the standard streams, which are files here, and fails if it may not",
    titles: ["rootless bind mount of what only the caller may read: there"],
  },
];
