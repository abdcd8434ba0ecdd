import { absolutePath } from "../../../bindings/linux/paths.ts";
import { type ExecOptions, runExec } from "../../container/exec.ts";
import { savedConfigPath } from "../../container/record/saved-state.ts";
import { defineCommand } from "../command.ts";
import type { OptionTable, OptionValues } from "../options/option.ts";
import { preserveFdsOption, profileOptions } from "../options/shared-options.ts";
import { withProfile } from "../with-profile.ts";

const options = {
  process: {
    alias: "p",
    type: "string",
    isPath: true,
    description: "process.json that describes the whole process",
  },
  "console-socket": {
    type: "string",
    isPath: true,
    description: "AF_UNIX socket that receives the master end of the process's terminal",
  },
  "pidfd-socket": {
    type: "string",
    isPath: true,
    description: "AF_UNIX socket that receives a pidfd of the process",
  },
  "exec-wait-fifo": {
    type: "string",
    isPath: true,
    description: "fifo: the process executes its program once somebody opens it for reading",
  },
  tty: { alias: "t", type: "boolean", description: "give the process a terminal" },
  detach: { alias: "d", type: "boolean", description: "do not wait for the process to exit" },
  "pid-file": { type: "string", isPath: true, description: "file to write the process id to" },
  cwd: { type: "string", description: "working directory in the container" },
  env: { alias: "e", type: "list", description: "set a variable: NAME=value" },
  user: { alias: "u", type: "string", description: "user and group as numbers: UID[:GID]" },
  "additional-gids": { alias: "g", type: "list", description: "add a supplementary group" },
  cap: { alias: "c", type: "list", description: "add a capability" },
  "process-label": { type: "string", description: "SELinux label of the process" },
  apparmor: { type: "string", description: "AppArmor profile of the process" },
  "no-new-privs": {
    type: "boolean",
    tristate: true,
    description: "set no_new_privs; =false clears what the config sets",
  },
  "preserve-fds": preserveFdsOption,
  cgroup: { type: "string", description: "sub-cgroup of the container's cgroup to run in" },
  "ignore-paused": { type: "boolean", description: "execute although the container is paused" },
  ...profileOptions,
} as const satisfies OptionTable;

/** runc's rule: it can't be mistaken for the exit code of the process. */
const FAILURE_CODE = 255;

export const execCommand = defineCommand({
  name: "exec",
  summary: "execute another process in a running container",
  positionals: { usage: "<container-id> [command [args...]]", min: 1, max: Infinity, endOptions: true },
  options,
  failureCode: FAILURE_CODE,
  description: [
    "Executes another process in a running container: in its namespaces and cgroup, with its seccomp filter, and with the environment, user and " +
      "capabilities of its process unless options say otherwise. Options end at the container's id.",
    "With `--detach` and `--exec-wait-fifo` the command returns when the process is ready. The caller can then watch it, by its pid or a pidfd. " +
      "The program runs once somebody opens the fifo for reading; the reader gets one byte.",
  ],
  examples: [
    ["runts exec web ps aux", "a command"],
    ["runts exec -t --user 1000:1000 --env A=b web sh", "a shell on a terminal, as another user"],
    ["runts exec --process process.json web", "the process that a file describes"],
  ],
  exitStatus: [
    ["N", "exit code of the process"],
    ["255", "the process was not executed"],
  ],
  run(context, { positionals: [id, ...command], options }) {
    const given = execOptionsFrom(id, command, options);
    const config = () => savedConfigPath(context.root, id);
    const profiled = { command: "exec", container: id, config, failureCode: FAILURE_CODE };
    return withProfile(profiled, options, () => runExec(context, given, options.detach));
  },
});

export function execOptionsFrom(
  id: string,
  command: readonly string[],
  values: OptionValues<typeof options>,
): ExecOptions {
  const { process: processFile, "console-socket": consoleSocket, "pidfd-socket": pidfdSocket } = values;
  const { "pid-file": pidFile, cgroup, cwd, user, "no-new-privs": noNewPrivileges } = values;
  const { "process-label": selinuxLabel, apparmor: apparmorProfile } = values;
  return {
    id,
    ...(processFile !== undefined && { processFile: absolutePath(processFile) }),
    ...(consoleSocket !== undefined && { consoleSocket: absolutePath(consoleSocket) }),
    ...(pidfdSocket !== undefined && { pidfdSocket: absolutePath(pidfdSocket) }),
    ...(values["exec-wait-fifo"] !== undefined && { waitFifo: absolutePath(values["exec-wait-fifo"]) }),
    ...(pidFile !== undefined && { pidFile: absolutePath(pidFile) }),
    ...(cgroup !== undefined && { cgroup }),
    preserveFds: values["preserve-fds"],
    ignorePaused: values["ignore-paused"],
    overrides: {
      args: command,
      tty: values.tty,
      ...(cwd !== undefined && { cwd }),
      env: values.env,
      ...(user !== undefined && { user }),
      additionalGids: values["additional-gids"],
      capabilities: values.cap,
      ...(selinuxLabel !== undefined && { selinuxLabel }),
      ...(apparmorProfile !== undefined && { apparmorProfile }),
      ...(noNewPrivileges !== undefined && { noNewPrivileges }),
    },
  };
}
