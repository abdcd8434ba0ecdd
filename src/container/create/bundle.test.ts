import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { Config } from "../../spec/types.ts";
import { freshDirectory } from "../record/status.test-support.ts";
import { rootfsOf } from "./bundle.ts";

describe("rootfsOf", () => {
  const config = (path: string): Config => ({ ociVersion: "1.3.0", root: { path } });

  it("is absolute and without links, from the bundle on", () => {
    const bundle = freshDirectory();
    mkdirSync(`${bundle}/real`);
    symlinkSync("real", `${bundle}/rootfs`);
    expect(rootfsOf(config("rootfs"), bundle)).toBe(`${bundle}/real`);
    expect(rootfsOf(config(`${bundle}/rootfs`), "/elsewhere")).toBe(`${bundle}/real`);
  });

  it("must be a directory that is there", () => {
    const bundle = freshDirectory();
    writeFileSync(`${bundle}/file`, "");
    expect(() => rootfsOf(config("file"), bundle)).toThrow(`/root/path: ${bundle}/file is not a directory`);
    expect(() => rootfsOf(config("missing"), bundle)).toThrow(
      expect.objectContaining({ errno: "ENOENT", pointer: "/root/path" }),
    );
  });
});
