import { closeSync, mkdtempSync, openSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { F_DUPFD } from "../../../../bindings/abi/fcntl.ts";
import { syscall } from "../../../../bindings/ffi/syscall.ts";
import { killAndReap } from "../../../../bindings/linux/reap.ts";
import { holdRecorder } from "./holder.ts";

it("has none of the descriptors that the caller lets its children inherit, wherever their numbers are", () => {
  const directory = mkdtempSync(join(tmpdir(), "runts-holder-"));
  const file = (name: string) => {
    writeFileSync(join(directory, name), "");
    return openSync(join(directory, name), "r");
  };
  const [calls, values, link, foreign] = [file("calls"), file("values"), file("link"), file("foreign")];
  // Not close-on-exec. The holder's own descriptors get the numbers between these.
  const inherited = [0, 2, 4, 5, 20].map((above) => syscall("fcntl", [foreign, F_DUPFD, 64 + above]));
  let pid: number | undefined;
  try {
    const holder = holdRecorder({ maps: { calls, values }, link }, directory);
    pid = holder.pid;
    const folder = `/proc/${pid}/fd`;
    const links = readdirSync(folder).map((fd) => readlinkSync(join(folder, fd)));
    expect(links.toSorted()).toEqual([
      join(directory, "calls"),
      join(directory, "link"),
      join(directory, "values"),
      "anon_inode:inotify",
    ]);
    expect(readlinkSync(join(folder, String(holder.calls)))).toBe(join(directory, "calls"));
    expect(readlinkSync(join(folder, String(holder.values)))).toBe(join(directory, "values"));
  } finally {
    if (pid !== undefined) killAndReap(pid, "end the holder");
    for (const fd of [calls, values, link, foreign, ...inherited]) closeSync(fd);
    rmSync(directory, { recursive: true });
  }
});
