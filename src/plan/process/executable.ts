import {
  EACCES,
  ELOOP,
  ENAMETOOLONG,
  ENOENT,
  ENOTDIR,
  errnoMessage,
  errnoName,
} from "../../../bindings/abi/errno.ts";
import {
  AT_EACCESS,
  AT_FDCWD,
  S_IFDIR,
  S_IFMT,
  STATX_MODE,
  STATX_TYPE,
} from "../../../bindings/abi/fcntl.ts";
import { statx } from "../../../bindings/abi/layouts.ts";
import { at, type Program, type Reply } from "../../../bindings/stub/program.ts";
import { RuntsError } from "../../errors.ts";
import type { Process } from "../../spec/types.ts";

const POINTER = "/process/args/0";
const X_OK = 1;
/** The search path of execvp(3) for an environment without PATH. */
const DEFAULT_PATH = "/bin:/usr/bin";

interface Candidate {
  readonly path: string;
  /** Indexes of the operations that look at the candidate. */
  readonly stat: number;
  readonly mode: number;
  readonly access: number;
}

/** Looks for the executable of args[0] as execvp(3) would, in the container and as its user. */
export class ExecutableSearch {
  readonly #name: string;
  readonly #candidates: Candidate[] = [];

  constructor(program: Program, process: Process) {
    this.#name = process.args[0] ?? "";
    program.about(POINTER, `look for ${this.#name}`);
    const stat = program.output(statx.size);
    for (const path of candidatePaths(this.#name, process.env ?? [])) {
      const index = program.operations.length;
      const tolerate = ["any"];
      program.do("statx", [AT_FDCWD, path, 0, STATX_TYPE | STATX_MODE, stat], { tolerate });
      program.do("load", [at(stat, statx.stx_mode), 2]);
      program.do("faccessat2", [AT_FDCWD, path, X_OK, AT_EACCESS], { tolerate });
      this.#candidates.push({ path, stat: index, mode: index + 1, access: index + 2 });
    }
  }

  /** The path for execve. Throws errors in runc's words, which engines match (podman: exit codes 126 and 127). */
  choose({ results }: Reply): string {
    let unusual: RuntsError | undefined;
    for (const { path, stat, mode, access } of this.#candidates) {
      const isDirectory = ((results[mode] ?? 0) & S_IFMT) === S_IFDIR;
      if (results[stat] === 0 && results[access] === 0 && !isDirectory) return path;
      unusual ??=
        unusualFailure(path, "stat", results[stat]) ?? unusualFailure(path, "access", results[access]);
      if (unusual !== undefined && this.#name.includes("/")) throw unusual;
      if (!this.#name.includes("/")) continue;
      if (results[stat] === -EACCES)
        throw failure(`exec: "${path}": stat ${path}: permission denied`, "EACCES", path);
      if (results[stat] === -ENOTDIR)
        throw failure(`exec: "${path}": stat ${path}: not a directory`, "ENOTDIR", path);
      if (results[stat] !== 0)
        throw failure(`exec: "${path}": stat ${path}: no such file or directory`, "ENOENT", path);
      if (isDirectory) throw failure(`exec: "${path}": is a directory`, "EISDIR", path);
      throw failure(`exec: "${path}": permission denied`, "EACCES", path);
    }
    if (unusual !== undefined) throw unusual;
    throw failure(`exec: "${this.#name}": executable file not found in $PATH`, "ENOENT", this.#name);
  }
}

/** Errors of a file that doesn't exist or that this user may not reach. */
const USUAL = [ENOENT, EACCES, ENOTDIR, ENAMETOOLONG, ELOOP];

/** The error of a file that can't be looked at for another reason, such as a broken disk: it may be the one to execute. */
function unusualFailure(path: string, call: string, result = 0): RuntsError | undefined {
  if (result === 0 || USUAL.includes(-result)) return undefined;
  const errno = errnoName(-result);
  return failure(`exec: "${path}": ${call} ${path}: ${errnoMessage(errno)}`, errno, path);
}

function failure(message: string, errno: string, path: string): RuntsError {
  return new RuntsError(`${POINTER}: ${message}`, { operation: "execve", errno, path, pointer: POINTER });
}

/** The paths that execvp(3) would try for a name, in order. */
export function candidatePaths(name: string, env: readonly string[]): string[] {
  if (name.includes("/")) return [name];
  if (name === "") return [];
  return searchPath(env)
    .value.split(":")
    .map((directory) => (directory === "" ? `./${name}` : `${directory}/${name}`));
}

/** The search path: PATH, if the environment has it (`given`), or execvp's default. */
export function searchPath(env: readonly string[]): { readonly value: string; readonly given: boolean } {
  const path = env.findLast((entry) => entry.startsWith("PATH="))?.slice("PATH=".length);
  return { value: path ?? DEFAULT_PATH, given: path !== undefined };
}
