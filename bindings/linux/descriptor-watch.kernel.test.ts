import { describe, expect, it, onTestFinished } from "vitest";
import { EFD_CLOEXEC, O_CLOEXEC } from "../abi/fcntl.ts";
import { syscall } from "../ffi/syscall.ts";
import { DescriptorWatch } from "./descriptor-watch.ts";
import { closeSync, readSync, writeSync } from "./files.ts";

const one = () => new Uint8Array(BigUint64Array.of(1n).buffer);

function eventfd(): number {
  const fd = syscall("eventfd2", [0, EFD_CLOEXEC]);
  onTestFinished(() => closeSync(fd));
  return fd;
}

const inAMoment = (ms = 30) => new Promise<"nothing">((resolve) => setTimeout(() => resolve("nothing"), ms));

describe("DescriptorWatch", () => {
  it("resolves the wait for a readable descriptor, and no other", async () => {
    const watch = new DescriptorWatch();
    const [first, second] = [eventfd(), eventfd()];
    const waits = [watch.wait(first), watch.wait(second)] as const;
    writeSync(second, one());
    await waits[1].readable;
    expect(await Promise.race([waits[0].readable, inAMoment()])).toBe("nothing");
    writeSync(first, one());
    await waits[0].readable;
  });

  it("notices a descriptor that is added during a wait, for more descriptors than the pool has threads", async () => {
    const watch = new DescriptorWatch();
    const fds = Array.from({ length: 9 }, eventfd);
    const waits = fds.map((fd) => watch.wait(fd));
    await inAMoment(10);
    const late = eventfd();
    writeSync(late, one());
    await watch.wait(late).readable;
    for (const fd of fds) writeSync(fd, one());
    await Promise.all(waits.map(({ readable }) => readable));
  });

  it("forgets a wait that is cancelled, and can wait for the same descriptor again", async () => {
    const watch = new DescriptorWatch();
    const fd = eventfd();
    const cancelled = watch.wait(fd);
    cancelled.cancel();
    writeSync(fd, one());
    expect(await Promise.race([cancelled.readable, inAMoment()])).toBe("nothing");
    await watch.wait(fd).readable;
    readSync(fd, new Uint8Array(8));
  });

  it("does not take readiness of a closed descriptor for that of a new one with its number", async () => {
    const watch = new DescriptorWatch();
    const [old, other] = [eventfd(), eventfd()];
    writeSync(old, one());
    watch.wait(old).cancel();
    // The thread has polled it, but the event loop has not seen the result yet.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
    syscall("dup3", [other, old, O_CLOEXEC]);
    expect(await Promise.race([watch.wait(old).readable, inAMoment()])).toBe("nothing");
    writeSync(other, one());
  });
});
