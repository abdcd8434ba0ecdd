import { type ChildProcess, spawn } from "node:child_process";
import { openSync, readFileSync, statSync } from "node:fs";
import { describe, expect, it, onTestFinished } from "vitest";
import { mountsOf } from "../../../bindings/linux/mount-info.ts";
import { freshDirectory, savedState } from "../record/status.test-support.ts";
import { inheritedStreams, standardStreams } from "./streams.ts";

function process(stdio: ("ignore" | number)[]): ChildProcess {
  const child = spawn("sleep", ["1000"], { stdio });
  onTestFinished(() => void child.kill("SIGKILL"));
  return child;
}

describe("standardStreams", () => {
  it("has files that are on none of the container's mounts, by their numbers in hexadecimal", () => {
    const path = `${freshDirectory()}/log`;
    const file = openSync(path, "a");
    const { pid = 0 } = process(["ignore", file, file]);
    const found = standardStreams(savedState({ pid }), [], false);
    const mount = /^mnt_id:\s*(\d+)$/m.exec(readFileSync(`/proc/${pid}/fdinfo/1`, "utf8"))?.[1];
    const name = `file[${Number(mount).toString(16)}:${statSync(path).ino.toString(16)}]`;
    expect(found).toEqual({ names: ["/dev/null", name, name], external: [name] });
  });

  it("has files of the container's own mounts by their path, and nothing for criu", () => {
    const path = `${freshDirectory()}/log`;
    const { pid = 0 } = process(["ignore", openSync(path, "a"), "ignore"]);
    const found = standardStreams(savedState({ pid }), mountsOf("self"), false);
    expect(found).toEqual({ names: ["/dev/null", path, "/dev/null"], external: [] });
  });

  it("has the pipes that were there when the container was made, whatever is there now", () => {
    const { pid = 0 } = process(["ignore", "ignore", "ignore"]);
    const pipes = ["", "pipe:[7]", "pipe:[8]"];
    expect(standardStreams(savedState({ pid, pipes }), mountsOf("self"), false).names).toEqual([
      "/dev/null",
      "pipe:[7]",
      "pipe:[8]",
    ]);
  });

  it("has nothing for a process that has none open", () => {
    expect(standardStreams(savedState({ pid: 0 }), [], false)).toEqual({ names: ["", "", ""], external: [] });
  });
});

describe("inheritedStreams", () => {
  it("has pipes, files and terminals, each name once", () => {
    expect(inheritedStreams(["tty[8800:1a]", "pipe:[7]", "pipe:[7]"])).toEqual([
      { key: "tty[8800:1a]", stream: 0 },
      { key: "pipe:[7]", stream: 1 },
    ]);
    expect(inheritedStreams(["file[9:c]", "", "/dev/null", "pipe:[3]"])).toEqual([
      { key: "file[9:c]", stream: 0 },
    ]);
  });
});
