import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdtempSync,
  statSync as nodeStat,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { isMountRoot, statSync } from "./file-status.ts";
import { closeSync, openSync } from "./files.ts";

test("mtimeNs agrees with node:fs, also before 1970", () => {
  const directory = mkdtempSync(join(tmpdir(), "runts-status-"));
  const file = join(directory, "file");
  writeFileSync(file, "");
  for (const seconds of [0, 1.5, 2 ** 31 + 1, -1]) {
    utimesSync(file, seconds, seconds);
    expect(statSync(file).mtimeNs).toBe(nodeStat(file, { bigint: true }).mtimeNs);
  }
  rmSync(directory, { recursive: true });
});

test("identity stays the same until the file is changed or replaced", () => {
  const directory = mkdtempSync(join(tmpdir(), "runts-status-"));
  const file = join(directory, "file");
  writeFileSync(file, "text", { mode: 0o600 });
  utimesSync(file, 1, 1);
  const identities = [statSync(file).identity];
  expect(statSync(file).identity).toBe(identities[0]);
  const changes = [
    () => chmodSync(file, 0o640),
    () => writeFileSync(file, "next"),
    () => utimesSync(file, 2, 2),
    () => writeFileSync(file, "longer"),
    () => (process.getuid?.() === 0 ? chownSync(file, 1, 1) : chmodSync(file, 0o600)),
    () => {
      copyFileSync(file, `${file}.new`);
      renameSync(`${file}.new`, file);
    },
  ];
  for (const change of changes) {
    // Times of files have the resolution of the kernel's clock tick.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 15);
    change();
    identities.push(statSync(file).identity);
  }
  expect(new Set(identities).size).toBe(1 + changes.length);
  rmSync(directory, { recursive: true });
});

test("isMountRoot is true only for the root of a mount", () => {
  const found = ["/proc", "/proc/version"].map((path) => {
    const fd = openSync(path, "r");
    const answer = isMountRoot(fd);
    closeSync(fd);
    return answer;
  });
  expect(found).toEqual([true, false]);
});
