import type { OptionDescription } from "./option.ts";

/** Options of several commands. */

export const bundleOption: OptionDescription = {
  name: "bundle",
  alias: "b",
  type: "string",
  description: "directory of the bundle [default: the current directory]",
};

export const configOption: OptionDescription = {
  name: "config",
  alias: "f",
  type: "string",
  description: "config to take instead of the bundle's config.json",
};

export const pidFileOption: OptionDescription = {
  name: "pid-file",
  type: "string",
  description: "file to write the process id of the container to",
};

export const noPivotOption: OptionDescription = {
  name: "no-pivot",
  type: "boolean",
  description: "change the root without pivot_root, for a root file system on a ramdisk",
};

export const noNewKeyringOption: OptionDescription = {
  name: "no-new-keyring",
  type: "boolean",
  description: "keep the caller's session keyring",
};

export const consoleSocketOption: OptionDescription = {
  name: "console-socket",
  type: "string",
  description: "AF_UNIX socket that receives the master end of the container's terminal",
};

export const preserveFdsOption: OptionDescription = {
  name: "preserve-fds",
  type: "number",
  description: "pass N more file descriptors, after standard error and those of $LISTEN_FDS",
  default: "0",
};

/** Of the commands that wait for a container's end. */
export const noSubreaperOption: OptionDescription = {
  name: "no-subreaper",
  type: "boolean",
  description: "do not adopt orphaned processes of the container",
};
