import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { Hook } from "../../spec/types.ts";
import { freshDirectory } from "../record/status.test-support.ts";
import { runHooks, runHooksToTheEnd } from "./hooks.ts";

function shell(script: string, changes: Partial<Hook> = {}): Hook {
  return { path: "/bin/sh", args: ["sh", "-c", script], ...changes };
}

/** Runs one hook in its own directory. */
function run(hook: Hook, input = "{}"): string {
  const directory = freshDirectory();
  runHooks("createRuntime", [hook], input, { cwd: directory });
  return directory;
}

describe("a hook", () => {
  it("gets the state on its standard input, and runs in the bundle", () => {
    const directory = run(shell("/bin/cat > input"), '{"id":"box"}');
    expect(readFileSync(`${directory}/input`, "utf8")).toBe('{"id":"box"}');
  });

  it("has exactly the environment that it lists", () => {
    const env = ["B=2", "A=x=y", "EMPTY="];
    const directory = run(shell("/bin/cat /proc/$$/environ > env", { env }));
    const variables = readFileSync(`${directory}/env`, "utf8").split("\0").filter(Boolean);
    expect(variables.sort()).toEqual([...env].sort());
  });

  it("has an empty environment without env", () => {
    const directory = run(shell("/bin/cat /proc/$$/environ > env"));
    expect(readFileSync(`${directory}/env`, "utf8")).toBe("");
  });

  it("gets all of args as its arguments, the first as its name", () => {
    const script = '/bin/cat "/proc/$$/cmdline" > args';
    const directory = run({ path: "/bin/sh", args: ["other name", "-c", script, "x", "y z"] });
    const words = readFileSync(`${directory}/args`, "utf8").split("\0");
    expect(words).toEqual(["other name", "-c", script, "x", "y z", ""]);
  });

  it("need not read its input, however long that is", () => {
    expect(() => run(shell("exec <&-; exit 0"), "x".repeat(1 << 20))).not.toThrow();
  });

  it("may leave a process that keeps its outputs open", () => {
    const directory = run(shell("/bin/sleep 1000 & echo $! > left; exit 0"));
    expect(process.kill(Number(readFileSync(`${directory}/left`, "utf8")))).toBe(true);
  });
});

describe("a hook that fails", () => {
  it("is named, with its exit status and what it has printed", () => {
    const hook = shell("echo out; echo one >&2; echo two >&2; exit 3");
    expect(() => run(hook)).toThrow(
      expect.objectContaining({
        message: expect.stringMatching(
          /^\/hooks\/createRuntime\/0: error running createRuntime hook \/bin\/sh: exit status 3 after \d+ ms, stdout: out, stderr: one\\ntwo$/,
        ),
        pointer: "/hooks/createRuntime/0",
      }),
    );
  });

  it("is named with the signal that ended it", () => {
    expect(() => run(shell("kill -TERM $$"))).toThrow(/signal SIGTERM after \d+ ms$/);
  });

  it("shows the end of a long output only", () => {
    const hook = shell("i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done >&2; exit 1");
    try {
      run(hook);
      expect.unreachable();
    } catch (error) {
      const message = error instanceof Error ? error.message : "";
      expect(message).toMatch(/line 1998\\nline 1999$/);
      expect(message).not.toContain("line 0\\n");
      expect(message.length).toBeLessThan(6000);
    }
  });

  it("is killed when its time is over", () => {
    expect(() => run(shell("exec /bin/sleep 1000", { timeout: 1 }))).toThrow(/: timed out after 1 s$/);
  });

  it("may not be there at all", () => {
    expect(() => run({ path: "/missing/hook" })).toThrow(/hook \/missing\/hook: no such file or directory$/);
  });
});

describe("several hooks", () => {
  const hooks = [shell("echo 1 >> log"), shell("echo 2 >> log; exit 1"), shell("echo 3 >> log")];

  it("run in the listed order, up to the first that fails", () => {
    const directory = freshDirectory();
    expect(() => runHooks("prestart", hooks, "{}", { cwd: directory })).toThrow(/^\/hooks\/prestart\/1: /);
    expect(readFileSync(`${directory}/log`, "utf8")).toBe("1\n2\n");
  });

  it("run to the end for poststop, and failures are warnings", () => {
    const directory = freshDirectory();
    const warnings: string[] = [];
    runHooksToTheEnd("poststop", hooks, "{}", { cwd: directory }, (message) => warnings.push(message));
    expect(readFileSync(`${directory}/log`, "utf8")).toBe("1\n2\n3\n");
    expect(warnings).toEqual([expect.stringMatching(/^\/hooks\/poststop\/1: .*exit status 1/)]);
  });
});
