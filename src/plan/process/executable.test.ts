import { describe, expect, it } from "vitest";
import type { Reply } from "../../../bindings/stub/program.ts";
import type { Process } from "../../spec/types.ts";
import { only, testPlan } from "../plan.test-support.ts";
import { ExecutableSearch } from "./executable.ts";

const EACCES = -13;
const ENOENT = -2;
const ENOTDIR = -20;
const FILE = 0o100755;
const DIRECTORY = 0o040755;

function search(name: string, env?: readonly string[]) {
  const { program } = testPlan({});
  const process: Process = { cwd: "/", args: [name], ...(env !== undefined && { env }) };
  return { program, search: new ExecutableSearch(program, process) };
}

function candidates(name: string, env?: readonly string[]) {
  return only(search(name, env).program, "statx").map(({ args }) => args[1]);
}

/** Results of statx, the mode and faccessat2 for each candidate. */
function reply(...found: readonly (readonly [stat: number, mode: number, access: number])[]): Reply {
  return { results: found.flat(), outputs: [], failure: undefined };
}

describe("candidates", () => {
  it.each([
    ["a path is used unchanged", "/bin/sh", ["PATH=/x"], ["/bin/sh"]],
    ["a relative path is used unchanged", "./run", ["PATH=/x"], ["./run"]],
    ["a name is searched for in PATH", "sh", ["PATH=/a:/b/c"], ["/a/sh", "/b/c/sh"]],
    ["the last PATH counts", "sh", ["PATH=/a", "PATH=/b"], ["/b/sh"]],
    ["an empty element of PATH means the working directory", "sh", ["PATH=:/b"], ["./sh", "/b/sh"]],
    ["without PATH the search path is execvp's", "sh", ["XPATH=/x"], ["/bin/sh", "/usr/bin/sh"]],
    ["without an environment the search path is execvp's", "sh", undefined, ["/bin/sh", "/usr/bin/sh"]],
    ["an empty name has no candidates", "", ["PATH=/a"], []],
  ])("%s", (_title, name, env, expected) => {
    expect(candidates(name, env)).toEqual(expected);
  });

  it("are looked at with all errors tolerated, on behalf of args[0]", () => {
    const { program } = search("/bin/sh");
    expect(program.operations.map(({ call }) => call)).toEqual(["statx", "load", "faccessat2"]);
    expect(program.operations.every(({ pointer }) => pointer === "/process/args/0")).toBe(true);
    expect(only(program, "statx")[0]?.tolerate).toEqual(["any"]);
    expect(only(program, "faccessat2")[0]?.tolerate).toEqual(["any"]);
  });
});

describe("choose", () => {
  it("takes the first executable one", () => {
    const found = search("sh", ["PATH=/a:/b:/c:/d"]);
    const results = reply([ENOENT, 0, ENOENT], [0, DIRECTORY, 0], [0, FILE, EACCES], [0, FILE, 0]);
    expect(found.search.choose(results)).toBe("/d/sh");
  });

  it("reports an unusual error, such as EIO, if no executable is found", () => {
    const EIO = -5;
    const { search: path } = search("sh", ["PATH=/a:/b"]);
    expect(path.choose(reply([EIO, 0, EIO], [0, FILE, 0]))).toBe("/b/sh");
    expect(() => path.choose(reply([ENOENT, 0, ENOENT], [0, FILE, EIO]))).toThrow(
      'exec: "/b/sh": access /b/sh: input/output error',
    );
    expect(() => search("/bin/sh").search.choose(reply([EIO, 0, EIO]))).toThrow(
      'exec: "/bin/sh": stat /bin/sh: input/output error',
    );
  });

  it("takes a path", () => {
    expect(search("/bin/sh").search.choose(reply([0, FILE, 0]))).toBe("/bin/sh");
  });

  it.each([
    ["gone", [ENOENT, 0, ENOENT], "ENOENT", 'exec: "/x/y": stat /x/y: no such file or directory'],
    ["below a file", [ENOTDIR, 0, ENOTDIR], "ENOTDIR", 'exec: "/x/y": stat /x/y: not a directory'],
    ["out of reach", [EACCES, 0, EACCES], "EACCES", 'exec: "/x/y": stat /x/y: permission denied'],
    ["a directory", [0, DIRECTORY, 0], "EISDIR", 'exec: "/x/y": is a directory'],
    ["not executable", [0, FILE, EACCES], "EACCES", 'exec: "/x/y": permission denied'],
  ] as const)("a path that is %s", (_title, results, errno, message) => {
    expect(() => search("/x/y").search.choose(reply(results))).toThrow(
      expect.objectContaining({ message: `/process/args/0: ${message}`, errno, pointer: "/process/args/0" }),
    );
  });

  it.each([
    ["nope", reply([ENOENT, 0, ENOENT], [0, FILE, EACCES])],
    ["", reply()],
  ])("the name %j, which is not in PATH", (name, results) => {
    expect(() => search(name, ["PATH=/a:/b"]).search.choose(results)).toThrow(
      `exec: "${name}": executable file not found in $PATH`,
    );
  });
});
