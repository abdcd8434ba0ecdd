import { RuntsError } from "../../errors.ts";
import { processOrDefault } from "../../spec/process.ts";
import { LAST_ID } from "../../spec/rules/linux.ts";
import type { Capabilities, Config, Process, User } from "../../spec/types.ts";

/** The changes that `exec` makes to the container's own process. */
export interface ExecOverrides {
  readonly args: readonly string[];
  readonly tty: boolean;
  readonly cwd?: string;
  readonly env: readonly string[];
  /** UID[:GID] */
  readonly user?: string;
  readonly additionalGids: readonly string[];
  readonly capabilities: readonly string[];
  /** Absent: the container's own. */
  readonly noNewPrivileges?: boolean;
  readonly selinuxLabel?: string;
  readonly apparmorProfile?: string;
}

/** Returns the container's process with other arguments and with the changes: runc's rules. */
export function overriddenProcess(config: Config, overrides: ExecOverrides): Process {
  const process = processOrDefault(config);
  if (overrides.args.length === 0)
    throw new RuntsError("process args cannot be empty", { operation: "exec" });
  // The terminal's size belongs only to the container's init.
  const { consoleSize: _size, ...inherited } = process;
  return {
    ...inherited,
    args: overrides.args,
    terminal: overrides.tty,
    env: [...(process.env ?? []), ...overrides.env.map(checkedVariable)],
    user: overriddenUser(process.user ?? {}, overrides),
    ...(overrides.cwd !== undefined && { cwd: checkedDirectory(overrides.cwd) }),
    ...(overrides.noNewPrivileges !== undefined && { noNewPrivileges: overrides.noNewPrivileges }),
    ...(overrides.selinuxLabel !== undefined && { selinuxLabel: overrides.selinuxLabel }),
    ...(overrides.apparmorProfile !== undefined && { apparmorProfile: overrides.apparmorProfile }),
    ...(overrides.capabilities.length > 0 && {
      capabilities: withCapabilities(process.capabilities ?? {}, overrides.capabilities),
    }),
  };
}

/**
 * Completes a process.json by properties of the container's own process: runc's rule, and crun's for the AppArmor profile. Engines leave
 * out a property that shall be as in the container; one that is there counts, though it is empty. All other absent properties have
 * config.json's defaults.
 */
export function completedProcess({ process: own }: Config, given: Process): Process {
  const { capabilities, oomScoreAdj, selinuxLabel, apparmorProfile } = { ...own, ...given };
  return {
    ...given,
    ...(capabilities !== undefined && { capabilities }),
    ...(oomScoreAdj !== undefined && { oomScoreAdj }),
    ...(selinuxLabel !== undefined && { selinuxLabel }),
    ...(apparmorProfile !== undefined && { apparmorProfile }),
  };
}

function checkedDirectory(path: string): string {
  if (path.startsWith("/")) return path;
  throw new RuntsError(`--cwd ${path}: must be an absolute path`, { operation: "exec", path });
}

function checkedVariable(entry: string): string {
  if (entry.indexOf("=") > 0) return entry;
  throw new RuntsError(`--env ${entry}: must be of the form NAME=value`, { operation: "exec", path: entry });
}

/** A number that can't be read must never become 0, which is root (CVE-2026-30892). */
function parseId(text: string, option: string): number {
  if (/^\d{1,10}$/.test(text) && Number(text) <= LAST_ID) return Number(text);
  throw new RuntsError(`${option}: ${JSON.stringify(text)} is not a numerical id`, {
    operation: "exec",
    path: text,
  });
}

function overriddenUser(user: User, { user: text, additionalGids }: ExecOverrides): User {
  const gids = [...(user.additionalGids ?? [])];
  for (const list of additionalGids)
    for (const gid of list.split(",")) gids.push(parseId(gid, "--additional-gids"));
  const withGroups = { ...user, additionalGids: gids };
  if (text === undefined) return withGroups;
  const [uid = "", gid, ...rest] = text.split(":");
  if (rest.length > 0)
    throw new RuntsError(`--user ${text}: must be UID[:GID]`, { operation: "exec", path: text });
  return {
    ...withGroups,
    uid: parseId(uid, "--user"),
    ...(gid !== undefined && { gid: parseId(gid, "--user") }),
  };
}

/**
 * `--cap` adds to the bounding, effective and permitted sets: never to the inheritable set (CVE-2022-29162), so that it can
 * become ambient only where the container has it inheritable already. An unknown one is a warning later, as in a config.json.
 */
function withCapabilities(sets: Capabilities, added: readonly string[]): Capabilities {
  const names = added.map((name) => name.toUpperCase().replace(/^(CAP_)?/, "CAP_"));
  const join = (set: readonly string[] = [], more = names) => [...new Set([...set, ...more])];
  const inheritable = names.filter((name) => sets.inheritable?.includes(name));
  return {
    ...sets,
    bounding: join(sets.bounding),
    effective: join(sets.effective),
    permitted: join(sets.permitted),
    ...(inheritable.length > 0 && { ambient: join(sets.ambient, inheritable) }),
  };
}
