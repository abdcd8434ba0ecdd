import { closeSync, mkdtempSync, rmSync, symlinkSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { waitReadable } from "../../bindings/linux/poll.ts";
import { killAndReap } from "../../bindings/linux/reap.ts";
import {
  channelPair,
  keepOnExec,
  openStubImage,
  StubChannel,
  spawnStub,
} from "../../bindings/stub/client.ts";
import { ContainerFiles } from "./container-file.ts";

const OVER = "the time for looking at the container's files is over";

let directory: string;
let channel: StubChannel;
let theirs: number;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "runts-container-file-"));
  const [ours, other] = channelPair();
  channel = new StubChannel(ours);
  theirs = other;
});
afterEach(() => {
  channel.close();
  closeSync(theirs);
  rmSync(directory, { recursive: true });
});

test("a stub that answers: links and parts of files are what they are", () => {
  writeFileSync(join(directory, "file"), "0123456789");
  symlinkSync("b/../../missing", join(directory, "a"));
  symlinkSync(directory, join(directory, "b"));
  const image = openStubImage();
  keepOnExec(theirs);
  const pid = spawnStub(image, theirs);
  closeSync(image);
  try {
    const files = new ContainerFiles(channel, performance.now() + 60_000);
    expect(files.follow(`${directory}/b/b/file`)).toMatchObject({
      kind: "file",
      file: { path: `${directory}/file`, size: 10 },
    });
    expect(files.follow(`${directory}/a`)).toMatchObject({ kind: "missing" });
    expect(Buffer.from(files.readPart(`${directory}/file`, 3, 100) ?? []).toString()).toBe("3456789");
    expect(files.readPart(`${directory}/missing`, 0, 1)).toBeUndefined();
  } finally {
    killAndReap(pid);
  }
});

test("once the time is over nothing is asked for any more", () => {
  const files = new ContainerFiles(channel, performance.now());
  expect(() => files.follow("/")).toThrow(OVER);
  expect(() => files.readPart("/", 0, 1)).toThrow(OVER);
  expect(waitReadable(theirs, 0)).toBe(false);
});

test("a stub that answers with a part of a reply, and then no more, is waited for until the time is over", () => {
  writeSync(theirs, Buffer.from(Uint32Array.of(3, 0).buffer));
  const files = new ContainerFiles(channel, performance.now() + 100);
  expect(() => files.follow("/")).toThrow(OVER);
});
