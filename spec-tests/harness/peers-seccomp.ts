import type { Deviation } from "./peers.ts";

/** About seccomp, sysctls and what these tests found by fuzzing. Seen with Debian's crun 1.21. */
export const CRUN_SECCOMP: readonly Deviation[] = [
  {
    reason: "calls of its own come between the filter and the execve",
    titles: ["KILL", "KILL_THREAD", "KILL_PROCESS", "TRAP"].map(
      (action) => `run with the default action SCMP_ACT_${action}: a call without a rule ends as it says`,
    ),
  },
  {
    reason: "does not compare a namespace that is joined by path with the host's",
    titles: [
      "sysctl net.ipv4.ip_forward, the network namespace is the host's by path: error, it would change the host",
      "sysctl kernel.shmmni, the ipc namespace is the host's by path: error, it would change the host",
      "sysctl kernel.domainname, the uts namespace is the host's by path: error, it would change the host",
    ],
  },
  {
    reason: "parents of a cgroup stay, also where the making of a container fails",
    titles: ["create that fails: parents of the cgroup that it made go too"],
  },
  {
    reason: "knows no sysctls of user namespaces",
    titles: ["sysctl user.max_mnt_namespaces with a user namespace: set"],
  },
  {
    reason: "calls newer than the profile get the default errno",
    titles: ["run with a default of errno, a call newer than all that the profile names: ENOSYS"],
  },
  {
    reason: 'the ociVersion of what it sends is always "0.2.0", and the state of an exec has no pid',
    titles: [
      "start with a notify rule: one state and one descriptor on one connection, which is closed",
      "exec with a notify rule: a connection of its own, with the pid of its process and a running state",
    ],
  },
  {
    reason: "waits for its helper by a system call behind the filter",
    titles: ["run with a notify rule and a filter that denies sockets: the agent answers the calls"],
  },
  {
    reason: "connects to the agent whether it is needed or not",
    titles: ["run with a listenerPath and no notify rule: it is not connected"],
  },
  {
    reason: "a notification without an agent, and metadata for none, are no errors",
    titles: [
      "create with a notify rule and no listenerPath: error, nothing left",
      "create with notify as default and no listenerPath: error, nothing left",
      "create with listenerMetadata and no listenerPath: error, nothing left",
    ],
  },
];

/** Seen with Debian's runc 1.1.15 and 1.3.6. */
export const RUNC_SECCOMP: readonly Deviation[] = [
  {
    reason: "calls of its own come between the filter and the execve",
    titles: ["KILL", "KILL_THREAD", "KILL_PROCESS", "TRAP", "ERRNO", "TRACE"].map(
      (action) => `run with the default action SCMP_ACT_${action}: a call without a rule ends as it says`,
    ),
  },
  {
    reason: "does not compare a namespace that is joined by path with the host's",
    titles: [
      "sysctl kernel.shmmni, the ipc namespace is the host's by path: error, it would change the host",
      "sysctl kernel.domainname, the uts namespace is the host's by path: error, it would change the host",
    ],
  },
  {
    reason: "parents of a cgroup stay, also where the making of a container fails",
    titles: ["create that fails: parents of the cgroup that it made go too"],
  },
  {
    reason: "knows no sysctls of user namespaces",
    titles: ["sysctl user.max_mnt_namespaces with a user namespace: set"],
  },
  {
    reason: "kernel.domainname came with runc 1.2",
    titles: ["sysctl kernel.domainname: set in the container's uts namespace"],
  },
  {
    reason: "flags came with runc 1.2",
    before: "1.2",
    titles: [
      'start with the flags ["SECCOMP_FILTER_FLAG_TSYNC"]: the kernel has LOG as asked',
      'start with the flags ["SECCOMP_FILTER_FLAG_LOG"]: the kernel has LOG as asked',
      'start with the flags ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"]: the kernel has LOG as asked',
      'start with the flags ["SECCOMP_FILTER_FLAG_LOG","SECCOMP_FILTER_FLAG_SPEC_ALLOW","SECCOMP_FILTER_FLAG_TSYNC"]: the kernel has LOG as asked',
    ],
  },
  {
    reason: "opens its own files behind the filter, which this profile denies",
    titles: ["run with a default of errno, a call newer than all that the profile names: ENOSYS"],
  },
  {
    reason: "an errno for an action that has none, and no default action, are no errors",
    titles: [
      "create with defaultErrnoRet for an action that has none: error",
      "create with errnoRet for an action that has none: error, nothing left",
      "create without defaultAction: error, nothing left",
    ],
  },
  {
    reason: "the flag came with runc 1.2",
    titles: ["run with a notify rule and WAIT_KILLABLE_RECV: taken"],
  },
  {
    reason:
      "hands the listener over by system calls of its own behind the filter, and refuses some such rules",
    titles: [
      "run with a notify rule for all that a runtime itself might call after the filter: the agent answers",
      "run with notify as the default action: the agent answers all calls",
      "run with a notify rule and a filter that denies sockets: the agent answers the calls",
    ],
  },
  {
    reason: "metadata for no agent are no error",
    titles: ["create with listenerMetadata and no listenerPath: error, nothing left"],
  },
];
