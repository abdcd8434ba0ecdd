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
/** What execvp(3) takes where the environment has no PATH. */
const DEFAULT_PATH = "/bin:/usr/bin";

interface Candidate {
  readonly path: string;
  /** Indexes of the operations whose results say what the candidate is. */
  readonly stat: number;
  readonly mode: number;
  readonly access: number;
}

/** Looks at each file that args[0] may mean, as execvp(3) would: as the container's user, in the container. */
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

  /** The path for execve. The words of the errors are runc's, which engines match (podman: exit codes 126 and 127). */
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

/** What says that a file is not there, or not for this user. */
const USUAL = [ENOENT, EACCES, ENOTDIR, ENAMETOOLONG, ELOOP];

/** A file that can't be looked at for another reason, such as a broken disk, may well be the one that is meant. */
function unusualFailure(path: string, call: string, result = 0): RuntsError | undefined {
  if (result === 0 || USUAL.includes(-result)) return undefined;
  const errno = errnoName(-result);
  return failure(`exec: "${path}": ${call} ${path}: ${errnoMessage(errno)}`, errno, path);
}

function failure(message: string, errno: string, path: string): RuntsError {
  return new RuntsError(`${POINTER}: ${message}`, { operation: "execve", errno, path, pointer: POINTER });
}

export function candidatePaths(name: string, env: readonly string[]): string[] {
  if (name.includes("/")) return [name];
  if (name === "") return [];
  return searchPath(env)
    .value.split(":")
    .map((directory) => (directory === "" ? `./${name}` : `${directory}/${name}`));
}

/** The PATH that a name is looked for in, and whether the environment gives it. */
export function searchPath(env: readonly string[]): { readonly value: string; readonly given: boolean } {
  const path = env.findLast((entry) => entry.startsWith("PATH="))?.slice("PATH=".length);
  return { value: path ?? DEFAULT_PATH, given: path !== undefined };
}
