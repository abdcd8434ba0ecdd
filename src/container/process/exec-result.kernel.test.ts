import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { MSG_NOSIGNAL } from "../../../bindings/abi/socket.ts";
import { callKernel, substituteKernel, syscall } from "../../../bindings/ffi/syscall.ts";
import { channelPair } from "../../../bindings/stub/client.ts";
import { checkHasExecuted, readFailure } from "./exec-result.ts";

const ENOENT = 2;
const OPERATIONS = 3;

let ours = -1;
let longest = 0;

beforeEach(() => {
  longest = 0;
  substituteKernel((name, args) => {
    if (name === "recvfrom") longest = Math.max(longest, Number(args[2]));
    return callKernel(name, args);
  });
});

afterEach(() => {
  substituteKernel(undefined);
  if (ours >= 0) closeSync(ours);
  ours = -1;
});

/** Reads the answer of a process that sends so many bytes of these numbers, and hangs up. */
function readOf(words: readonly number[], length = 4 * words.length) {
  const [first, theirs] = channelPair();
  ours = first;
  const bytes = new Uint8Array(Uint32Array.from(words).buffer).subarray(0, length);
  if (length > 0) syscall("sendto", [theirs, bytes, length, MSG_NOSIGNAL]);
  closeSync(theirs);
  return readFailure(ours, OPERATIONS);
}

test("a process that hangs up without an answer has executed its program", () => {
  expect(readOf([])).toBeUndefined();
});

test("the operation that failed, and its errno", () => {
  expect(readOf([2, ENOENT, 0, 0, 0, 0])).toEqual({ index: 1, errno: ENOENT });
});

describe("an invalid reply is a protocol error of one line, and takes no memory:", () => {
  test.each([
    ["a part of a reply", [2, ENOENT], 7],
    ["a reply whose results are missing", [2, ENOENT, 0, 0], 16],
    ["the reply of a program that has succeeded", [3, 0, 0, 0, 0, 0, 0, 0], 32],
    ["more operations than there are", [4, ENOENT, 0, 0, 0, 0, 0, 0, 0, 0], 40],
    ["as many operations as a number holds", [0xffffffff, ENOENT], 8],
    ["an error that the kernel does not have", [1, 0xffffffff, 0, 0], 16],
  ])("%s", (_, words, length) => {
    expect(() => readOf(words, length)).toThrow(
      expect.objectContaining({
        name: "RuntsError",
        errno: "EPROTO",
        message: expect.stringMatching(/^.+$/),
      }),
    );
    expect(longest).toBeLessThanOrEqual(8 * OPERATIONS);
  });
});

test.each(["start", "exec"] as const)(
  "a process that has not executed a program: the error names the operation %s",
  async (operation) => {
    // The subshell is a fork of the shell, and waits for its input.
    const shell = spawn("sh", ["-c", "exec 3<&0; (echo forked; read -r line <&3) & echo $!; wait"]);
    onTestFinished(() => void shell.stdin.end());
    let output = "";
    shell.stdout.on("data", (text) => (output += text));
    while (!output.includes("forked\n") || !/\d\n/.test(output)) await once(shell.stdout, "data");
    const pid = Number(/\d+/.exec(output)?.[0]);
    expect(() =>
      checkHasExecuted(operation, pid, () => ({ ociVersion: "1.2.0", root: { path: "r" } })),
    ).toThrow(expect.objectContaining({ name: "RuntsError", operation, pointer: "/process" }));
  },
);
