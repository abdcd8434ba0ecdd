import type { Option, OptionTable, Positionals } from "./option.ts";

/** Options and arguments that several commands have. */

export const noArguments = { usage: "", min: 0, max: 0 } as const satisfies Positionals;
export const oneContainer = { usage: "<container-id>", min: 1, max: 1 } as const satisfies Positionals;

export const helpOption = { alias: "h", type: "boolean", description: "show help" } as const satisfies Option;

export const bundleOption = {
  alias: "b",
  type: "string",
  isPath: true,
  description: "directory of the bundle [default: the current directory]",
} as const satisfies Option;

export const configOption = {
  alias: "f",
  type: "string",
  isPath: true,
  description: "config file to use instead of the bundle's config.json",
} as const satisfies Option;

export const pidFileOption = {
  type: "string",
  isPath: true,
  description: "file to write the process id of the container to",
} as const satisfies Option;

export const noPivotOption = {
  type: "boolean",
  description: "change the root without pivot_root, for a root file system on a ramdisk",
} as const satisfies Option;

export const noNewKeyringOption = {
  type: "boolean",
  description: "keep the caller's session keyring",
} as const satisfies Option;

export const consoleSocketOption = {
  type: "string",
  isPath: true,
  description: "AF_UNIX socket that receives the master end of the container's terminal",
} as const satisfies Option;

export const preserveFdsOption = {
  type: "number",
  description: "pass N more file descriptors, after standard error and those of $LISTEN_FDS",
  default: "0",
} as const satisfies Option;

export const detachOption = {
  alias: "d",
  type: "boolean",
  description: "do not wait for the container to exit",
} as const satisfies Option;

/** For the commands that wait for the container to exit. */
export const noSubreaperOption = {
  type: "boolean",
  description: "do not adopt orphaned processes of the container",
} as const satisfies Option;

/** The options of the commands that can be profiled. */
export const profileOptions = {
  profile: {
    type: "string",
    isPath: true,
    description: "file to write the time of each system call to",
  },
  "profile-format": {
    type: "string",
    description:
      "format of that file: chrome, which Perfetto opens; otlp, for OpenTelemetry; or html, for a browser [default: chrome]",
  },
} as const satisfies OptionTable;

/** For recording the system calls of a container, by `create` and `run`. */
export const recordOptions = {
  "seccomp-record": {
    type: "string",
    isPath: true,
    description: "file to write a seccomp profile to that allows the system calls which the container makes",
  },
  "seccomp-merge": {
    type: "boolean",
    description: "add these system calls to the profile that the file of --seccomp-record has",
  },
  "seccomp-record-by": {
    type: "string",
    description:
      "how to record: bpf, or notify, where each system call waits [default: bpf if it can be used]",
  },
} as const satisfies OptionTable;

export const recordDescription =
  "With --seccomp-record, a seccomp profile is written once the container has ended, or by `delete` if the runtime does not wait for that. It " +
  "allows the system calls that the container's processes have made. They are recorded by BPF, which includes exec; or, for a user without " +
  "privileges and in the foreground only, by notifications, which are slow and include neither exec nor the startContainer hooks.";

/** The options of `create` and `run`. */
export const createOptions = {
  bundle: bundleOption,
  "console-socket": consoleSocketOption,
  "pidfd-socket": {
    type: "string",
    isPath: true,
    description: "AF_UNIX socket that receives a pidfd of the container's process",
  },
  "pid-file": pidFileOption,
  config: configOption,
  "no-pivot": noPivotOption,
  "no-new-keyring": noNewKeyringOption,
  "preserve-fds": preserveFdsOption,
  ...profileOptions,
} as const satisfies OptionTable;
