import type { Deviation } from "./peers.ts";

/** `exec` of Debian's crun 1.21. */
export const CRUN_EXEC: readonly Deviation[] = [
  {
    reason: "without --process little is taken of the container's process; --cap replaces, instead of adding",
    titles: [
      "exec --cap: bounding, effective and permitted, never inheritable",
      "exec in a container with noNewPrivileges: no_new_privs is 1",
      "exec: cwd, env and user are those of the container's process",
      "exec: rlimits and oom_score_adj of the container's process",
    ],
  },
  {
    reason: "--env replaces, instead of adding, and no filter is taken of the container's process",
    before: "1.28",
    titles: [
      "exec --env: adds, overrides, and the last one counts",
      "exec, seccomp, noNewPrivileges false: the container's filter applies",
      "exec, seccomp, noNewPrivileges true: the container's filter applies",
    ],
  },
  {
    reason: "a user without a group is in group 0, and what strtol(3) takes for a number passes",
    titles: [
      'exec --user " 0": error, never root',
      'exec --user "-1": error, never root',
      "exec --user UID: the group stays",
    ],
  },
  {
    reason: "a user is read wrongly in 1.21: alone it is root, and what is no number passes (CVE-2026-30892)",
    before: "1.28",
    titles: [
      'exec --user "1000:": error, never root',
      'exec --user "4294967295": error, never root',
      'exec --user ":5": error, never root',
      "exec: HOME is that of the user in the container's /etc/passwd",
    ],
  },
  {
    reason: "an empty HOME stays",
    titles: [
      "run with an empty HOME: that of the user",
      "run with HOME twice, at last an empty one: that of the user",
      "exec --env HOME=, in a container with a HOME: that of the user",
    ],
  },
  {
    reason: "of what a process.json leaves out, only capabilities are the container's",
    titles: ["exec --process, oomScoreAdj absent: that of the container"],
  },
  {
    reason: "a program that is not found is 1, not 255, since 1.28",
    from: "1.28",
    titles: [
      "exec --detach, command not found: 255, no pid file, nothing left",
      "exec --tty, command not found: 255, nothing left",
    ],
  },
  {
    reason: "what the file says of oom_score_adj is the container's all the same",
    titles: ["exec --process, oomScoreAdj 0: not that of the container"],
  },
  {
    sometimes: true,
    reason: "waits for a terminal to take what is typed before it takes what that prints",
    titles: [
      "exec --tty, more is typed than terminals hold, and printed as well: neither waits for the other",
    ],
  },
  {
    sometimes: true,
    reason: "exec --detach may end before the program is executed",
    titles: ["exec --detach: nothing of the runtime is open in the program"],
  },
  {
    reason: "what has no = is taken since 1.28",
    from: "1.28",
    titles: ["exec --env without =: error"],
  },
  {
    reason: "an option without a value takes none",
    titles: ["exec --no-new-privs=false, in a container with noNewPrivileges: no_new_privs is 0"],
  },
  {
    reason: "has no --additional-gids and no --ignore-paused",
    titles: [
      "exec --additional-gids: added to those of the container",
      "exec --ignore-paused, paused: runs after resume",
      "exec --ignore-paused, running: runs",
      "exec --ignore-paused, init in a cgroup that the container has frozen: runs at once, in another",
      "exec --ignore-paused, user namespace, init in a cgroup that the container has frozen: runs at once, in another",
    ],
  },
  {
    reason: "an unknown capability passes in silence",
    titles: ["exec --cap of an unknown capability: a warning, no failure"],
  },
  {
    reason: "a uid that is not mapped passes as another one",
    before: "1.28",
    titles: ["exec, user namespace: a uid that is not mapped is an error"],
  },
  {
    reason: "exec has words of its own, or other exit codes, for the same errors",
    titles: [
      "exec, command a directory: 255 and the reason, nothing left",
      "exec, command a file without x: 255 and the reason, nothing left",
      "exec, command a missing path: 255 and the reason, nothing left",
      "exec, command in no folder of PATH: 255 and the reason, nothing left",
      "exec, paused: error in runc's words",
      "exec, stopped: error in runc's words",
      "exec, the kernel refuses the program's format: 255, no pid file, nothing left",
      "exec, unknown id: error in the words that engines match",
    ],
  },
  {
    reason: "exec checks neither a relative cwd nor a console socket without a terminal",
    titles: [
      "exec --cwd with a relative path: error",
      "exec --detach --console-socket without --tty: error, nothing left",
    ],
  },
  {
    reason: "exec does not look for missing args",
    before: "1.28",
    titles: ["exec --process, the file has no args: error, nothing left"],
  },
  {
    reason: "the message with the descriptor of a terminal is one blank",
    titles: ["exec --tty --detach --console-socket: the master comes over the socket"],
  },
  {
    reason:
      "exec --cgroup may leave the container's cgroup upwards, and the process waits for ever or runs there",
    titles: ["exec --cgroup ..: error, never outside of the container's"],
  },
  {
    reason: "exec enters init's cgroup only where the kernel refuses the container's",
    titles: ["exec, init has moved to a sub-cgroup: in that"],
  },
  {
    reason: "without a mount namespace exec stays in the host's root directory",
    titles: ["exec, no mount namespace: in the container's root directory"],
  },
  {
    reason: "the process runs on when its pid file can't be written",
    titles: [
      "exec, pid file that can't be written: error, nothing left",
      "exec --pid-file in a folder that does not exist: error, it is not made, nothing left",
      "exec --detach --pid-file in a folder that does not exist: error, it is not made, nothing left",
    ],
  },
  {
    sometimes: true,
    reason: "the terminal gets its size when the program runs already",
    titles: ["exec --process with terminal and consoleSize: a terminal of that size"],
  },
  {
    sometimes: true,
    reason: "the descriptor of the host's cgroup folder is open in the process for a moment",
    titles: ["exec, watched with CAP_SYS_PTRACE: nothing of the host is open in it, nor its executable"],
  },
];
