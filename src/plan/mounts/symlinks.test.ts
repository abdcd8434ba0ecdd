import { expect, it } from "vitest";
import { AT_SYMLINK_NOFOLLOW, O_NOFOLLOW } from "../../../bindings/abi/fcntl.ts";
import { isData, type Program } from "../../../bindings/stub/program.ts";
import type { InitPlan, ReplyCheck } from "../init-plan.ts";
import { howOf, only, testPlan } from "../plan.test-support.ts";
import { makeMounts, openBindSources } from "./mounts.ts";
import { mountRequests } from "./requests.ts";

interface Planned {
  readonly program: Program;
  readonly checks: ReplyCheck[];
}

/** A bind mount of /source, a symbolic link to `target` on the host, on /a/link. */
function planned(options: readonly string[], facts: Partial<InitPlan["facts"]> = {}): Planned {
  const mount = { destination: "/a/link", source: "/source", options: ["bind", ...options] };
  const { program, plan } = testPlan(
    { mounts: [mount] },
    { facts: { linkTarget: () => "target", ...facts } },
  );
  const requests = mountRequests(plan);
  openBindSources(program, requests);
  const checks: ReplyCheck[] = [];
  makeMounts(program, plan, requests, checks);
  return { program, checks };
}

/** Runs the check on a reply in which the link could not be made, and readlinkat found this. */
function judged({ program, checks }: Planned, found: string, errno = 0): () => void {
  const results = program.operations.map(({ call }) => {
    if (call === "symlinkat") return -17;
    return call === "readlinkat" ? errno || found.length : 0;
  });
  const output = Buffer.alloc(4096);
  output.write(found);
  return () => checks.forEach((check) => void check({ results, outputs: [output], failure: undefined }));
}

it("copy-symlink makes the link in its directory, without opening or mounting anything", () => {
  const { program } = planned(["copy-symlink"]);
  expect(only(program, "open_tree")).toEqual([]);
  expect(only(program, "move_mount")).toEqual([]);
  expect(only(program, "symlinkat").map(({ args }) => [args[0], args[2]])).toEqual([["target", "link"]]);
});

it("copy-symlink of any other file is a bind mount", () => {
  const { program, checks } = planned(["copy-symlink"], { linkTarget: () => undefined });
  expect(only(program, "symlinkat")).toEqual([]);
  expect(only(program, "move_mount").length).toBeGreaterThan(0);
  expect(checks).toEqual([]);
});

it("copy-symlink onto an existing file: accepts only the same link", () => {
  const made = planned(["copy-symlink"]);
  expect(judged(made, "target")).not.toThrow();
  expect(judged(made, "targets")).toThrow("/mounts/0: /a/link exists and is not a symbolic link to target");
  expect(judged(made, "", -22)).toThrow(expect.objectContaining({ errno: "EEXIST", pointer: "/mounts/0" }));
});

it("src-nofollow opens the link itself, whose mount point is a file", () => {
  const { program } = planned(["src-nofollow"], { isDirectory: () => true });
  const flags = only(program, "open_tree").map(({ args }) => Number(args[2]) & AT_SYMLINK_NOFOLLOW);
  expect(flags).toEqual([AT_SYMLINK_NOFOLLOW, AT_SYMLINK_NOFOLLOW]);
  expect(only(program, "mkdirat").map(({ path }) => path)).toEqual(["a"]);
});

it("dest-nofollow opens the destination itself, and follows links above it", () => {
  const followed: string[] = [];
  const { program } = planned(["dest-nofollow"], {
    linkTarget: () => undefined,
    followDanglingLinks: (path) => {
      followed.push(path);
      return "/elsewhere";
    },
  });
  expect(followed).toEqual(["/a"]);
  const opened = only(program, "openat2").filter(({ path }) => path === "/elsewhere/link");
  expect(opened.map((operation) => howOf(operation).flags & O_NOFOLLOW)).toEqual([O_NOFOLLOW, O_NOFOLLOW]);
  expect(opened.every(({ args }) => isData(args[2]))).toBe(true);
});
