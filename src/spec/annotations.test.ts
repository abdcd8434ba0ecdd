import { describe, expect, test } from "vitest";
import {
  ANNOTATIONS_TO_ALLOW,
  allowedAnnotations,
  annotationProblems,
  DELEGATE_CGROUP,
  SUBGROUP,
} from "./annotations.ts";
import { thrown } from "./thrown.test-support.ts";
import type { Config } from "./types.ts";

function annotated(annotations: Record<string, string>): Config {
  return { ociVersion: "1.2.0", root: { path: "rootfs" }, linux: {}, annotations };
}

const HOST = Object.fromEntries(ANNOTATIONS_TO_ALLOW.map((key) => [key, "/run/named"]));

describe("allowedAnnotations", () => {
  test("returns what is allowed, and nothing of other annotations", () => {
    const config = annotated({ ...HOST, [SUBGROUP]: "inner", "org.example": "x" });
    expect(allowedAnnotations(config, ANNOTATIONS_TO_ALLOW)).toEqual(HOST);
    expect(allowedAnnotations(annotated({ "run.oci.unheard": "x" }), [])).toEqual({});
  });

  test.each(ANNOTATIONS_TO_ALLOW)("refuses %s without the caller's word, by its pointer", (key) => {
    const others = ANNOTATIONS_TO_ALLOW.filter((other) => other !== key);
    const error = thrown(() => allowedAnnotations(annotated(HOST), others));
    expect(error.pointer).toBe(`/annotations/${key}`);
    expect(error.message).toContain(`--allow-annotation ${key}`);
  });

  test("refuses a path that is not absolute, also an empty one", () => {
    for (const value of ["", "log", "/a\0b"])
      expect(annotationProblems(annotated({ "run.oci.hooks.stdout": value }), ANNOTATIONS_TO_ALLOW)).toEqual([
        { pointer: "/annotations/run.oci.hooks.stdout", message: "must be an absolute path" },
      ]);
  });
});

describe("annotationProblems", () => {
  test.each(["..", "/a", "a/", "a//b", "a/../b", "./a", "a\nb", `${"x/".repeat(127)}xy`])(
    "refuses the cgroup %j",
    (path) => {
      for (const key of [SUBGROUP, DELEGATE_CGROUP])
        expect(annotationProblems(annotated({ [key]: path }), []).map(({ pointer }) => pointer)).toEqual([
          `/annotations/${key}`,
        ]);
    },
  );

  test.each(["a", "a/b", "..a", "container", `${"x/".repeat(127)}x`])("takes the cgroup %j", (path) => {
    const config = annotated({ [SUBGROUP]: path });
    expect(annotationProblems(config, [])).toEqual([]);
  });

  test("accepts an empty cgroup", () => {
    expect(annotationProblems(annotated({ [SUBGROUP]: "" }), [])).toEqual([]);
  });

  test("refuses what runts doesn't have, whatever is allowed", () => {
    const keys = ["run.oci.handler", "run.oci.seccomp.plugins", "run.oci.seccomp_bpf_data"];
    const config = annotated(Object.fromEntries(keys.map((key) => [key, "x"])));
    const problems = annotationProblems(config, [...ANNOTATIONS_TO_ALLOW, ...keys]);
    expect(problems.map(({ pointer }) => pointer)).toEqual(keys.map((key) => `/annotations/${key}`));
    for (const { message } of problems) expect(message).toMatch(/^is not supported: /);
  });
});
