import { closeSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { PR_SET_NAME } from "../../bindings/abi/prctl.ts";
import { pidfdOpen } from "../../bindings/linux/pidfd.ts";
import {
  channelPair,
  keepOnExec,
  openStubImage,
  STUB_NAME,
  StubChannel,
  spawnStub,
} from "../../bindings/stub/client.ts";
import { reapLostClone } from "./reap-lost-clone.ts";
import { runProgram } from "./run-program.ts";

test("reaps a stub that has ended, and none that waits", async () => {
  const [ended, waiting] = [startStub(), startStub()];
  await end(ended);
  reapLostClone();
  expect(isThere(ended.pid)).toBe(false);
  expect(isThere(waiting.pid)).toBe(true);
  await end(waiting);
  reapLostClone();
  expect(isThere(waiting.pid)).toBe(false);
});

/** With the name that the runtime gives it before it clones itself. */
function startStub() {
  const image = openStubImage();
  const [ours, theirs] = channelPair();
  keepOnExec(theirs);
  const pid = spawnStub(image, theirs);
  for (const fd of [image, theirs]) closeSync(fd);
  const channel = new StubChannel(ours);
  const program = channel.program();
  program.do("prctl", [PR_SET_NAME, STUB_NAME, 0, 0, 0]);
  runProgram(channel, program);
  return { pid, channel };
}

/** Until there is nothing to do but to reap it: on a busy machine that takes longer than the runtime waits. */
async function end({ pid, channel }: ReturnType<typeof startStub>): Promise<void> {
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
