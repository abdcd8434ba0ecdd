import { describe, expect, it } from "vitest";
import { parseConfig } from "./config.ts";
import { LANDLOCK_ANNOTATION, LANDLOCK_POINTER, landlockOf } from "./landlock.ts";
import { thrown } from "./thrown.test-support.ts";
import type { Config } from "./types.ts";

function configWith(text: string, noNewPrivileges = true): Config {
  return {
    ociVersion: "1.3.0",
    root: { path: "rootfs" },
    process: { cwd: "/", args: ["true"], noNewPrivileges },
    annotations: { [LANDLOCK_ANNOTATION]: text },
  };
}

/** The issues of a config with this annotation, each as `pointer: message`, the pointers relative to the annotation. */
function issuesOf(annotation: unknown): string[] {
  const text = typeof annotation === "string" ? annotation : JSON.stringify(annotation);
  return thrown(() => parseConfig(JSON.stringify(configWith(text)), "config.json")).issues.map(
    ({ pointer, message }) => `${pointer.replace(LANDLOCK_POINTER, "")}: ${message}`,
  );
}

const handledAccess = { handledAccessFS: ["execute", "read_file"], handledAccessNetwork: ["bind"] };

describe("landlockOf", () => {
  it("reads rights, rules, scopes and flags, each with its pointer", () => {
    const landlock = landlockOf(
      configWith(
        JSON.stringify({
          handledAccess: { ...handledAccess, scoped: ["signal"] },
          rules: {
            pathBeneath: [{ allowedAccess: ["read_file"], paths: ["/usr", "/etc"] }],
            networkPort: [{ allowedAccess: ["bind"], ports: [0, "443", 65535] }],
          },
          restrictSelfFlags: ["log_new_exec_on"],
          enableBestEffort: false,
        }),
      ),
    );
    expect(landlock?.handledAccess.files.words).toEqual(["execute", "read_file"]);
    expect(landlock?.handledAccess.scopes.pointer).toBe(`${LANDLOCK_POINTER}/handledAccess/scoped`);
    const pathsAt = `${LANDLOCK_POINTER}/rules/pathBeneath/0/paths`;
    expect(landlock?.paths[0]?.objects).toEqual([
      { pointer: `${pathsAt}/0`, object: "/usr" },
      { pointer: `${pathsAt}/1`, object: "/etc" },
    ]);
    expect(landlock?.ports[0]?.objects.map(({ object }) => object)).toEqual([0, 443, 65535]);
    expect(landlock?.flags.words).toEqual(["log_new_exec_on"]);
    expect(landlock?.bestEffort).toBe(false);
  });

  it("is best effort by default, and undefined without the annotation", () => {
    expect(landlockOf(configWith(JSON.stringify({ handledAccess })))?.bestEffort).toBe(true);
    expect(landlockOf({ ociVersion: "1.3.0", root: { path: "/" } })).toBeUndefined();
  });
});

describe("a config with the annotation", () => {
  it.each<[title: string, annotation: unknown, issues: readonly string[]]>([
    ["text that is not JSON", "{", [": not valid JSON at column 2: "]],
    [
      "a name twice",
      '{"handledAccess":{"scoped":["signal"]},"handledAccess":{}}',
      ["/handledAccess: duplicate name"],
    ],
    ["a list instead of the object", [], [": must be an object"]],
    ["nothing that is handled", {}, ["/handledAccess: must name a right or a scope"]],
    [
      "empty lists",
      { handledAccess: { handledAccessFS: [], scoped: [] } },
      ["/handledAccess: must name a right or a scope"],
    ],
    [
      "an unknown property",
      { handledAccess, ruleset: {} },
      ["/ruleset: is unknown: it must be one of handled"],
    ],
    [
      "the property of the pull request's first form",
      { handledAccess, disableBestEffort: true },
      ["/disableBestEffort: is unknown"],
    ],
    [
      "an unknown right",
      { handledAccess: { handledAccessFS: ["execute", "chmod"] } },
      ["/handledAccess/handledAccessFS/1: must be one of execute, write_file, "],
    ],
    [
      "a right that is not handled",
      { handledAccess, rules: { pathBeneath: [{ allowedAccess: ["refer"], paths: ["/"] }] } },
      ["/rules/pathBeneath/0/allowedAccess/0: refer is allowed but not handled"],
    ],
    [
      "a relative path",
      { handledAccess, rules: { pathBeneath: [{ allowedAccess: ["execute"], paths: ["/bin", "usr"] }] } },
      ["/rules/pathBeneath/0/paths/1: must be an absolute path"],
    ],
    [
      "a path with a NUL",
      { handledAccess, rules: { pathBeneath: [{ allowedAccess: ["execute"], paths: ["/b\0in"] }] } },
      ["/rules/pathBeneath/0/paths/0: must be an absolute path"],
    ],
    [
      "wrong ports",
      {
        handledAccess,
        rules: { networkPort: [{ allowedAccess: ["bind"], ports: [65536, -1, 1.5, "http", null] }] },
      },
      [0, 1, 2, 3, 4].map((index) => `/rules/networkPort/0/ports/${index}: must be a port from 0 to 65535`),
    ],
    [
      "a rule without rights and paths",
      { handledAccess, rules: { pathBeneath: [{ allowedAccess: [] }] } },
      [
        "/rules/pathBeneath/0/allowedAccess: must not be empty",
        "/rules/pathBeneath/0/paths: must not be empty",
      ],
    ],
    [
      "too many paths",
      {
        handledAccess,
        rules: {
          pathBeneath: [1, 4096].map((n) => ({ allowedAccess: ["execute"], paths: Array(n).fill("/") })),
        },
      },
      ["/rules/pathBeneath: must not have more than 4096 paths in all"],
    ],
    [
      "an unknown flag, and a word instead of a boolean",
      { handledAccess, restrictSelfFlags: ["tsync"], enableBestEffort: "yes" },
      ["/restrictSelfFlags/0: must be one of log_same_exec_off", "/enableBestEffort: must be a boolean"],
    ],
  ])("is refused for %s", (_title, annotation, expected) => {
    const issues = issuesOf(annotation);
    expect(issues).toHaveLength(expected.length);
    for (const [index, text] of expected.entries()) expect(issues[index]).toContain(text);
  });

  it("has the line of the annotation in its issues", () => {
    const text = JSON.stringify(configWith('{"handledAccess":{"scoped":["x"]}}'), undefined, 1);
    const line = 1 + text.split("\n").findIndex((part) => part.includes(LANDLOCK_ANNOTATION));
    expect(thrown(() => parseConfig(text, "config.json")).issues[0]?.line).toBe(line);
  });

  it("needs no_new_privs", () => {
    const config = configWith(JSON.stringify({ handledAccess }), false);
    expect(thrown(() => parseConfig(JSON.stringify(config), "config.json")).issues).toMatchObject([
      {
        pointer: "/process/noNewPrivileges",
        message: `must be true with the annotation ${LANDLOCK_ANNOTATION}`,
      },
    ]);
  });
});
