import type { OptionTable, OptionValues } from "./option.ts";
import { helpOption } from "./shared-options.ts";

/** Options that stand before the command. */
export const globalOptions = {
  root: {
    type: "string",
    isPath: true,
    description:
      "directory of the containers' state [default: /run/runts, or $XDG_RUNTIME_DIR/runts when not root]",
  },
  log: {
    type: "string",
    isPath: true,
    description:
      "file to append the log to, also as file:PATH; or journald:ID or syslog:ID for a service of the system [default: standard error]",
  },
  "log-format": { type: "string", description: "format of the log: text or json", default: "text" },
  debug: {
    type: "boolean",
    description: "log each step, with the property of config.json that asks for it",
  },
  "log-level": {
    type: "string",
    description: "lowest level to log: error, warning, info or debug",
    default: "info",
  },
  rootless: {
    type: "string",
    description: "ignore missing permission on cgroups: true, false or auto",
    default: "auto",
  },
  "systemd-cgroup": {
    type: "boolean",
    description: "let systemd create the cgroups: cgroupsPath is slice:prefix:name",
  },
  "cgroup-manager": {
    type: "string",
    description:
      "how cgroups are created: cgroupfs, systemd, or disabled for no cgroup, and so no limits and no device rules",
    default: "cgroupfs",
  },
  "allow-annotation": {
    type: "list",
    description:
      "annotation of crun that may name a file or a socket of the host: run.oci.hooks.stdout, run.oci.hooks.stderr, " +
      "run.oci.seccomp.receiver or run.oci.pidfd_receiver; may be given several times",
  },
  criu: {
    type: "string",
    isPath: true,
    description: "path or name of criu, for checkpoint and restore [default: criu in $PATH]",
  },
  help: helpOption,
  version: { alias: "v", type: "boolean", description: "print the version" },
} as const satisfies OptionTable;

export type GlobalValues = OptionValues<typeof globalOptions>;
