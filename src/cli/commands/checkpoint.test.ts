import { describe, expect, it } from "vitest";
import { criuDefaults } from "../options/criu.test-support.ts";
import { parsed } from "../parsed.test-support.ts";
import { checkpointCommand, checkpointOptionsFrom } from "./checkpoint.ts";

function checkpoint(...argv: string[]) {
  const { positionals, options } = parsed(checkpointCommand, ...argv, "box");
  return checkpointOptionsFrom(positionals[0], options);
}

describe("checkpointOptionsFrom", () => {
  it("has runc's defaults", () => {
    expect(checkpoint()).toEqual({
      ...criuDefaults(),
      id: "box",
      leaveRunning: false,
      preDump: false,
      tcpSkipInFlight: false,
      linkRemap: false,
    });
  });

  it("takes every option of runc", () => {
    const paths = ["--image-path", "/i/../images", "--work-path", "work", "--parent-path", "../first"];
    const flags = [
      "leave-running",
      "tcp-established",
      "ext-unix-sk",
      "shell-job",
      "lazy-pages",
      "file-locks",
      "pre-dump",
      "auto-dedup",
      "tcp-skip-in-flight",
      "link-remap",
    ];
    const others = [
      "--status-fd",
      "7",
      "--page-server",
      "[::1]:1234",
      "--manage-cgroups-mode",
      "strict",
      "--empty-ns",
      "network",
      "--network-lock",
      "skip",
    ];
    expect(checkpoint(...paths, ...flags.map((name) => `--${name}`), ...others)).toEqual({
      imagePath: "/images",
      workPath: `${process.cwd()}/work`,
      parentPath: "../first",
      tcpEstablished: true,
      extUnixSk: true,
      shellJob: true,
      fileLocks: true,
      lazyPages: true,
      autoDedup: true,
      cgroupMode: "strict",
      networkLock: "skip",
      id: "box",
      leaveRunning: true,
      preDump: true,
      tcpSkipInFlight: true,
      linkRemap: true,
      pageServer: { address: "::1", port: 1234 },
      statusFd: 7,
    });
  });

  it("--status-fd -1 means no descriptor, as runc's default", () => {
    expect(checkpoint("--status-fd=-1")).not.toHaveProperty("statusFd");
  });

  it.each([
    [["--page-server", "host"], "use --page-server ADDRESS:PORT"],
    [["--page-server", ":1"], "use --page-server ADDRESS:PORT"],
    [["--page-server", "host:0"], "use --page-server ADDRESS:PORT"],
    [["--page-server", "host:65536"], "use --page-server ADDRESS:PORT"],
    [["--manage-cgroups-mode", "props"], "invalid manage-cgroups-mode value"],
    [["--empty-ns", "ipc"], 'namespace "ipc" is not supported'],
    [["--status-fd", "x"], "invalid --status-fd argument x"],
    [["--network-lock", "x"], "invalid network-lock value"],
  ])("refuses %j", (argv, words) => {
    expect(() => checkpoint(...argv)).toThrow(words);
  });
});
