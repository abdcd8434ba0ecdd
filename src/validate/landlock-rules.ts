import { dirname } from "../../bindings/linux/paths.ts";
import type { ContainerView, Seen } from "../inspect/container-view.ts";
import { candidatePaths } from "../plan/process/executable.ts";
import { isAtOrBelow } from "../plan/rootfs-paths.ts";
import { LANDLOCK_POINTER, type Landlock, landlockOf, RIGHTS_OF_FILES } from "../spec/landlock.ts";
import type { Config, Process } from "../spec/types.ts";
import { failure, type Tell, warning } from "./finding.ts";
import { interpreterOf } from "./program.ts";

/** Reports Landlock rules that can't work in this root file system, or that keep the program from its start. */
export function landlockRules(config: Config, view: ContainerView, tell: Tell): void {
  const landlock = landlockOf(config);
  if (landlock === undefined) return;
  paths(landlock, view, tell);
  if (config.process !== undefined) program(landlock, config.process, view, tell);
}

function paths(landlock: Landlock, view: ContainerView, tell: Tell): void {
  for (const { allowed, objects } of landlock.paths)
    for (const { pointer, object: path } of objects) {
      const seen = view.look(path);
      if (seen.is === "missing") tell(failure("landlock-path", pointer, `${path} is not in the container`));
      const wrong = allowed.words.filter((word) => !RIGHTS_OF_FILES.includes(word));
      if (seen.is !== "there" || seen.status.isDirectory() || wrong.length === 0) continue;
      const message = `${path} is no directory, and ${wrong.join(", ")} can be allowed for directories only`;
      tell(failure("landlock-path", pointer, message));
    }
}

/** The kernel opens a program, and its loader or interpreter, with both rights. */
const NEEDED_TO_EXECUTE = ["execute", "read_file"];

function program(landlock: Landlock, { args, env = [] }: Process, view: ContainerView, tell: Tell): void {
  const candidates = candidatePaths(args[0] ?? "", env).map((path) => view.look(path));
  if (candidates.some(({ is }) => is === "unknown")) return;
  const found = candidates.find(isExecutable);
  if (found === undefined || !isExecutable(found)) return;
  const interpreter = interpreterOf(found, view);
  for (const file of [found, ...(interpreter === undefined ? [] : [interpreter])]) {
    const denied = NEEDED_TO_EXECUTE.filter(
      (right) =>
        landlock.handledAccess.files.words.includes(right) &&
        !allowedPaths(landlock, right, view).some((path) => isAtOrBelow(file.path, path)),
    ).join(" and ");
    if (denied === "") continue;
    const message = `no rule allows ${denied} for ${file.path}, which ${args[0]} needs to start`;
    const say = file === found ? failure : warning;
    const hint = `add a rule with ${denied} for ${dirname(file.path)}`;
    tell(say("landlock-denies", `${LANDLOCK_POINTER}/rules`, message, hint));
  }
}

type Executable = Extract<Seen, { is: "there" }>;

function isExecutable(seen: Seen): seen is Executable {
  return seen.is === "there" && seen.status.isFile() && (seen.status.mode & 0o111) !== 0;
}

/** The paths below which a right is allowed, without symbolic links. */
function allowedPaths({ paths: rules }: Landlock, right: string, view: ContainerView): string[] {
  return rules.flatMap(({ allowed, objects }) =>
    allowed.words.includes(right) ? objects.map(({ object }) => view.look(object).path) : [],
  );
}
