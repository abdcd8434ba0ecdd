import { run as checkpoint } from "./commands/checkpoint.ts";
import { run as completion } from "./commands/completion.ts";
import { run as create } from "./commands/create.ts";
import { run as remove } from "./commands/delete.ts";
import { run as events } from "./commands/events.ts";
import { run as exec } from "./commands/exec.ts";
import { run as features } from "./commands/features.ts";
import { run as kill } from "./commands/kill.ts";
import { run as list } from "./commands/list.ts";
import { run as man } from "./commands/man.ts";
import { run as mounts } from "./commands/mounts.ts";
import { run as pause } from "./commands/pause.ts";
import { run as restore } from "./commands/restore.ts";
import { run as resume } from "./commands/resume.ts";
import { run } from "./commands/run.ts";
import { run as seccomp } from "./commands/seccomp.ts";
import { run as spec } from "./commands/spec.ts";
import { run as start } from "./commands/start.ts";
import { run as state } from "./commands/state.ts";
import { run as update } from "./commands/update.ts";
import { checkpointOptions, restoreOptions } from "./options/criu-description.ts";
import type { CommandDescription } from "./options/description.ts";
import { execOptions } from "./options/exec.ts";
import { globalOptions, helpOption } from "./options/global-options.ts";
import type { OptionDescription, Positionals } from "./options/option.ts";
import {
  bundleOption,
  configOption,
  consoleSocketOption,
  noNewKeyringOption,
  noPivotOption,
  noSubreaperOption,
  pidFileOption,
  preserveFdsOption,
} from "./options/shared-options.ts";
import { updateOptions } from "./options/update-description.ts";

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
  preserveFdsOption,
  {
    name: "profile",
    type: "string",
    description: "file to write the time of each system call to, as a trace that Perfetto opens",
  },
];

/**
 * doctor, explain, ps, validate and warm use modules of Node, which take some 4 ms to load: so they are loaded when they are called.
 */
export const commands: readonly CommandDescription[] = [
  {
    name: "checkpoint",
    summary: "save a running container to image files, by criu",
    positionals: oneContainer,
    options: [...checkpointOptions, helpOption],
    run: checkpoint,
  },
  {
    name: "completion",
    summary: "print a completion script for a shell",
    positionals: { usage: "bash|zsh|fish", min: 1, max: 1 },
    usesState: never,
    options: [helpOption],
    run: (_context, args) => completion(args, { commands, globalOptions }),
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
    run: create,
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
    run: remove,
  },
  {
    name: "doctor",
    summary: "examine this host, or a container",
    positionals: { usage: "[container-id]", min: 0, max: 1 },
    usesState: (args) => args.positionals.length > 0,
    options: [{ name: "json", type: "boolean", description: "print the findings as JSON" }, helpOption],
    run: async (...given) => (await import("./commands/doctor.ts")).run(...given),
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
    run: events,
  },
  {
    name: "exec",
    summary: "execute another process in a running container",
    positionals: { usage: "<container-id> [command [args...]]", min: 1, max: Infinity, endOptions: true },
    // So that it can't be taken for the exit code of the process: runc's rule.
    failureCode: 255,
    options: [...execOptions, helpOption],
    run: exec,
  },
  {
    name: "explain",
    summary: "print what create and start would do",
    positionals: { usage: "[container-id]", min: 0, max: 2 },
    usesState: (args) => args.string("as") === "caller",
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
    run: async (...given) => (await import("./commands/explain.ts")).run(...given),
  },
  {
    name: "features",
    summary: "print what this runtime implements as JSON",
    positionals: noPositionals,
    usesState: never,
    options: [helpOption],
    run: features,
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
    run: kill,
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
    run: list,
  },
  {
    name: "man",
    summary: "print a manual page",
    positionals: { usage: "[command]", min: 0, max: 1 },
    usesState: never,
    options: [helpOption],
    run: (_context, args) => man(args, { commands, globalOptions }),
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
    run: mounts,
  },
  {
    name: "pause",
    summary: "suspend all processes of a container",
    positionals: oneContainer,
    options: [helpOption],
    run: pause,
  },
  {
    name: "ps",
    summary: "show the processes of a container",
    positionals: {
      usage: "<container-id> [options of ps]",
      min: 1,
      max: Infinity,
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
    run: async (...given) => (await import("./commands/ps.ts")).run(...given),
  },
  {
    name: "restore",
    summary: "restore a container from image files",
    positionals: oneContainer,
    options: [...restoreOptions, helpOption],
    run: restore,
  },
  {
    name: "resume",
    summary: "resume all processes of a paused container",
    positionals: oneContainer,
    options: [helpOption],
    run: resume,
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
      noSubreaperOption,
      helpOption,
    ],
    run,
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
    run: seccomp,
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
    run: spec,
  },
  {
    name: "start",
    summary: "start the process of a created container",
    positionals: oneContainer,
    options: [helpOption],
    run: start,
  },
  {
    name: "state",
    summary: "print the state of a container as JSON",
    positionals: oneContainer,
    options: [helpOption],
    run: state,
  },
  {
    name: "update",
    summary: "change the limits of a container",
    positionals: oneContainer,
    options: [...updateOptions, helpOption],
    run: update,
  },
  {
    name: "validate",
    summary: "find all that is wrong with a bundle",
    positionals: noPositionals,
    usesState: (args) => args.flag("host"),
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
    run: async (...given) => (await import("./commands/validate.ts")).run(...given),
  },
  {
    name: "warm",
    summary: "write the image that the program starts from, for this machine and boot",
    positionals: noPositionals,
    usesState: never,
    options: [
      {
        name: "check",
        type: "boolean",
        description: "tell whether a start is warm, and why not; exit code 1 if not",
      },
      { name: "remove", type: "boolean", description: "remove the image: each start is cold from then on" },
      helpOption,
    ],
    run: async (...given) => (await import("./commands/warm.ts")).run(...given),
  },
];
