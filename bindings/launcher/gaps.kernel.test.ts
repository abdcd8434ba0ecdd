import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { targets } from "./targets.test-support.ts";

/** Closed descriptors among those that the caller passes: which gaps are reported to the engine, and how they are plugged. */
describe.each(targets)("launcher, closed descriptors: $name", ({ skipReason, emulator, prepare }) => {
  if (skipReason !== false) {
    test.skip(`skipped: ${skipReason}`, () => {});
    return;
  }
  const directory = mkdtempSync(join(tmpdir(), "runts-launcher-"));
  let launcher = "";
  beforeAll(() => {
    launcher = prepare(directory);
    // Uses only shell builtins and readlink, whose own descriptors have other numbers, to tell whether a number is closed or what it is.
    const kinds = "for fd in $LOOK; do readlink /proc/$$/fd/$fd || echo closed; done";
    const engine = `#!/bin/sh\necho "$RUNTS_FDS"; echo "$RUNTS_GAPS"\n${kinds}\n`;
    writeFileSync(join(directory, "runts-engine"), engine.replace("$LOOK", "3 4 5 6 7"), { mode: 0o755 });
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  /** Closes descriptors that the test run may have inherited. */
  const CLOSED = 'for ((fd = 3; fd < 1100; fd++)); do eval "exec $fd<&-"; done';
  const EVENTFD = "anon_inode:[eventfd]";

  /** Runs the launcher in a shell that has run `preparation` before; returns the lines that the engine prints. */
  function launch(preparation: string, args: readonly string[]): string[] {
    const { stdout, stderr } = spawnSync(
      "bash",
      ["-c", `${CLOSED}\n${preparation}\nexec "$@"`, "bash", ...emulator, launcher, ...args],
      { encoding: "utf8", timeout: 20_000 },
    );
    expect(stderr).toBe("");
    return stdout.trimEnd().split("\n");
  }

  const summary = (preparation: string, ...args: string[]): string => {
    const [count, gaps] = launch(preparation, args);
    return `${count}: ${gaps}`;
  };

  test.each([
    [["run", "--preserve-fds", "4", "id"], "4: 3-6"],
    [["run", "--preserve-fds=4", "id"], "4: 3-6"],
    [["run", "-preserve-fds", "4", "id"], "4: 3-6"],
    [["run", "-preserve-fds=4"], "4: 3-6"],
    [["--root", "/x", "run", "--bundle", "/y", "id", "--preserve-fds", "4"], "4: 3-6"],
    [["run", "--preserve-fds", "2", "--preserve-fds", "4", "--preserve-fds=1"], "4: 3-6"],
    [["run", "id"], "0: "],
    [["run", "--preserve-fds", "0"], "0: "],
    [["run", "--preserve-fds"], "0: "],
    [["run", "--preserve-fds="], "0: "],
    [["run", "--preserve-fds", "4x"], "0: "],
    [["run", "--preserve-fds", "-4"], "0: "],
    [["run", "--preserve-fds-of", "4"], "0: "],
    [["run", "---preserve-fds", "4"], "0: "],
    [["run", "preserve-fds", "4"], "0: "],
    [[], "0: "],
  ])("%j: %s", (args, expected) => {
    expect(summary("", ...args)).toBe(expected);
  });

  test.each([
    ["exec 3</dev/null 4</dev/null 5</dev/null 6</dev/null", "4: "],
    ["exec 4</dev/null", "4: 3-3,5-6"],
    ["exec 3</dev/null 5</dev/null", "4: 4-4,6-6"],
    ["exec 6</dev/null 7</dev/null", "5: 3-5"],
    ["exec 8</dev/null", "4: 3-6"],
    ["exec <&-", "4: 3-6"],
    ["export LISTEN_FDS=2", "6: 3-8"],
    ["export LISTEN_FDS=2; exec 3</dev/null 4</dev/null", "6: 5-8"],
    ["export LISTEN_FDS=x", "4: 3-6"],
    ["export LISTEN_FDS=1021", "0: "],
  ])("--preserve-fds 4 after %s: %s", (preparation, expected) => {
    expect(summary(preparation, "run", "--preserve-fds", "4")).toBe(expected);
  });

  test("gaps among LISTEN_FDS alone are not filled", () => {
    expect(summary("export LISTEN_FDS=2; exec 4</dev/null", "run", "id")).toBe("0: ");
  });

  test("eventfds take the closed numbers, and open descriptors stay", () => {
    const lines = launch("exec 4</dev/null 6</dev/zero", ["exec", "--preserve-fds", "4"]).slice(2);
    expect(lines).toEqual([EVENTFD, "/dev/null", EVENTFD, "/dev/zero", "closed"]);
  });

  test.each([
    [100, 33, "0: "],
    [100, 32, "32: 3-34"],
    [2000, 1024, "1024: 3-1026"],
    [2000, 1025, "0: "],
    [2000, 999_999_999, "0: "],
  ])("limit of open files %i, --preserve-fds %i: %s", (limit, number, expected) => {
    expect(summary(`ulimit -Sn ${limit}`, "run", "--preserve-fds", String(number))).toBe(expected);
  });

  test("lists every gap if each second of 1024 numbers is closed", () => {
    const open = 'for ((fd = 4; fd < 1027; fd += 2)); do eval "exec $fd</dev/null"; done';
    const gaps = Array.from({ length: 512 }, (_, index) => `${3 + 2 * index}-${3 + 2 * index}`);
    expect(summary(`ulimit -Sn 2000; ${open}`, "run", "--preserve-fds", "1024")).toBe(
      `1024: ${gaps.join(",")}`,
    );
  });
});
