import { closeSync, mkdtempSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { callKernel, substituteKernel } from "../ffi/syscall.ts";
import { bindDatagram, connectDatagram, receiveDatagram } from "./unix-datagram.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "runts-datagram-"));
});
afterEach(() => {
  substituteKernel(undefined);
  rmSync(directory, { recursive: true });
});

test("every user may send to the socket, whatever the umask", () => {
  const before = process.umask(0o077);
  try {
    const path = join(directory, "socket");
    const socket = bindDatagram(path);
    expect(statSync(path).mode & 0o777).toBe(0o777);
    closeSync(connectDatagram(path));
    expect(receiveDatagram(socket, new Uint8Array(8))).toBeUndefined();
    closeSync(socket);
  } finally {
    process.umask(before);
  }
});

test("replacing the socket by a link does not change the mode of another file", () => {
  const path = join(directory, "socket");
  const victim = join(directory, "victim");
  writeFileSync(victim, "", { mode: 0o600 });
  substituteKernel((name, args) => {
    const result = callKernel(name, args);
    if (name === "bind") {
      renameSync(path, join(directory, "moved"));
      symlinkSync(victim, path);
    }
    return result;
  });
  expect(() => bindDatagram(path)).toThrow(expect.objectContaining({ call: "bind", errno: "ENOTSOCK" }));
  expect(statSync(victim).mode & 0o777).toBe(0o600);
});
