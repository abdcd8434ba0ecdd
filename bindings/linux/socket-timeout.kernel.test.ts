import { closeSync } from "node:fs";
import { expect, test } from "vitest";
import { AF_UNIX, SOCK_CLOEXEC, SOCK_STREAM } from "../abi/socket.ts";
import { syscall } from "../ffi/syscall.ts";
import { SyscallError } from "../syscall-error.ts";
import { setSocketTimeout, withTimeout } from "./socket-timeout.ts";

test("receiving from a silent peer fails after the limit", () => {
  const pair = new Int32Array(2);
  syscall("socketpair", [AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, new Uint8Array(pair.buffer)]);
  const [ours = -1, theirs = -1] = pair;
  try {
    setSocketTimeout(ours, 1);
    const receive = () => syscall("recvfrom", [ours, new Uint8Array(1), 1, 0, null, null]);
    expect(receive).toThrow(expect.objectContaining({ errno: "EAGAIN" }));
  } finally {
    for (const fd of [ours, theirs]) closeSync(fd);
  }
});

test("EAGAIN becomes ETIMEDOUT and names the missing event; other errors stay", () => {
  const error = withTimeout(new SyscallError("connect", "EAGAIN", ["x"]), "/run/agent.sock");
  expect(error).toMatchObject({ call: "connect", errno: "ETIMEDOUT", args: ["/run/agent.sock"] });
  const other = new SyscallError("connect", "ENOENT", ["x"]);
  expect(withTimeout(other, "/run/agent.sock")).toBe(other);
});
