import { describe, expect, it } from "vitest";
import { O_NOFOLLOW, S_IFDIR, S_IFREG } from "../../../bindings/abi/fcntl.ts";
import type { Mount } from "../../spec/types.ts";
import { howOf, plannedMounts, statx, summary, type TestPlanOptions } from "../plan.test-support.ts";
import { innerSource } from "./inner-sources.ts";

const VOLUME: Mount = { destination: "/a", source: "/volume", options: ["rbind"] };

function bind(source: string, ...options: readonly string[]): Mount {
  return { destination: "/b", source, options: ["rbind", ...options] };
}

/** The programs that run before the last one, as text; the last one; the inner sources. */
function planned(mounts: readonly Mount[], mode = S_IFDIR, facts: TestPlanOptions["facts"] = {}) {
  const earlier: string[][] = [];
  const { program, requests } = plannedMounts(mounts, {
    facts,
    runSoFar: (program) => {
      earlier.push(summary(program.operations));
      const outputs = program.outputs.map(() => statx(mode));
      program.clear();
      return { results: [], outputs, failure: undefined };
    },
  });
  return { earlier, program, inner: requests.map(({ inner }) => inner) };
}

describe("innerSource", () => {
  const rootfs = { rootfs: "/real/rootfs", given: "/bundle/rootfs" };
  const find = (source: string, earlier = ["/proc", "/a"], links: Readonly<Record<string, string>> = {}) => {
    const follow = (path: string) => links[path] ?? path.replace("/bundle", "/real");
    return innerSource(source, earlier, { ...rootfs, follow });
  };

  it.each([
    ["at an earlier mount", "/real/rootfs/a", "/a"],
    ["below an earlier mount", "/bundle/rootfs/a/b", "/a/b"],
    ["above an earlier mount", "/bundle/rootfs", "/"],
    ["at an earlier mount, spelled differently", "/bundle/./rootfs//a/", "/a"],
  ])("finds a source %s", (_title, source, inner) => expect(find(source)).toBe(inner));

  it("finds a source whose links lead to an earlier mount", () => {
    expect(find("/link/rootfs/x", ["/a"], { "/link/rootfs/x": "/real/rootfs/a/x" })).toBe("/a/x");
  });

  it.each([
    ["elsewhere", "/srv/a"],
    ["next to an earlier mount", "/bundle/rootfs/ab"],
    ["next to the rootfs", "/bundle/rootfs-2/a"],
  ])("finds nothing for a source %s", (_title, source) => expect(find(source)).toBeUndefined());

  it("finds nothing for a link of the image that leads out of the rootfs", () => {
    expect(find("/bundle/rootfs/a", ["/a"], { "/bundle/rootfs/a": "/etc" })).toBeUndefined();
  });

  it("finds nothing without an earlier mount", () => {
    expect(find("/bundle/rootfs/a", [])).toBeUndefined();
    expect(planned([bind("rootfs/a"), VOLUME]).inner).toEqual([undefined, undefined]);
  });

  it("does not follow the link itself with src-nofollow", () => {
    const facts = { followOnHost: (path: string) => path.replace("rootfs/link", "rootfs/a") };
    expect(planned([VOLUME, bind("rootfs/link")], S_IFDIR, facts).inner).toEqual([undefined, "/a"]);
    expect(planned([VOLUME, bind("rootfs/link", "src-nofollow")], S_IFDIR, facts).inner[1]).toBeUndefined();
  });

  it("ignores remounts", () => {
    const remount: Mount = { destination: "/a", options: ["remount", "ro"] };
    expect(planned([remount, bind("rootfs/a")]).inner).toEqual([undefined, undefined]);
  });
});

describe("a source in an earlier mount", () => {
  it("is opened after that mount: in the mount, or where its links lead in the container", () => {
    const { earlier, program } = planned([VOLUME, bind("rootfs/a/x")]);
    expect(earlier[0]?.slice(-3)).toEqual([
      "openat2 /bundle/rootfs/a/x",
      "openat2 /bundle/rootfs/a/x ?failed",
      "statx /a/x",
    ]);
    expect(summary(program.operations).slice(0, 3)).toEqual([
      "open_tree /bundle/rootfs/a/x",
      "close",
      "openat2 /b",
    ]);
  });

  it.each([
    ["a file", S_IFREG, "openat b ?failed"],
    ["a directory", S_IFDIR, "mkdirat b ?failed"],
  ])("gets %s as mount point if it is one", (_title, mode, made) => {
    expect(summary(planned([VOLUME, bind("rootfs/a/x")], mode).program.operations)).toContain(made);
  });

  it("is not followed if it is a link, with src-nofollow", () => {
    const flags: number[] = [];
    plannedMounts([VOLUME, bind("rootfs/a/x", "src-nofollow")], {
      runSoFar: (program) => {
        for (const operation of program.operations.slice(-3, -1)) flags.push(howOf(operation).flags);
        return { results: [], outputs: [statx(S_IFREG)], failure: undefined };
      },
    });
    expect(flags.map((bits) => bits & O_NOFOLLOW)).toEqual([O_NOFOLLOW, O_NOFOLLOW]);
  });
});
