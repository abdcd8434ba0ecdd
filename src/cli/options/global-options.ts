import type { OptionDescription } from "./option.ts";

export const helpOption: OptionDescription = {
  name: "help",
  alias: "h",
  type: "boolean",
  description: "show help",
};

/** Options that stand before the command. */
export const globalOptions: readonly OptionDescription[] = [
  {
    name: "root",
    type: "string",
    description:
      "directory of the containers' state [default: /run/runts, or $XDG_RUNTIME_DIR/runts when not root]",
  },
  {
    name: "log",
    type: "string",
    description: "file to append the log to, also as file:PATH [default: standard error]",
  },
  { name: "log-format", type: "string", description: "format of the log: text or json", default: "text" },
  {
    name: "debug",
    type: "boolean",
    description: "log each step, with the property of config.json that asks for it",
  },
  {
    name: "log-level",
    type: "string",
    description: "least level to log: error, warning, info or debug",
    default: "info",
  },
  {
    name: "rootless",
    type: "string",
    description: "ignore missing permission on cgroups: true, false or auto",
    default: "auto",
  },
  {
    name: "systemd-cgroup",
    type: "boolean",
    description: "let systemd make the cgroups: cgroupsPath is slice:prefix:name",
  },
  {
    name: "cgroup-manager",
    type: "string",
    description:
      "who makes the cgroups: cgroupfs, systemd, or disabled for none, and so no limits nor device rules",
    default: "cgroupfs",
  },
  {
    name: "criu",
    type: "string",
    description: "criu's path or name, for checkpoint and restore [default: criu of $PATH]",
  },
  helpOption,
  { name: "version", alias: "v", type: "boolean", description: "print the version" },
];
