import type { Deviation } from "./peers.ts";

/** Seen with Debian's crun 1.21 and 1.28. */
export const CRUN: readonly Deviation[] = [
  {
    reason: "waits forever for a child that the kernel has reaped",
    titles: ["run, the caller ignores SIGCHLD: exits as the program all the same"],
  },
  {
    reason: "no --lazy-pages and no --page-server",
    titles: ["checkpoint and restore with --lazy-pages: memory follows when it is needed"],
  },
  {
    reason: "values of a wrong type are taken as absent or converted",
    titles: [
      'create, annotations ["a"]: one clear line that names it, nothing left',
      "create, hooks []: one clear line that names it, nothing left",
      "create, hostname 1: one clear line that names it, nothing left",
      "create, linux/cgroupsPath 1: one clear line that names it, nothing left",
      'create, linux/maskedPaths "/proc": one clear line that names it, nothing left',
      "create, linux/resources []: one clear line that names it, nothing left",
      'create, process/args "true": one clear line that names it, nothing left',
      'create, process/capabilities ["CAP_KILL"]: one clear line that names it, nothing left',
      'create, process/capabilities/bounding "CAP_KILL": one clear line that names it, nothing left',
      "create, process/noNewPrivileges 1: one clear line that names it, nothing left",
      'create, process/oomScoreAdj "100": one clear line that names it, nothing left',
      'create, process/rlimits [{"type":"RLIMIT_CORE"}]: one clear line that names it, nothing left',
      'create, process/terminal "no": one clear line that names it, nothing left',
      'create, process/user/uid "0": one clear line that names it, nothing left',
      'create, root/readonly "yes": one clear line that names it, nothing left',
    ],
  },
  {
    reason: "sets the container up in the caller's mount namespace, where the mounts stay",
    titles: ['create, linux/namespaces "pid": one clear line that names it, nothing left'],
  },
  {
    reason: "ociVersion is not checked since 1.14.2, only required",
    titles: [
      'create, ociVersion "0.9.0": one clear line that names it, nothing left',
      'create, ociVersion "2.0.0": one clear line that names it, nothing left',
      'create, ociVersion "one": one clear line that names it, nothing left',
    ],
  },
  {
    reason: "start does not wait for startContainer hooks",
    sometimes: true,
    titles: ["startContainer hook: its args and env as written, nothing else"],
  },
  {
    reason: "start succeeds without a process, and the container ends",
    titles: ["create without process: a container that start refuses and delete removes"],
  },
  {
    reason: "exec without --process crashes in a container that has none",
    before: "1.28",
    titles: ["create without process, then exec: its own root, user and directory"],
  },
  {
    reason: "an unknown propagation is ignored",
    titles: ['create, linux/rootfsPropagation "sideways": one clear line that names it, nothing left'],
  },
  {
    reason: "strings end at their NUL byte",
    titles: [
      "create, hostname with a NUL byte (4): one clear line, nothing left",
      "create, linux/cgroupsPath with a NUL byte (7): one clear line, nothing left",
      "create, linux/maskedPaths with a NUL byte (8): one clear line, nothing left",
      "create, linux/readonlyPaths with a NUL byte (9): one clear line, nothing left",
      "create, mounts with a NUL byte (5): one clear line, nothing left",
      "create, process/args with a NUL byte (0): one clear line, nothing left",
      "create, process/cwd with a NUL byte (2): one clear line, nothing left",
    ],
  },
  {
    reason: "json-c, which reads JSON since 1.28, takes what follows the value, and invalid UTF-8",
    from: "1.28",
    titles: [
      "create, bundle with config.json with text after its end: one clear line, nothing left",
      "create, config.json not UTF-8: error",
    ],
  },
  {
    reason: "the first of two equal names counts",
    titles: ["create, the same name twice in config.json: error"],
  },
  {
    reason: "the cgroup of a create that fails after its making is not removed",
    titles: [
      "create with a limit of cpu, no such controller: error, nothing left",
      "create with a limit of cpuset, no such controller: error, nothing left",
      "create with a limit of io, no such controller: error, nothing left",
      "create with a limit of memory, no such controller: error, nothing left",
      "create with a limit of pids, no such controller: error, nothing left",
      "create with unified of a missing controller: error, nothing left",
      "create, process/oomScoreAdj 1001: one clear line that names it, nothing left",
      "create, rlimits with soft above hard: error",
      "create, rlimits with the same type twice: error",
      "create, rlimits with unknown type: error",
      "namespace path a plain file: error, nothing left",
      "namespace path missing: error, nothing left",
      "namespace path of the wrong type: error, nothing left",
      "namespace path relative: error, nothing left",
      "the same namespace type twice: error",
      "unknown namespace type: error",
    ],
  },
  {
    reason: "an empty blockIO asks for the io controller",
    titles: [
      'create with {"blockIO":{}}: asks for nothing, so no error',
      "compose-up-two-services: create, start, state, kill, delete",
      "docker-…",
    ],
  },
  {
    reason: "has words of its own for the same errors",
    titles: [
      "--log-format json, create fails: one JSON object with level, msg and time",
      "create, args[0] a directory: is a directory",
      "create, args[0] a file without x: permission denied",
      "create, args[0] a missing path: no such file or directory",
      "create, args[0] in PATH only as a directory: executable file not found in $PATH",
      "create, args[0] in no folder of PATH: executable file not found in $PATH",
      "create, args[0] empty: executable file not found in $PATH",
      "exec, command empty: 255, executable file not found in $PATH",
      "exec, args[0] of --process empty: 255, executable file not found in $PATH",
      "create, id in use: says so in the words that engines match",
      "delete, unknown id: error in the words that engines match",
      "pause, stopped: error in runc's words",
      "resume, stopped: error in runc's words",
    ],
  },
  {
    reason: "has words of its own for the same errors",
    before: "1.28",
    titles: [
      "ps, unknown id: error in the words that engines match",
      "start, unknown id: error in the words that engines match",
    ],
  },
  {
    reason: "has words of its own for the same errors",
    before: "1.28",
    titles: [
      "kill, unknown id: error in the words that engines match",
      "pause, unknown id: error in the words that engines match",
      "resume, unknown id: error in the words that engines match",
      "state, unknown id: error in the words that engines match",
    ],
  },
  {
    reason: "has words of its own for the same error",
    from: "1.28",
    titles: ["kill, stopped: error in the words that engines match"],
  },
  {
    reason: "json-c, which writes JSON since 1.28, takes several lines for an object of the log",
    from: "1.28",
    titles: [
      "--log-format json, create fails: exactly one object in the log",
      "--log, two failures: the log grows",
    ],
  },
  {
    reason: "/dev/console is a symbolic link to the terminal, where it can be one",
    from: "1.28",
    titles: ["create --console-socket: /dev/console is the terminal"],
  },
  {
    reason: "looks the program up as root, so the failure comes with start",
    titles: ["create, args[0] executable for root alone, other user: permission denied"],
  },
  {
    reason: "sets LISTEN_FDS but not LISTEN_PID",
    titles: ["create, LISTEN_FDS=1: descriptor 3 reaches the program, with LISTEN_PID 1"],
  },
  {
    reason: 'the ociVersion in the state of hooks is "1.0", which is not SemVer',
    titles: [
      "createRuntime hook: gets the state on stdin",
      "poststart hook: gets the state on stdin",
      "poststop hook: gets the state on stdin",
      "prestart hook: gets the state on stdin",
    ],
  },
  {
    reason: "a hook without env inherits the environment of the runtime",
    titles: ["hook without env: an empty environment"],
  },
  {
    reason: "the output of hooks goes to files named by annotations",
    titles: ["hook fails: its output is in the error"],
  },
  {
    reason: "a timeout of 0 is no limit",
    titles: ["hook with timeout 0: error"],
  },
  {
    reason: "the end of a startContainer hook, at its timeout too, is no failure of start",
    titles: [
      "startContainer hook fails: start fails, the container is destroyed, and poststop hooks run",
      "startContainer hook over its timeout: killed, and that is a failure",
    ],
  },
  {
    reason: "the end of a poststart hook at its timeout is no failure of start",
    before: "1.28",
    titles: ["poststart hook over its timeout: killed, and that is a failure"],
  },
  {
    reason: "a failed poststart hook is a warning, as older texts of the spec had it",
    before: "1.28",
    titles: ["poststart hook fails: start fails, the container is destroyed, and poststop hooks run"],
  },
  {
    reason: "a create that failed runs no poststop hooks",
    titles: ["createRuntime hook fails: poststop hooks run"],
  },
  {
    sometimes: true,
    reason: "dies of SIGPIPE when a hook ends before it has read the state",
    titles: ["hook that does not read its stdin: no failure"],
  },
  {
    reason: "SIGKILL goes to init alone",
    titles: [
      "kill KILL, paused, shared pid namespace: every process of the container ends",
      "kill KILL, shared pid namespace: every process of the container ends",
    ],
  },
  {
    reason: "rootfs is printed as root.path says, relative to the bundle",
    titles: ["state: what engines read beside the spec"],
  },
  {
    reason: "an unknown type makes a character device",
    titles: ["devices with an unknown type: error"],
  },
  {
    reason: "what is mounted below /proc is not looked at",
    titles: ["tmpfs mounted inside /proc: error"],
  },
  {
    reason: "flags add up: a later option does not take back an earlier one",
    titles: [
      "bind mount with options [bind, noexec, exec]: applied to this mount",
      "bind mount with options [bind, ro, rw]: applied to this mount",
      "tmpfs with options [noatime, atime]: rw,relatime",
      "tmpfs with options [nodev, dev]: rw,relatime",
      "tmpfs with options [noexec, exec]: rw,relatime",
      "tmpfs with options [nosuid, suid]: rw,relatime",
      "tmpfs with options [ro, rw]: rw,relatime",
      "tmpfs with options [sync, async]: rw,relatime",
    ],
  },
  {
    reason: "nosymfollow is not known",
    titles: [
      "bind mount with options [bind, nosymfollow]: applied to this mount",
      "tmpfs with options [nosymfollow]: rw,relatime,nosymfollow",
    ],
  },
  {
    reason: "the propagation of a mount has no effect in the container",
    titles: [
      "bind mount with rslave: mounts of the host arrive, those of the container don't leave",
      "mount with rshared: propagation is shared",
      "mount with runbindable: propagation is unbindable",
      "mount with shared: propagation is shared",
      "mount with unbindable: propagation is unbindable",
    ],
  },
  {
    reason: "mappings without a user namespace are ignored",
    titles: ["mappings without a user namespace: error"],
  },
  {
    reason: "an unknown capability passes in silence in 1.21",
    titles: ["run, capability unknown to the kernel: a warning, no failure"],
  },
  {
    reason: "a relative cwd is taken from /, and env entries are not looked at",
    titles: [
      'create, cwd "relative": error',
      "create, env entry =noname: error",
      "create, env entry NOEQUALS: error",
    ],
  },
  {
    reason:
      "a console socket without a terminal is ignored, and the message with the descriptor is one blank",
    titles: [
      "create --console-socket without a terminal: error",
      "create --console-socket: the pty master comes over the socket, named /dev/ptmx",
    ],
  },
  { reason: "an id is any file name", before: "1.28", titles: ['create with id "a,b": error, nothing left'] },
  {
    reason: "an unknown flag passes",
    titles: ["create with seccomp of an unknown flag: error, nothing left"],
  },
  {
    reason: "any id without a slash is taken",
    before: "1.28",
    titles: [
      'create with id "a b": error, nothing left',
      'create with id "a*b": error, nothing left',
      'create with id "a:b": error, nothing left',
      'create with id "a@b": error, nothing left',
      'create with id "a\\nb": error, nothing left',
      'create with id "é": error, nothing left',
    ],
  },
  {
    reason: "delete takes the folder above the state root for a container, and empties it",
    before: "1.28",
    titles: ["delete with id ..: error, nothing outside the state root is touched"],
  },
  {
    sometimes: true,
    reason: "no lock: operations on one container meet half-made or half-deleted state",
    titles: [
      "create killed after …",
      "kill and delete while the program ends: no hang, no wrong status",
      "start and delete at once: one wins, the other says why not",
      "start, kill and delete at once: no hang, and delete --force cleans up",
      "state during create: a whole state or does not exist, never half of one",
      "8 forced deletes at once: all succeed, all is gone",
    ],
  },
  {
    reason: "affinity of a pinned caller is kept; newer releases reset it",
    before: "1.28",
    titles: ["run from a pinned caller: the container may use every CPU"],
  },
  {
    reason: "its waiting init is its own executable",
    titles: ["create, waiting init: no host file is mapped or open in it"],
  },
  {
    reason: "runc and crun differ among themselves here: a third runtime has to agree with one of them",
    titles: [
      "run, /dev in the container: the same as under the peers",
      "run, /proc/self/status in the container: the same as under the peers",
    ],
  },
  {
    reason: "what a killed create leaves, delete --force does not find",
    titles: ["create killed at any instant: delete --force removes all that is left"],
  },
  {
    reason: "start does not wait for the hooks startContainer, nor for the execve",
    titles: [
      "startContainer: runs in start, in the container, before the program",
      "startContainer fails: start fails and the program never runs",
      "startContainer over its timeout: killed, start fails",
      "startContainer hook whose execve the filter denies: error that names the hook, the container ends",
      "createContainer and startContainer in a user namespace: as its root",
    ],
  },
  {
    reason:
      "without a mount namespace mounts stay in the caller's, and what else would need one is done there or left out",
    titles: [
      "create without a mount namespace fails late: no mount is left",
      "create without a mount namespace: its mounts are the caller's, until delete",
      "create, linux.maskedPaths without a mount namespace: refused by name, nothing left",
      "create, linux.readonlyPaths without a mount namespace: refused by name, nothing left",
      "create, linux.rootfsPropagation without a mount namespace: refused by name, nothing left",
      "delete without a mount namespace, the rootfs a mount of the engine's: that stays",
      "run without a mount namespace, devices: not in the image's files",
      "run without a mount namespace, root.readonly: no writes to the rootfs",
      "run without any namespace: the program in the container's root, with its mounts",
      "startContainer hook without a mount namespace: a program of the container, in its root",
    ],
  },
  {
    reason:
      "createContainer hooks have rlimits and oom_score_adj of the process; runc's run in the rootfs, crun's with umask 0",
    titles: ["createContainer hook: limits and umask of the caller, in the bundle"],
  },
];
