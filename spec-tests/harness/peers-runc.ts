import type { Deviation } from "./peers.ts";

/** Seen with Debian's runc 1.1.15 and 1.3.6. */
export const RUNC: readonly Deviation[] = [
  {
    sometimes: true,
    reason: "processes of a paused container in a shared pid namespace stay in some runs",
    from: "1.2",
    titles: ["kill KILL, paused, shared pid namespace: every process of the container ends"],
  },
  {
    sometimes: true,
    reason: "start may return before the startContainer hooks have run",
    from: "1.2",
    titles: [
      "createContainer and startContainer in a user namespace: as its root",
      "startContainer hook: its args and env as written, nothing else",
      "startContainer: runs in start, in the container, before the program",
    ],
  },
  {
    reason: "the cgroup of a container that was restored with lazy pages stays",
    titles: ["checkpoint and restore with --lazy-pages: memory follows when it is needed"],
  },
  {
    reason: "the loopback interface of a new network namespace is down when criu connects its sockets",
    titles: ["checkpoint with a TCP connection:…"],
  },
  {
    reason: "Go's encoding/json takes what follows the value, the last of two equal names, and invalid UTF-8",
    titles: [
      "create, bundle with config.json with text after its end: one clear line, nothing left",
      "create, the same name twice in config.json: error",
      "create, config.json not UTF-8: error",
    ],
  },
  {
    reason: "ociVersion is never checked",
    titles: [
      'create, ociVersion "0.9.0": one clear line that names it, nothing left',
      'create, ociVersion "2.0.0": one clear line that names it, nothing left',
      'create, ociVersion "one": one clear line that names it, nothing left',
      "create, ociVersion missing: one clear line that names it, nothing left",
    ],
  },
  {
    reason: "create refuses a config without process",
    titles: [
      "create without process: a container that start refuses and delete removes",
      "create without process, then exec: its own root, user and directory",
    ],
  },
  {
    reason: "a missing number is zero to Go",
    titles: ['create, process/rlimits [{"type":"RLIMIT_CORE"}]: one clear line that names it, nothing left'],
  },
  {
    reason: "args fail at start, not at create, and the hostname goes to the kernel with its NUL byte",
    titles: [
      "create, hostname with a NUL byte (4): one clear line, nothing left",
      "create, process/args with a NUL byte (0): one clear line, nothing left",
    ],
  },
  {
    reason:
      "processes that outlive init in a shared pid namespace stay (opencontainers/runc#4102, solved in 1.2)",
    before: "1.2",
    titles: [
      "delete --force, processes in sub-cgroups, a shared pid namespace: killed, and the sub-cgroups removed",
      "delete, shared pid namespace: processes that outlive init are killed",
      "kill KILL, paused, shared pid namespace: every process of the container ends",
      "kill KILL, shared pid namespace: every process of the container ends",
    ],
  },
  {
    reason: "where the memory controller is missing, a warning about OOM counts precedes the error",
    titles: ["--log-format json, create fails: exactly one object in the log"],
  },
  {
    reason: "a hook without env inherits the environment of the runtime in 1.1",
    titles: ["hook without env: an empty environment"],
  },
  {
    reason: "poststart hooks run at the end of create in 1.1, with the status created",
    titles: [
      "hooks: each kind at its step, in the listed order",
      "poststart hook fails: start fails, the container is destroyed, and poststop hooks run",
      "poststart hook fails, the container has ended, its cgroup is another container's by now: that one runs on",
      "poststart hook: gets the state on stdin",
    ],
  },
  {
    reason: "stops at the first poststop hook that fails, and returns its error",
    titles: ["poststop hook fails: delete succeeds, the other hooks run"],
  },
  {
    reason: "the names of real-time signals are unknown to golang.org/x/sys",
    titles: ["kill RTMIN+3, running: a real-time signal", "kill SIGRTMIN+1, running: a real-time signal"],
  },
  {
    reason: "a listed device replaces the default one, so that it needs a rule of its own to be opened",
    titles: ["devices listing a default one again: no error"],
  },
  {
    reason: "defaults is handed to the file system as data",
    titles: ["tmpfs with options [defaults]: rw,relatime"],
  },
  {
    reason: "rootfsPropagation shared and unbindable have no effect on the root mount",
    before: "1.3.1",
    titles: [
      "rootfsPropagation shared: the root mount has it",
      "rootfsPropagation unbindable: the root mount has it",
    ],
  },
  {
    reason: "domainname and time namespaces came with 1.2",
    before: "1.2",
    titles: [
      "domainname: set in the container",
      "time namespace listed: a new one",
      "apparmorProfile by a user without privileges, with a time namespace: it is the program's",
      "selinuxLabel by a user without privileges, with a time namespace: it is the program's",
    ],
  },
  {
    reason: "mappings without a user namespace are ignored in 1.1",
    titles: ["mappings without a user namespace: error"],
  },
  {
    reason: "an empty env counts as none",
    from: "1.3",
    titles: ["startContainer hook with an empty env: an empty environment"],
  },
  {
    reason: "the error of a poststop hook is that of delete, at its timeout too",
    from: "1.3",
    titles: ["poststop hook over its timeout: killed, and that is a failure"],
  },
  {
    reason: "start does not wait for the hooks startContainer",
    from: "1.3",
    sometimes: true,
    titles: [
      "startContainer hook: the state has the pid as the hook sees it, status created, and the annotations",
    ],
  },
  {
    reason: "descriptors of its own are open in the process for a moment",
    before: "1.2",
    sometimes: true,
    titles: ["exec, watched with CAP_SYS_PTRACE: nothing of the host is open in it, nor its executable"],
  },
  {
    reason:
      "the process of exec is runc's own executable, seen through a read-only overlay, until its execve",
    from: "1.2",
    titles: ["exec, watched with CAP_SYS_PTRACE: nothing of the host is open in it, nor its executable"],
  },
  {
    reason: "the terminal is opened by /dev/pts/ptmx, and told by that name",
    from: "1.3",
    titles: [
      "create --console-socket: the pty master comes over the socket, named /dev/ptmx",
      "exec --tty --detach --console-socket: the master comes over the socket",
    ],
  },
  {
    sometimes: true,
    reason: "the terminal gets its size when the program runs already",
    titles: ["exec --tty in the foreground: a terminal, of the caller's size"],
  },
  {
    reason: "an id may have a comma until 1.2",
    before: "1.2",
    titles: ['create with id "a,b": error, nothing left'],
  },
  {
    reason: "Go's runtime and the rest of the set-up need more system calls after the filter is loaded",
    titles: ["run with a default of errno and an allow list, …"],
  },
  {
    sometimes: true,
    reason: "a cgroup made before the state was saved, or while it is deleted, is not found again",
    titles: [
      "create killed after …",
      "start, kill and delete at once: no hang, and delete --force cleans up",
    ],
  },
  {
    sometimes: true,
    reason:
      "start doesn't wait for the execve: of a container that ends right away, delete leaves the cgroup",
    titles: ["create and start, args[0] …"],
  },
  {
    reason: "affinity of a pinned caller is kept; newer releases reset it",
    before: "1.3",
    titles: ["run from a pinned caller: the container may use every CPU"],
  },
  {
    reason: "its waiting init is its own executable",
    titles: ["create, waiting init: no host file is mapped or open in it"],
  },
  {
    reason:
      "exec joins the cgroup of the container, and that of init only where the kernel refuses the other",
    titles: ["exec, init has moved to a sub-cgroup: in that"],
  },
  {
    reason: "exec keeps the caller's umask, whatever the process file says",
    titles: ["exec --process: everything is taken from the file"],
  },
  {
    reason: "an execve that the kernel refuses comes after the last report to the parent: code 1",
    titles: ["exec, the kernel refuses the program's format: 255, no pid file, nothing left"],
  },
  {
    reason: "processes that outlive init in a shared pid namespace keep the cgroup busy in 1.1",
    before: "1.2",
    titles: ["delete --force with a detached exec, shared pid namespace: nothing left"],
  },
  {
    reason: "needs /proc in the container, which has none without mounts",
    titles: ["exec, no mount namespace: in the container's root directory"],
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
      "startContainer fails: start fails and the program never runs",
      "startContainer hook fails: start fails, the container is destroyed, and poststop hooks run",
      "startContainer hook over its timeout: killed, and that is a failure",
      "startContainer over its timeout: killed, start fails",
      "startContainer hook whose execve the filter denies: error that names the hook, the container ends",
    ],
  },
  {
    reason:
      "without a mount namespace mounts stay in the caller's, and what else would need one is done there or left out",
    titles: [
      "create without a mount namespace fails late: no mount is left",
      "create without a mount namespace: its mounts are the caller's, until delete",
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
