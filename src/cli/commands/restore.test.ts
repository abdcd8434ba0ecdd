import { describe, expect, it } from "vitest";
import { criuDefaults } from "../options/criu.test-support.ts";
import { parsed } from "../parsed.test-support.ts";
import { restoreCommand, restoreOptionsFrom } from "./restore.ts";

function restore(...argv: string[]) {
  const { positionals, options } = parsed(restoreCommand, ...argv, "box");
  return restoreOptionsFrom(positionals[0], options);
}

describe("restoreOptionsFrom", () => {
  it("has runc's defaults", () => {
    expect(restore()).toEqual({
      ...criuDefaults(),
      id: "box",
      bundle: process.cwd(),
      tcpClose: false,
      detach: false,
      noSubreaper: false,
    });
  });

  it("takes the options that only restore has", () => {
    const paths = ["-b", "/b", "--console-socket", "c", "--pid-file", "p"];
    const labels = ["--lsm-profile", "apparmor:x", "--lsm-mount-context", "system_u:x"];
    expect(restore(...paths, ...labels, "-d", "--no-subreaper", "--no-pivot", "--tcp-close")).toMatchObject({
      bundle: "/b",
      consoleSocket: `${process.cwd()}/c`,
      pidFile: `${process.cwd()}/p`,
      detach: true,
      noSubreaper: true,
      tcpClose: true,
      lsmProfile: "apparmor:x",
      lsmMountContext: "system_u:x",
    });
  });
});
