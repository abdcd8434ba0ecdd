import type { Coverage } from "./rows.ts";

export const PROCESS: Coverage = {
  "/process": [
    "create without process: a container that start refuses and delete removes",
    "run without process: error that names it, nothing left",
  ],
  "/process/terminal": [
    "create --console-socket: stdio is the terminal, which is the controlling terminal",
    "create --console-socket: /dev/console is the terminal",
    "create with a terminal but no --console-socket: error",
    "create --console-socket without a terminal: error",
  ],
  "/process/consoleSize": [
    "create --console-socket with consoleSize: the terminal has that size",
    "create with consoleSize but no terminal: ignored",
    "create with consoleSize of a height that no terminal has: error that names it",
    "create with consoleSize of a width that no terminal has: error that names it",
  ],
  "/process/cwd": [
    "run, cwd: the program starts there",
    "run, cwd missing: it is made",
    'create, cwd "relative": error',
    "run, cwd through a symlink out of the rootfs: resolved inside it",
    "run, cwd /proc/self/fd/{}: never on the host",
  ],
  "/process/env": [
    "run, env: the config's variables and HOME, none of the caller's",
    "run, the same name twice in env: the last wins",
    "create, env entry {}: error",
    "run as uid {} without HOME: HOME is {}",
    "run with HOME set: kept",
  ],
  "/process/args": [
    "run, args[0] without a slash: found in the container's PATH, in its order",
    "run, args with blanks, quotes, empty and non-ASCII strings: passed unchanged",
    "create, process/args []: single-line error that names it, nothing left",
    "run, args[0] {}: error that names the cause, nothing left",
  ],
  "/process/user/uid": [
    "run, uid and gid: set as real, effective, saved and file system ids",
    "run, uid without an entry in /etc/passwd: allowed",
    "create, user not mapped in the user namespace: error, nothing left",
    "create, uid 4294967295: error that names it, never root",
  ],
  "/process/user/gid": [
    "run, uid and gid: set as real, effective, saved and file system ids",
    "create, gid 4294967295: error that names it, never root",
  ],
  "/process/user/umask": [
    "run, umask: set",
    "run, umask 0: overrides the caller's",
    "run without umask, a caller with 0000: 0022",
    "exec: umask of the container's process",
    "exec without umask, a caller with 0000: 0022",
    "exec --process without umask, a caller with 0000: 0022",
    "run, startContainer hook without umask: 0022, as for the process",
  ],
  "/process/user/additionalGids": [
    "run, additionalGids: the supplementary groups, none of the caller's",
    "run without additionalGids: no group of the caller is left",
    "rootless create, additionalGids where setgroups is denied: error that names it",
  ],
  "/process/capabilities": [
    "run as root: all five sets as listed",
    "run with empty capability sets: none at all",
    "exec --process, capabilities {}: {}",
    "run, capability unknown to the kernel: a warning, no failure",
    "run, capability that the caller does not have: a warning, no failure",
    "run, every capability that the caller has: granted, without a warning",
  ],
  "/process/capabilities/bounding": [
    "run as root: bounding, permitted and effective as listed",
    "run as another user without ambient: capabilities in the bounding set only",
  ],
  "/process/capabilities/permitted": ["run as root: bounding, permitted and effective as listed"],
  "/process/capabilities/effective": ["run as root: bounding, permitted and effective as listed"],
  "/process/capabilities/inheritable": [
    "run as root: all five sets as listed",
    "exec --cap: bounding, effective and permitted, never inheritable",
  ],
  "/process/capabilities/ambient": [
    "run as another user: ambient capabilities survive the execve, others do not",
    "run, ambient capability that is not inheritable: a warning that names it, no failure",
    "exec: ambient capabilities of the container, as another user",
  ],
  "/process/rlimits": [
    "run, rlimits of all 16 types at once: as listed",
    "create, rlimits with the same type twice: error",
    "run without rlimits: the caller's values, not those of the runtime's engine",
    "run, a small RLIMIT_AS: set after the rest of the set-up",
  ],
  "/process/rlimits/*/type": [
    "create, rlimits with unknown type: error",
    "create, rlimits with a type without its prefix: error",
  ],
  "/process/rlimits/*/type={}": ["run, rlimits of all 16 types at once: as listed"],
  "/process/rlimits/*/soft": [
    "run, rlimits: getrlimit in the container gives the same values",
    "create, rlimits with soft above hard: error",
  ],
  "/process/rlimits/*/hard": [
    "run, rlimits: getrlimit in the container gives the same values",
    "run, RLIM_INFINITY as 18446744073709551615: unlimited",
    "create, an rlimit of 2^64: error that names it",
  ],
  "/process/noNewPrivileges": ["run, noNewPrivileges true: set", "run, noNewPrivileges false: not set"],
  "/process/oomScoreAdj": [
    "run, oomScoreAdj: set",
    "run without oomScoreAdj: the caller's stays",
    "exec --process, oomScoreAdj absent: that of the container",
  ],
  "/process/apparmorProfile": [
    "apparmorProfile: confines the program and exec; exec --apparmor: has its own profile",
    "apparmorProfile: confines startContainer hooks",
    "create, apparmorProfile that is not loaded: error that names it",
    "create, apparmorProfile that the kernel has no module for: error, nothing left",
    "exec --apparmor that the kernel has no module for: error, nothing left",
  ],
  "/process/selinuxLabel": [
    "selinuxLabel: set for the program, startContainer hooks and exec; exec --process-label: has its own label",
    "selinuxLabel, a file that the policy denies to it: the program and exec can't read it",
    "selinuxLabel: set for the session keyring, which exec can use",
    "run, selinuxLabel unknown to the policy: error that says so",
    "create, selinuxLabel that the kernel has no module for: error, nothing left",
    "exec --process-label that the kernel has no module for: error, nothing left",
  ],
  "/process/scheduler/policy": [
    "create, scheduling, policy unknown: error that names the property",
    "create, scheduling, no policy: error that names the property",
  ],
  "/process/scheduler/policy={}": ["create, scheduler {}, nice {}: the program has them"],
  "/process/scheduler/policy=SCHED_DEADLINE": [
    "create, scheduler SCHED_DEADLINE: runtime, deadline and period are set",
  ],
  "/process/scheduler/policy=SCHED_ISO": [
    "create, scheduler SCHED_ISO, which no kernel has: an error that names it",
  ],
  "/process/scheduler/nice": [
    "create, scheduler SCHED_OTHER, nice -5: the program has them",
    "create, scheduler SCHED_FIFO, nice 5: the program has them",
    "create, scheduling, nice 20: error that names the property",
  ],
  "/process/scheduler/priority": [
    "create, scheduler SCHED_FIFO, nice 0: the program has them",
    "create, scheduling, priority with SCHED_OTHER: error that names the property",
    "create, scheduling, priority 100: error that names the property",
  ],
  "/process/scheduler/flags": ["create, scheduling, flag unknown: error that names the property"],
  "/process/scheduler/flags/*={}": ["create, scheduler {}: …"],
  "/process/scheduler/runtime": [
    "create, scheduler SCHED_DEADLINE: runtime, deadline and period are set",
    "create, scheduling, runtime with SCHED_OTHER: error that names the property",
  ],
  "/process/scheduler/deadline": [
    "create, scheduler SCHED_DEADLINE: runtime, deadline and period are set",
    "create, scheduling, deadline with SCHED_RR: error that names the property",
  ],
  "/process/scheduler/period": [
    "create, scheduler SCHED_DEADLINE: runtime, deadline and period are set",
    "create, scheduling, period with SCHED_BATCH: error that names the property",
  ],
  "/process/ioPriority/class": [
    "create, scheduling, class unknown: error that names the property",
    "create, scheduling, no class: error that names the property",
  ],
  "/process/ioPriority/class={}": ["create, ioPriority {} {}: the program and its children have it"],
  "/process/ioPriority/priority": [
    "create, ioPriority IOPRIO_CLASS_BE 6: the program and its children have it",
    "create, scheduling, no priority: error that names the property",
    "create, scheduling, I/O priority 8: error that names the property",
  ],
  "/process/execCPUAffinity": [
    "exec, execCPUAffinity initial and final: the final one",
    "run, execCPUAffinity: not applied to the container's init",
    "exec, execCPUAffinity of CPUs that the machine lacks: error that names the property",
    "exec, execCPUAffinity CPUs above 1024 that are not there: left out by the kernel",
  ],
  "/process/execCPUAffinity/initial": [
    "exec, execCPUAffinity initial alone: kept in the container's cgroup",
    "exec, execCPUAffinity initial and an empty final: the initial one",
  ],
  "/process/execCPUAffinity/final": [
    "exec, execCPUAffinity final alone: set after the change of cgroup",
    "exec, execCPUAffinity initial and final: the final one",
  ],
};
