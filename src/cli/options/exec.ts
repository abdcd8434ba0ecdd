import type { OptionDescription } from "./option.ts";
import { preserveFdsOption } from "./shared-options.ts";

/** Options of `exec`. */
export const execOptions: readonly OptionDescription[] = [
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
  preserveFdsOption,
  { name: "cgroup", type: "string", description: "sub-cgroup of the container's cgroup to run in" },
  { name: "ignore-paused", type: "boolean", description: "execute although the container is paused" },
];
