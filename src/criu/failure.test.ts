import { describe, expect, it } from "vitest";
import { failureError } from "./failure.ts";
import { errorsOfLog } from "./log.ts";
import type { CriuResponse } from "./messages.ts";

/** A log of criu 4.1.1. */
const LOG = `(00.000571) Error (criu/util.c:1533): rlimit: Can't setup RLIMIT_NOFILE for self: Operation not permitted
(00.142927) 71 fdinfo 1: pos:                0 flags:           100001/0
(00.148839) Error (criu/files-reg.c:1790): Can't lookup mount=54 for fd=1 path=/tmp/out
(00.148851) Error (criu/cr-dump.c:1681): Dump files (pid: 71) failed with -1
pie: 1: Error (criu/pie/parasite.c:99): Can't do it
(00.205919) Error (criu/cr-dump.c:2111): Dumping FAILED.
`;

const response: CriuResponse = {
  type: "DUMP",
  success: false,
  errno: 0,
  message: "",
  notify: undefined,
  restoredPid: undefined,
  features: new Set(),
  version: undefined,
};

const failure = {
  type: "DUMP",
  response,
  end: "criu ended with exit status 1",
  log: LOG,
  logPath: "/w/dump.log",
} as const;

describe("errorsOfLog", () => {
  it("has the causes, without conclusions and harmless errors", () => {
    expect(errorsOfLog(LOG)).toEqual([
      "Error (criu/files-reg.c:1790): Can't lookup mount=54 for fd=1 path=/tmp/out",
      "Error (criu/pie/parasite.c:99): Can't do it",
    ]);
  });

  it("parses the lines of a restored process", () => {
    const log = "(00.059180)      1: Error (criu/files-reg.c:2175): File fd/1 has bad size 0 (expect 49)";
    expect(errorsOfLog(log)).toEqual(["Error (criu/files-reg.c:2175): File fd/1 has bad size 0 (expect 49)"]);
  });

  it("has the conclusion if there is nothing else, and at most three distinct lines", () => {
    expect(errorsOfLog("(1.0) Error (criu/cr-dump.c:2111): Dumping FAILED.")).toHaveLength(1);
    const many = ["a", "b", "b", "c", "d"].map((name) => `(1.0) Error (x.c:1): ${name}`).join("\n");
    expect(errorsOfLog(many).map((line) => line.slice(-1))).toEqual(["a", "b", "c"]);
  });

  it("ignores other lines", () => {
    expect(errorsOfLog("(1.0) Warn  (x.c:1): Error (of another kind)\n(1.0) no Error (here)")).toEqual([]);
  });
});

describe("failureError", () => {
  it("names the causes and the log in one line, without the words at which containerd cuts it off", () => {
    const { message, operation, path } = failureError(failure);
    expect(message).toBe(
      "criu failed: type DUMP: Error (criu/files-reg.c:1790): Can't lookup mount=54 for fd=1 path=/tmp/out; " +
        "Error (criu/pie/parasite.c:99): Can't do it; log file: /w/dump.log",
    );
    expect(message).not.toMatch(/errno 0|\n/);
    expect({ operation, path }).toEqual({ operation: "criu", path: "/w/dump.log" });
  });

  it("has the errno, and criu's message if the log has no error", () => {
    const error = failureError({
      ...failure,
      log: "",
      response: { ...response, errno: 17, message: "no way" },
    });
    expect(error.message).toBe(
      "criu failed: type DUMP errno 17 (file exists): no way; log file: /w/dump.log",
    );
    expect(error.errno).toBe("EEXIST");
  });

  it("says how criu exited without a response, and does not name a missing log", () => {
    const error = failureError({ ...failure, response: undefined, log: undefined });
    expect(error.message).toBe("criu failed: type DUMP, criu ended with exit status 1");
  });
});
