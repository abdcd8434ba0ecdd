import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { Sandbox } from "../sandbox.ts";

export interface Outside {
  /** A folder of the host that no container may change, and one file in it. */
  readonly path: string;
  readonly file: string;
  expectUntouched(): void;
}

const CONTENT = "the host's own\n";

/** A folder beside the bundles that an attacker aims at. */
export function outside(sandbox: Sandbox, name = "outside"): Outside {
  const path = sandbox.path(name);
  const file = join(path, "canary");
  mkdirSync(path);
  writeFileSync(file, CONTENT, { mode: 0o640 });
  const look = () => {
    const { mode, uid, gid, ino, dev } = statSync(path);
    const canary = statSync(file);
    return {
      folder: [mode, uid, gid, ino, dev],
      entries: readdirSync(path),
      file: [canary.mode, canary.uid, canary.gid, canary.ino, canary.dev],
      content: readFileSync(file, "utf8"),
    };
  };
  const before = look();
  return { path, file, expectUntouched: () => expect(look()).toEqual(before) };
}
