import { closeSync, readFileSync } from "node:fs";
import { afterEach, expect, test } from "vitest";
import { PR_SET_NAME } from "../../bindings/abi/prctl.ts";
import { pidfdOpen } from "../../bindings/linux/pidfd.ts";
import { killAndReap } from "../../bindings/linux/reap.ts";
import {
  channelPair,
  keepOnExec,
  openStubImage,
  STUB_NAME,
  StubChannel,
  spawnStub,
} from "../../bindings/stub/client.ts";
import { reapLostClone, rememberClone } from "./reap-lost-clone.ts";
import { runProgram } from "./run-program.ts";

interface Started {
  readonly pid: number;
  readonly channel: StubChannel;
}

const started: Started[] = [];

afterEach(() => {
  for (const { pid, channel } of started.splice(0)) {
    channel.close();
    killAndReap(pid);
  }
});

test("a clone that nobody knows is ended and reaped, one that is known or has another name stays", async () => {
  const [ended, lost, known, other] = [startStub(), startStub(), startStub(), startStub("another")];
  await end(ended);
  rememberClone(known.pid);
  reapLostClone();
  expect([ended, lost, known, other].map(({ pid }) => isThere(pid))).toEqual([false, false, true, true]);
});

/** With the name that the runtime gives it before it clones itself. */
function startStub(name = STUB_NAME): Started {
  const image = openStubImage();
  const [ours, theirs] = channelPair();
  keepOnExec(theirs);
  const pid = spawnStub(image, theirs);
  for (const fd of [image, theirs]) closeSync(fd);
  const channel = new StubChannel(ours);
  const program = channel.program();
  program.do("prctl", [PR_SET_NAME, name, 0, 0, 0]);
  runProgram(channel, program);
  const stub = { pid, channel };
  started.push(stub);
  return stub;
}

/** Until there is nothing to do but to reap it: on a busy machine that takes longer than the runtime waits. */
async function end({ pid, channel }: Started): Promise<void> {
  channel.close();
  const stat = () => readFileSync(`/proc/${pid}/stat`, "latin1");
  await expect.poll(stat, { timeout: 20_000 }).toMatch(/\) Z /);
}

function isThere(pid: number): boolean {
  const pidfd = pidfdOpen(pid);
  if (pidfd === undefined) return false;
  closeSync(pidfd);
  return true;
}
