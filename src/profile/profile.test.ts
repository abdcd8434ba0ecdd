import { expect, it } from "vitest";
import { O_RDONLY } from "../../bindings/abi/fcntl.ts";
import { trySyscall } from "../../bindings/ffi/syscall.ts";
import { closeSync, openSync } from "../../bindings/linux/files.ts";
import { Profile } from "./profile.ts";

it("takes the path of a call from a path, not from a buffer that the kernel fills", () => {
  const profile = new Profile("start", "box");
  const fd = openSync("/dev/null", O_RDONLY);
  const buffer = Buffer.alloc(64);
  buffer.write("/text of an earlier call");
  trySyscall("read", fd, buffer, buffer.length);
  closeSync(fd);
  const { calls } = profile.finish({ exitCode: 0 });
  expect(calls.map(({ call, path }) => [call, path])).toEqual([
    ["openat", "/dev/null"],
    ["read", ""],
    ["close", ""],
  ]);
});
