import { capabilityNames } from "../../bindings/abi/capability.ts";
import type { ContainerView, Seen } from "../inspect/container-view.ts";
import { candidatePaths } from "../plan/process/executable.ts";
import { withDefaultMappings } from "../spec/default-mappings.ts";
import { outerId } from "../spec/id-map.ts";
import { isNewNamespace } from "../spec/namespaces.ts";
import { hasNiceValue } from "../spec/rules/process.ts";
import type { Config, IdMapping, Process } from "../spec/types.ts";
import { failure, type Tell, warning } from "./finding.ts";
import { programProblem } from "./program.ts";

/** Reports what is valid in `process`, but probably a mistake or unable to work in this root file system. */
export function processRules(config: Config, view: ContainerView, tell: Tell): void {
  const { process } = config;
  if (process === undefined) {
    tell(warning("no-process", "/process", "is missing: the container can be created but never started"));
    return;
  }
  environment(process, tell);
  workingDirectory(process, view, tell);
  program(process, view, tell);
  capabilities(process, tell);
  mappedIds(config, process, tell);
  niceValue(process, tell);
  if (process.consoleSize !== undefined && process.terminal !== true)
    tell(warning("no-effect", "/process/consoleSize", "has no effect without a terminal"));
}

function environment({ env = [], args }: Process, tell: Tell): void {
  const last = new Map<string, number>();
  env.forEach((entry, index) => {
    const name = entry.slice(0, entry.indexOf("="));
    const before = last.get(name);
    if (before !== undefined) {
      const pointer = `/process/env/${before}`;
      tell(warning("duplicate-env", pointer, `${name} is overridden by /process/env/${index}`));
    }
    last.set(name, index);
  });
  if (last.has("PATH") || (args[0] ?? "").includes("/")) return;
  const message = `has no PATH: ${JSON.stringify(args[0])} is looked for in /bin and /usr/bin`;
  tell(warning("no-path", "/process/env", message, 'set PATH, or give "args" a path'));
}

function workingDirectory({ cwd }: Process, view: ContainerView, tell: Tell): void {
  const seen = view.look(cwd);
  const pointer = "/process/cwd";
  if (seen.is === "missing")
    tell(warning("cwd-missing", pointer, `${cwd} is not in the container: an empty directory is made there`));
  if (seen.is === "there" && !seen.status.isDirectory())
    tell(failure("cwd-missing", pointer, `${cwd} is not a directory`));
}

function program({ args, env = [] }: Process, view: ContainerView, tell: Tell): void {
  const pointer = "/process/args/0";
  const name = args[0] ?? "";
  const candidates = candidatePaths(name, env).map((path) => view.look(path));
  if (candidates.some(({ is }) => is === "unknown")) return;
  const files = candidates.flatMap((seen) =>
    seen.is === "there" && !seen.status.isDirectory() ? [seen] : [],
  );
  // A file that is not executable is passed over, as by execvp(3).
  const found = files.find(isExecutable) ?? files[0];
  if (found === undefined) {
    const where = name.includes("/")
      ? "is not in the container"
      : "is in no directory of PATH in the container";
    tell(failure("program-missing", pointer, `${name} ${where}`));
    return;
  }
  if (!isExecutable(found))
    tell(
      failure("program-not-executable", pointer, `${found.path} is not executable`, `chmod +x ${found.host}`),
    );
  const problem = programProblem(found, view);
  if (problem !== undefined) tell(failure("program-not-executable", pointer, problem));
}

function isExecutable({ status }: Extract<Seen, { is: "there" }>): boolean {
  return (status.mode & 0o111) !== 0;
}

type SetName = keyof NonNullable<Process["capabilities"]>;
const SETS: readonly SetName[] = ["bounding", "effective", "inheritable", "permitted", "ambient"];

function capabilities(process: Process, tell: Tell): void {
  const { capabilities: sets = {} } = process;
  const at = (set: SetName, index: number) => `/process/capabilities/${set}/${index}`;
  const has = (set: SetName, name: string) => (sets[set] ?? []).includes(name);
  for (const set of SETS) {
    for (const [index, name] of (sets[set] ?? []).entries()) {
      if (!capabilityNames.includes(name))
        tell(warning("unknown-capability", at(set, index), `${name} is not a known capability; ignored`));
    }
  }
  for (const [index, name] of (sets.effective ?? []).entries()) {
    if (!has("permitted", name))
      tell(
        failure("capability-sets", at("effective", index), `${name} is not in permitted, which it has to be`),
      );
  }
  for (const [index, name] of (sets.ambient ?? []).entries()) {
    if (has("permitted", name) && has("inheritable", name)) continue;
    const message = `${name} is left out, as it is not both permitted and inheritable`;
    tell(warning("capability-sets", at("ambient", index), message));
  }
  uselessCapabilities(process, tell);
}

/** capabilities(7), "Transformation of capabilities during execve". */
function uselessCapabilities(process: Process, tell: Tell): void {
  const { capabilities: sets = {}, noNewPrivileges, user } = process;
  const uid = user?.uid ?? 0;
  if (uid === 0) return;
  const lost = (sets.permitted ?? []).filter((name) => !(sets.ambient ?? []).includes(name));
  if (lost.length > 0) {
    const message = `${lost.join(", ")}: lost at the execve, as user ${uid} is not root and they are not ambient`;
    tell(
      warning(
        "useless-capability",
        "/process/capabilities/permitted",
        message,
        "add them to inheritable and ambient",
      ),
    );
  }
  const onlyBounding = (sets.bounding ?? []).filter(
    (name) => !SETS.some((set) => set !== "bounding" && (sets[set] ?? []).includes(name)),
  );
  if (noNewPrivileges === true && onlyBounding.length > 0) {
    const message = `${onlyBounding.join(", ")}: of no use, as noNewPrivileges keeps user ${uid} from getting them`;
    tell(warning("useless-capability", "/process/capabilities/bounding", message));
  }
}

function niceValue({ scheduler }: Process, tell: Tell): void {
  if (scheduler === undefined || (scheduler.nice ?? 0) === 0 || hasNiceValue(scheduler.policy)) return;
  const message = `has no effect with ${scheduler.policy}: only SCHED_OTHER and SCHED_BATCH have a nice value`;
  tell(warning("no-effect", "/process/scheduler/nice", message));
}

/** A process can't have an id that its user namespace doesn't map: user_namespaces(7). */
function mappedIds(config: Config, { user }: Process, tell: Tell): void {
  const { linux } = config;
  if (linux === undefined || user === undefined || !isNewNamespace(linux, "user")) return;
  const check = (id: number, mappings: readonly IdMapping[] | undefined, name: string, pointer: string) => {
    if (outerId(id, mappings ?? []) !== undefined) return;
    tell(failure("unmapped-id", pointer, `${id} is not in linux.${name}`, `map it there`));
  };
  // The caller's ids don't matter: only the ids inside are compared.
  const mapped = withDefaultMappings(config, { uid: 0, gid: 0 }).linux;
  check(user.uid ?? 0, mapped?.uidMappings, "uidMappings", "/process/user/uid");
  check(user.gid ?? 0, mapped?.gidMappings, "gidMappings", "/process/user/gid");
  for (const [index, gid] of (user.additionalGids ?? []).entries())
    check(gid, mapped?.gidMappings, "gidMappings", `/process/user/additionalGids/${index}`);
}
