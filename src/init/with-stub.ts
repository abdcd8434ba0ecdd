import { OwnedDescriptor } from "../../bindings/linux/owned-descriptor.ts";
import { killAndReap } from "../../bindings/linux/reap.ts";
import {
  channelPair,
  keepOnExec,
  openStubImage,
  StubChannel,
  spawnStub,
} from "../../bindings/stub/client.ts";

/** Runs an action with a stub that has the runtime's own namespaces and rights, and ends the stub. */
export function withStub<T>(action: (channel: StubChannel, pid: number) => T): T {
  const image = new OwnedDescriptor(openStubImage());
  const [ours, theirs] = channelPair();
  const channel = new StubChannel(ours);
  const passedOn = [image, new OwnedDescriptor(theirs)];
  let pid: number | undefined;
  try {
    keepOnExec(theirs);
    pid = spawnStub(image.number, theirs);
    for (const descriptor of passedOn) descriptor.close();
    return action(channel, pid);
  } finally {
    for (const descriptor of passedOn) descriptor.close();
    channel.close();
    if (pid !== undefined) killAndReap(pid, "end the stub, which has done its work");
  }
}
