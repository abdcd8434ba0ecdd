import { checkpointOptions, restoreOptions } from "./criu-description.ts";
import type { CommandDescription } from "./description.ts";
import { globalOptions, helpOption } from "./global-options.ts";
import type { OptionDescription, Positionals } from "./option.ts";
import {
  bundleOption,
  configOption,
  consoleSocketOption,
  noNewKeyringOption,
  noPivotOption,
  pidFileOption,
} from "./shared-options.ts";
import { updateOptions } from "./update-description.ts";

const oneContainer: Positionals = { usage: "<container-id>", min: 1, max: 1 };
const regexOption: OptionDescription = {
  name: "regex",
  alias: "r",
  type: "boolean",
  description: "the id is a regular expression: all containers that it matches",
};
const noPositionals: Positionals = { usage: "", min: 0, max: 0 };
const never = (): boolean => false;

const createOptions: readonly OptionDescription[] = [
  bundleOption,
  consoleSocketOption,
  {
    name: "pidfd-socket",
    type: "string",
    description: "AF_UNIX socket that receives a pidfd of the container's process",
  },
  pidFileOption,
  configOption,
  noPivotOption,
  noNewKeyringOption,
  {
    name: "preserve-fds",
    type: "number",
    description: "pass N more file descriptors, after standard error and those of $LISTEN_FDS",
    default: "0",
  },
  {
    name: "profile",
    type: "string",
    description: "file to write the time of each system call to, as a trace that Perfetto opens",
  },
];

