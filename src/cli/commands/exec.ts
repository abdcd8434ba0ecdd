import { absolutePath } from "../../../bindings/linux/paths.ts";
import type { RunCommand } from "../options/description.ts";

export const run: RunCommand = (context, args, operations) => {
  const [id = "", ...command] = args.positionals;
  const path = (name: string) => {
    const given = args.string(name);
    return given === undefined ? undefined : absolutePath(given);
  };
  const [processFile, consoleSocket, pidfdSocket, pidFile] = [
    "process",
    "console-socket",
    "pidfd-socket",
    "pid-file",
  ].map(path);
  const [cwd, user, cgroup, selinuxLabel, apparmorProfile] = [
    "cwd",
    "user",
    "cgroup",
    "process-label",
    "apparmor",
  ].map((name) => args.string(name));
  const noNewPrivileges = args.givenFlag("no-new-privs");
  return operations.exec(
    context,
    {
      id,
      ...(processFile !== undefined && { processFile }),
      ...(consoleSocket !== undefined && { consoleSocket }),
      ...(pidfdSocket !== undefined && { pidfdSocket }),
      ...(pidFile !== undefined && { pidFile }),
      ...(cgroup !== undefined && { cgroup }),
      preserveFds: args.number("preserve-fds"),
      ignorePaused: args.flag("ignore-paused"),
      overrides: {
        args: command,
        tty: args.flag("tty"),
        ...(cwd !== undefined && { cwd }),
        env: args.list("env"),
        ...(user !== undefined && { user }),
        additionalGids: args.list("additional-gids"),
        capabilities: args.list("cap"),
        ...(selinuxLabel !== undefined && { selinuxLabel }),
        ...(apparmorProfile !== undefined && { apparmorProfile }),
        ...(noNewPrivileges !== undefined && { noNewPrivileges }),
      },
    },
    args.flag("detach"),
  );
};
