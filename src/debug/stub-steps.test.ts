import { describe, expect, it } from "vitest";
import { StubChannel } from "../../bindings/stub/client.ts";
import type { Program, Reply } from "../../bindings/stub/program.ts";
import { StubProcesses } from "../../bindings/stub/stub-processes.ts";
import { StepLog } from "./steps.ts";
import { StubSteps } from "./stub-steps.ts";

const EPERM = 1;
const ENOENT = 2;

/** Returns the lines that are logged for a program with this reply. */
function told(
  write: (program: Program) => void,
  reply: Partial<Reply>,
): (readonly [string, string | undefined])[] {
  const lines: (readonly [string, string | undefined])[] = [];
  const silent = () => undefined;
  const debug = (message: string, pointer?: string) => {
    lines.push([message, pointer]);
  };
  const steps = new StepLog({ debug, info: silent, warn: silent, error: silent });
  const tap = new StubSteps(steps, new StubProcesses(), "init");
  const channel = new StubChannel(-1);
  const program = channel.program();
  write(program);
  tap.send(channel, program);
  if (!program.quiet)
    tap.receive(channel, program, () => ({ results: [], outputs: [], failure: undefined, ...reply }));
  return lines;
}

function mountProc(program: Program): void {
  program.about("/mounts/0", "mount proc on /proc");
  program.do("fsopen", ["proc", 0]);
  program.do("fsmount", [3, 0, 0]);
  program.about("", "set the umask");
  program.do("umask", [0]);
}

describe("StubSteps", () => {
  it("logs one line for all calls of one purpose", () => {
    expect(told(mountProc, { results: [3, 4, 0] })).toEqual([
      ["stub: mount proc on /proc", "/mounts/0"],
      ["stub: set the umask", ""],
    ]);
  });

  it("ends at the call that failed, and logs it", () => {
    expect(told(mountProc, { results: [3, -EPERM], failure: { index: 1, errno: EPERM } })).toEqual([
      ["stub: mount proc on /proc: fsmount: operation not permitted", "/mounts/0"],
    ]);
  });

  it("leaves out skipped operations, and says when every call of a step failed", () => {
    const write = (program: Program) => {
      program.about("/linux/maskedPaths/0", "mask /proc/x");
      const file = program.call("openat2", [-100, "/proc/x"], { tolerate: ["ENOENT"] });
      program.do("move_mount", [file], { if: [file, "ok"] });
      program.about("", "only if it is there");
      program.do("close", [file], { if: [file, "ok"] });
    };
    expect(told(write, { results: [-ENOENT, 0, 0] })).toEqual([
      [
        "stub: mask /proc/x: openat2: no such file or directory, which is not an error",
        "/linux/maskedPaths/0",
      ],
    ]);
  });

  it("logs a program without a reply when it is sent", () => {
    const write = (program: Program) => {
      program.quiet = true;
      program.about("/process/args/0", 'exec: "true"');
      program.do("execve", ["/bin/true", 0, 0]);
    };
    expect(told(write, {})).toEqual([['stub, on its own: exec: "true"', "/process/args/0"]]);
  });
});