export const commands: readonly CommandDescription[] = [
  {
    name: "checkpoint",
    summary: "save a running container to image files, by criu",
    positionals: oneContainer,
    options: [...checkpointOptions, helpOption],
    load: async () => (await import("./checkpoint.ts")).run,
  },
  {
    name: "completion",
    summary: "print a completion script for a shell",
    positionals: { usage: "bash|zsh|fish", min: 1, max: 1 },
    usesState: never,
    options: [helpOption],
    load: async () => (await import("./completion.ts")).runWith({ commands, globalOptions }),
  },
  {
    name: "create",
    summary: "create a container, without starting its process",
    positionals: oneContainer,
    options: [
      ...createOptions,
      { name: "no-subreaper", type: "boolean", description: "accepted for compatibility, without effect" },
      helpOption,
    ],
    load: async () => (await import("./create.ts")).run,
  },
  {
    name: "delete",
    summary: "delete what is left of a stopped container",
    positionals: oneContainer,
    options: [
      {
        name: "force",
        alias: "f",
        type: "boolean",
        description: "kill the container first if it runs; an unknown container is no error",
      },
      regexOption,
      helpOption,
    ],
    load: async () => (await import("./delete.ts")).run,
  },
  {
    name: "doctor",
    summary: "examine this host, or a container",
    positionals: { usage: "[container-id]", min: 0, max: 1 },
    usesState: (args) => args.positionals.length > 0,
    options: [{ name: "json", type: "boolean", description: "print the findings as JSON" }, helpOption],
    load: async () => (await import("./doctor.ts")).run,
  },
  {
    name: "events",
    summary: "report what a container uses",
    positionals: oneContainer,
    options: [
      {
        name: "interval",
        type: "string",
        description: "time between two reports, as in 500ms or 1m30s",
        default: "5s",
      },
      { name: "stats", type: "boolean", description: "report once, and exit" },
      helpOption,
    ],
    load: async () => (await import("./events.ts")).run,
  },
  {
    name: "exec",
    summary: "execute another process in a running container",
    positionals: { usage: "<container-id> [command [args...]]", min: 1, max: Infinity, endOptions: true },
    // So that it can't be taken for the exit code of the process: runc's rule.
    failureCode: 255,
    options: [
      { name: "process", alias: "p", type: "string", description: "process.json to take everything from" },
      {
        name: "console-socket",
        type: "string",
        description: "AF_UNIX socket that receives the master end of the process's terminal",
      },
      {
        name: "pidfd-socket",
        type: "string",
        description: "AF_UNIX socket that receives a pidfd of the process",
      },
      { name: "tty", alias: "t", type: "boolean", description: "give the process a terminal" },
      { name: "detach", alias: "d", type: "boolean", description: "do not wait for the process's end" },
      { name: "pid-file", type: "string", description: "file to write the process id to" },
      { name: "cwd", type: "string", description: "working directory in the container" },
      { name: "env", alias: "e", type: "list", description: "set a variable: NAME=value" },
      { name: "user", alias: "u", type: "string", description: "user and group as numbers: UID[:GID]" },
      { name: "additional-gids", alias: "g", type: "list", description: "add a supplementary group" },
      { name: "cap", alias: "c", type: "list", description: "add a capability" },
      { name: "process-label", type: "string", description: "SELinux label of the process" },
      { name: "apparmor", type: "string", description: "AppArmor profile of the process" },
      {
        name: "no-new-privs",
        type: "boolean",
        description: "set no_new_privs; =false clears what the config sets",
      },
      {
        name: "preserve-fds",
        type: "number",
        description: "pass N more file descriptors, after standard error and those of $LISTEN_FDS",
        default: "0",
      },
      { name: "cgroup", type: "string", description: "sub-cgroup of the container's cgroup to run in" },
      { name: "ignore-paused", type: "boolean", description: "execute although the container is paused" },
      helpOption,
    ],
    load: async () => (await import("./exec.ts")).run,
  },
  {
    name: "explain",
    summary: "print what create and start would do",
    positionals: { usage: "[container-id]", min: 0, max: 2 },
    usesState: never,
    options: [
      bundleOption,
      configOption,
      { name: "json", type: "boolean", description: "print JSON: each operation by itself" },
      { name: "brief", type: "boolean", description: "print what is done and why, without the system calls" },
      {
        name: "diff",
        type: "boolean",
        description: "print what differs: the arguments are two bundles, or config files",
      },
      {
        name: "as",
        type: "string",
        description: "whose rights create would have: root, or the caller of this command",
        default: "root",
      },
      consoleSocketOption,
      pidFileOption,
      noPivotOption,
      noNewKeyringOption,
      helpOption,
    ],
    load: async () => (await import("./explain.ts")).run,
  },
  {
    name: "features",
    summary: "print what this runtime implements as JSON",
    positionals: noPositionals,
    usesState: never,
    options: [helpOption],
    load: async () => (await import("./features.ts")).run,
  },
  {
    name: "kill",
    summary: "send a signal to the container's init process",
    positionals: { usage: "<container-id> [signal]", min: 1, max: 2 },
    options: [
      { name: "all", alias: "a", type: "boolean", description: "a container that has stopped is no error" },
      regexOption,
      helpOption,
    ],
    load: async () => (await import("./kill.ts")).run,
  },
  {
    name: "list",
    summary: "list the containers below the root directory",
    positionals: noPositionals,
    options: [
      { name: "format", alias: "f", type: "string", description: "table or json", default: "table" },
      { name: "quiet", alias: "q", type: "boolean", description: "container ids only" },
      helpOption,
    ],
    load: async () => (await import("./list.ts")).run,
  },
  {
    name: "man",
    summary: "print a manual page",
    positionals: { usage: "[command]", min: 0, max: 1 },
    usesState: never,
    options: [helpOption],
    load: async () => (await import("./man.ts")).runWith({ commands, globalOptions }),
  },
  {
    name: "mounts",
    summary: "change or list the mounts of a running container",
    positionals: { usage: "add|remove|list <container-id> [file]", min: 2, max: 3 },
    options: [
      {
        name: "format",
        alias: "f",
        type: "string",
        description: "of list: table or json",
        default: "table",
      },
      helpOption,
    ],
    load: async () => (await import("./mounts.ts")).run,
  },
  {
    name: "pause",
    summary: "suspend all processes of a container",
    positionals: oneContainer,
    options: [helpOption],
    load: async () => (await import("./pause.ts")).run,
  },
  {
    name: "ps",
    summary: "show the processes of a container",
    positionals: {
      usage: "<container-id> [options of ps]",
      min: 1,
      max: Number.POSITIVE_INFINITY,
      endOptions: true,
    },
    options: [
      {
        name: "format",
        alias: "f",
        type: "string",
        description: "table, of ps, or json, a list of process ids",
        default: "table",
      },
      helpOption,
    ],
    load: async () => (await import("./ps.ts")).run,
  },
  {
    name: "restore",
    summary: "restore a container from image files",
    positionals: oneContainer,
    options: [...restoreOptions, helpOption],
    load: async () => (await import("./restore.ts")).run,
  },
  {
    name: "resume",
    summary: "resume all processes of a paused container",
    positionals: oneContainer,
    options: [helpOption],
    load: async () => (await import("./resume.ts")).run,
  },
  {
    name: "run",
    summary: "create and start a container, and wait for its end",
    positionals: oneContainer,
    options: [
      ...createOptions,
      { name: "detach", alias: "d", type: "boolean", description: "do not wait for the container's end" },
      { name: "keep", type: "boolean", description: "do not delete the container after its end" },
      {
        name: "seccomp-trace",
        type: "boolean",
        description: "report the system calls that the seccomp profile denies, after the end",
      },
      {
        name: "no-subreaper",
        type: "boolean",
        description: "do not adopt orphaned processes of the container",
      },
      helpOption,
    ],
    load: async () => (await import("./run.ts")).run,
  },
  {
    name: "seccomp",
    summary: "say which seccomp rule decides",
    positionals: { usage: "explain [container-id] <syscall> [args...]", min: 2, max: 9 },
    usesState: (args) => args.string("bundle") === undefined,
    options: [
      {
        name: "bundle",
        alias: "b",
        type: "string",
        description: "directory of a bundle, in place of a container",
      },
      { name: "json", type: "boolean", description: "print JSON" },
      helpOption,
    ],
    load: async () => (await import("./seccomp.ts")).run,
  },
  {
    name: "spec",
    summary: "write a config.json to start from",
    positionals: noPositionals,
    usesState: never,
    options: [
      {
        name: "bundle",
        alias: "b",
        type: "string",
        description: "directory to write it to [default: the current directory]",
      },
      {
        name: "file",
        alias: "f",
        type: "string",
        description: "file to write, instead of config.json in there; an existing one is replaced",
      },
      { name: "rootless", type: "boolean", description: "for use without root privileges" },
      helpOption,
    ],
    load: async () => (await import("./spec.ts")).run,
  },
  {
    name: "start",
    summary: "start the process of a created container",
    positionals: oneContainer,
    options: [helpOption],
    load: async () => (await import("./start.ts")).run,
  },
  {
    name: "state",
    summary: "print the state of a container as JSON",
    positionals: oneContainer,
    options: [helpOption],
    load: async () => (await import("./state.ts")).run,
  },
  {
    name: "update",
    summary: "change the limits of a container",
    positionals: oneContainer,
    options: [...updateOptions, helpOption],
    load: async () => (await import("./update.ts")).run,
  },
  {
    name: "validate",
    summary: "find all that is wrong with a bundle",
    positionals: noPositionals,
    usesState: never,
    options: [
      bundleOption,
      configOption,
      {
        name: "host",
        type: "boolean",
        description: "also what this host's kernel and cgroups, and this user, can't do",
      },
      { name: "strict", type: "boolean", description: "warnings fail as well: exit code 1" },
      { name: "json", type: "boolean", description: "print JSON" },
      helpOption,
    ],
    load: async () => (await import("./validate.ts")).run,
  },
];
