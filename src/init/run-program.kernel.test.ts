import { closeSync } from "node:fs";
import { expect, test } from "vitest";
import { channelPair, StubChannel } from "../../bindings/stub/client.ts";
import { runProgram } from "./run-program.ts";

test("a process that hangs up: the error does not say which one it was, since it may be init, one of exec, or a hook", () => {
  const [ours, theirs] = channelPair();
  const channel = new StubChannel(ours);
  const program = channel.program();
  program.about("/hostname", "set the host name").do("sethostname", ["box", 3]);
  closeSync(theirs);
  try {
    expect(() => runProgram(channel, program)).toThrow(
      expect.objectContaining({
        name: "RuntsError",
        errno: "EPIPE",
        message:
          'the process that was being set up ended (from "set the host name" on): is its memory limit too low?',
      }),
    );
  } finally {
    channel.close();
  }
});
