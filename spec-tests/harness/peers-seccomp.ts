import type { Deviation } from "./peers.ts";

/** Seen with Debian's crun 1.21. */
export const CRUN_SECCOMP: readonly Deviation[] = [
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

/** Seen with Debian's runc 1.1.15. */
export const RUNC_SECCOMP: readonly Deviation[] = [
  {
    reason: "the connection for an exec stays open",
    titles: [
      "exec with a notify rule: a connection of its own, with the pid of its process and a running state",
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
