import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import {
  allowing,
  annotated,
  CLAUSE,
  expectNothingMade,
  IGNORED,
  PROMISE,
  STDERR,
  STDOUT,
  sayingHook,
} from "../harness/helpers/crun-annotations.ts";
import { byCase } from "../harness/peers.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import { spec } from "../harness/spec.ts";

/** The files for the output of hooks. */

/** A file that a hook was to write to. */
const textOf = (path: string) => (existsSync(path) ? readFileSync(path, "utf8") : "");

spec(
  `hooks, ${STDOUT} and stderr: the files get the output of all kinds of hooks, appended`,
  CLAUSE,
  async (sandbox) => {
    const [out, err] = [sandbox.path("out"), sandbox.path("err")];
    writeFileSync(out, "before\n");
    const container = sandbox.shell(
      "sleep 1000",
      annotated({ [STDOUT]: out, [STDERR]: err }, (config) => {
        config.hooks = {
          createRuntime: [sayingHook("createRuntime1", "warned"), sayingHook("createRuntime2")],
          createContainer: [sayingHook("createContainer")],
          startContainer: [sayingHook("startContainer")],
          poststart: [sayingHook("poststart")],
          poststop: [sayingHook("poststop")],
        };
      }),
    );
    await container.created(allowing(STDOUT, STDERR));
    expect(textOf(out)).toBe("before\ncreateRuntime1\ncreateRuntime2\ncreateContainer\n");
    expect(textOf(err)).toBe("warned\n");
    expect((await container.start()).code).toBe(0);
    expect((await container.delete("--force")).code).toBe(0);
    const later = textOf(out).trim().split("\n").slice(4);
    // crun does not wait for the startContainer hooks before it runs the others.
    expect(later.toSorted()).toEqual(["poststart", "poststop", "startContainer"]);
  },
  { runc: IGNORED },
);

spec(
  `create, a hook fails, ${STDERR}: the file has its output, nothing else is left`,
  CLAUSE,
  async (sandbox) => {
    const err = sandbox.path("err");
    const container = sandbox.shell(
      "true",
      annotated({ [STDERR]: err }, (config) => {
        config.hooks = {
          createRuntime: [{ ...sayingHook(""), args: ["sh", "-c", "echo reason >&2; exit 3"] }],
        };
      }),
    );
    const words = "/hooks/createRuntime/0: error running createRuntime hook /bin/sh: exit status 3";
    await expectNothingMade(sandbox, container, words, allowing(STDERR));
    expect(textOf(err)).toBe("reason\n");
  },
  { runc: IGNORED },
);

spec(
  `startContainer hook, ${STDOUT}: no descriptor of the host's file enters the container`,
  "promise: a descriptor in the container leads to nothing of the host",
  async (sandbox) => {
    const out = sandbox.path("out");
    const look = "for fd in 0 1 2; do readlink /proc/self/fd/$fd; done";
    const container = sandbox.shell(
      "true",
      annotated({ [STDOUT]: out }, (config) => {
        const hook = { path: "/bin/sh", args: ["sh", "-c", look], env: ["PATH=/bin"] };
        config.hooks = { createContainer: [hook], startContainer: [hook] };
      }),
    );
    await container.started(allowing(STDOUT));
    const links = textOf(out).trim().split("\n");
    expect(links).toHaveLength(6);
    for (const link of links) expect(link).toMatch(/^\/memfd:/);
  },
  { crun: "hooks hold the file itself", runc: IGNORED },
);

spec(
  `startContainer hook whose output has a size of 1 TiB, ${STDOUT}: the host's file gets 1 MiB of it, and a line that says so`,
  "promise: a container can't fill the host's disk",
  async (sandbox) => {
    const out = sandbox.path("out");
    const container = sandbox.shell(
      "true",
      annotated({ [STDOUT]: out }, (config) => {
        const script = "echo before; truncate -s 1099511627776 /proc/self/fd/1";
        config.hooks = {
          startContainer: [{ path: "/bin/sh", args: ["sh", "-c", script], env: ["PATH=/bin:/usr/bin"] }],
        };
      }),
    );
    await container.started({ ...allowing(STDOUT), timeoutMs: 30_000 });
    const text = textOf(out);
    const note = `\nrunts: the output of this hook is truncated: ${2 ** 40} bytes, of which the first ${2 ** 20} are kept\n`;
    expect(text.slice(0, 7)).toBe("before\n");
    expect(text.slice(2 ** 20)).toBe(note);
  },
  { crun: "hooks hold the file itself, and its disk space is used as they use it", runc: IGNORED },
);

const pathDeviations = byCase(
  {
    both: "opens whatever is there, or nothing",
    cases: ["a symbolic link", "a fifo", "a device", "a relative path"],
  },
  { runc: IGNORED, cases: ["a directory", "in a missing directory"] },
);

for (const [what, place, words] of [
  ["a symbolic link", (path: string) => symlinkSync("/etc/passwd", path), "is not a regular file"],
  ["a fifo", (path: string) => execFileSync("mkfifo", [path]), "is not a regular file"],
  ["a device", (path: string) => execFileSync("mknod", [path, "c", "1", "3"]), "is not a regular file"],
  ["a directory", (path: string) => mkdirSync(path), "is not a regular file"],
  ["in a missing directory", () => undefined, "no such file or directory"],
  ["a relative path", () => undefined, "must be an absolute path"],
] as const) {
  spec(
    `create, ${STDOUT} ${what}: error that names it, nothing left`,
    PROMISE,
    async (sandbox) => {
      const given = sandbox.path("given");
      place(given);
      const before = readFileSync("/etc/passwd", "utf8");
      const path = what === "a relative path" ? "given" : what.startsWith("in") ? `${given}/missing` : given;
      const container = sandbox.shell(
        "true",
        annotated({ [STDOUT]: path }, (config) => {
          config.hooks = { createRuntime: [sayingHook("output")] };
        }),
      );
      const result = await container.create({ ...allowing(STDOUT), timeoutMs: 10_000 });
      expectRefusal(result, IS_RUNTS ? `/annotations/${STDOUT}: ` : undefined);
      expectRefusal(result, inOurWords(words));
      expect(readFileSync("/etc/passwd", "utf8")).toBe(before);
      expect(await sandbox.traces()).toEqual([]);
    },
    pathDeviations(what),
  );
}
